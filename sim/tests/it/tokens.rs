//! A class whose runners register with a token: one token serves many, and is soon replaced.

use fleet::class::CredentialKind;
use sim::swarm::story::Story;

const LINUX: &[&str] = &["self-hosted", "linux"];

/// A token is used for ten minutes.
const REPLACED_MS: u64 = 11 * 60_000;

fn with_tokens() -> Story {
    Story::calm().policy(|policy| policy.classes[0].credentials = CredentialKind::Token)
}

#[test]
fn one_token_serves_all_runners_of_a_scope() {
    let told = with_tokens().run(|world| async move {
        let jobs: Vec<_> = (0..4).map(|_| world.push("globex/one", LINUX)).collect();
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert_eq!((told.asked.get("make token"), told.asked.get("jit")), (Some(&1), None));
}

#[test]
fn each_scope_has_its_own_token() {
    let told = with_tokens().run(|world| async move {
        for repo in ["acme/web", "acme/api"] {
            world.until_done(world.push(repo, LINUX)).await;
        }
    });
    assert_eq!(told.asked.get("make token"), Some(&2));
}

#[test]
fn a_token_is_used_for_some_minutes_only() {
    let told = with_tokens().run(|world| async move {
        for _ in 0..2 {
            world.until_done(world.push("globex/one", LINUX)).await;
            world.pass(REPLACED_MS).await;
        }
    });
    assert_eq!(told.asked.get("make token"), Some(&2));
}

#[test]
fn while_github_makes_no_token_the_machine_waits() {
    let story = with_tokens().faults(|faults| faults.rest_5xx_permille = 1_000);
    let told = story.run(|world| async move {
        let job = world.push("globex/one", LINUX);
        world.pass(120_000).await;
        world.github(|hub, _| hub.faults.rest_5xx_permille = 0);
        world.until_done(job).await;
    });
    assert_eq!(told.started, 1, "the same machine asks again");
    assert!(told.asked["make token"] > 1);
}
