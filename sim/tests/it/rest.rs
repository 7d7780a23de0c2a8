//! At rest nothing runs, nothing is registered, nothing is pending; and rest stays rest.

use fleet::{effect::NoticeKind, ids::JobId};
use sim::swarm::story::{Story, story};

const LINUX: &[&str] = &["self-hosted", "linux"];
const HOUR: u64 = 3_600_000;

#[test]
fn an_empty_world_does_nothing() {
    let told = story(|world| async move { world.pass(24 * HOUR).await });
    assert_eq!((told.started, told.notices.len()), (0, 0));
}

#[test]
fn it_scales_to_zero_and_up_again() {
    let told = story(|world| async move {
        for _ in 0..3 {
            let jobs: Vec<JobId> = (0..8).map(|_| world.push("globex/two", LINUX)).collect();
            for job in jobs {
                world.until_done(job).await;
            }
            world.until_no_machine().await;
            world.pass(3 * HOUR).await;
            // Rows that ended are kept for two hours; then nothing is left at all.
            assert_eq!((world.runners().len(), world.registrations().len(), world.rows()), (0, 0, 0));
        }
    });
    assert_eq!((told.started, told.peak), (24, 6));
}

#[test]
fn runners_whose_agents_hang_are_ended_from_outside() {
    let told = Story::rough()
        .policy(|policy| policy.classes[0].max_lifetime_ms = HOUR)
        .tells(NoticeKind::LifetimeOver)
        .profile(|profile| profile.agent_hangs = 1_000)
        .run(|world| async move {
            let job = world.push("acme/web", LINUX);
            world.until("it is registered", |world| !world.registrations().is_empty()).await;
            world.cancel(job);
            world.until_no_machine().await;
        });
    assert_eq!(told.started, 1);
}
