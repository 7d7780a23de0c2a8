//! Jobs that wait for an environment's approval. GitHub announces such a job twice as queued; the first time it is not.

use fleet::job::JobState;
use sim::swarm::story::{Story, story};

const LINUX: &[&str] = &["self-hosted", "linux"];
const MINUTE: u64 = 60_000;

#[test]
fn nothing_is_started_before_the_approval() {
    let told = story(|world| async move {
        let job = world.push_guarded("acme/web", LINUX);
        world.until_row(job, |row| row.state == JobState::Waiting).await;
        world.pass(30 * MINUTE).await;
        assert_eq!(world.started(), 0);
        assert_eq!(world.why(job).await, ["waits for an approval at GitHub; nothing is started before that"]);
        world.approve(job);
        world.until_done(job).await;
    });
    assert_eq!(told.started, 1);
}

#[test]
fn the_approval_may_be_heard_of_before_the_wait() {
    let told = story(|world| async move {
        // Both first webhooks are held back until the one of the approval has overtaken them.
        world.github(|hub, _| {
            hub.faults.late_permille = 1_000;
            hub.faults.late_max_ms = 2 * MINUTE;
        });
        let job = world.push_guarded("acme/web", LINUX);
        world.github(|hub, _| hub.faults.late_permille = 0);
        world.approve(job);
        world.until_row(job, |row| row.state == JobState::Queued).await;
        world.pass(3 * MINUTE).await;
        world.until_done(job).await;
        let why = world.why(job).await;
        assert!(!why.iter().any(|text| text.contains("approval")), "a late `waiting` turned it back: {why:?}");
    });
    assert_eq!(told.started, 1);
}

#[test]
fn a_job_that_waits_for_ever_is_not_forgotten() {
    story(|world| async move {
        let job = world.push_guarded("globex/one", LINUX);
        world.pass(5 * 60 * MINUTE).await;
        assert_eq!(world.row(job).map(|row| row.state), Some(JobState::Waiting));
    });
}

#[test]
fn a_refused_or_cancelled_approval_starts_nothing() {
    let told = Story::calm().run(|world| async move {
        let (refused, cancelled) = (world.push_guarded("acme/web", LINUX), world.push_guarded("acme/web", LINUX));
        world.pass(MINUTE).await;
        assert!(world.github(|hub, now_ms| hub.reject(now_ms, refused)));
        world.cancel(cancelled);
        world.until_row(refused, |row| !row.state.is_open()).await;
        world.until_row(cancelled, |row| !row.state.is_open()).await;
    });
    assert_eq!(told.started, 0);
}
