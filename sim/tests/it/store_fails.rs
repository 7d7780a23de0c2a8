//! The store fails for a moment: what was under way goes on as soon as it answers again.

use sim::swarm::story::Story;

const LINUX: &[&str] = &["self-hosted", "linux"];

/// Makes every call of the store fail, and so all others.
const ALWAYS: u32 = 4_000;

#[test]
fn what_was_in_hand_is_not_held_until_its_lease_ends() {
    for pause_ms in [0, 100, 300, 600, 1_000] {
        let told = Story::calm().run(|world| async move {
            let job = world.push("acme/web", LINUX);
            world.until("a runner is reserved", |world| !world.runners().is_empty()).await;
            world.pass(pause_ms).await;
            world.profile(|profile| profile.call_fails = ALWAYS);
            world.pass(5_000).await;
            world.profile(|profile| profile.call_fails = 0);
            let healed_ms = world.age_ms();
            world.until("a machine was started", |world| world.started() == 1).await;
            world.until("no effect is left", |world| world.effects() == 0).await;
            let waited_ms = world.age_ms() - healed_ms;
            assert!(waited_ms < 20_000, "it took {waited_ms} ms");
            world.until_done(job).await;
        });
        assert_eq!(told.started, 1);
    }
}
