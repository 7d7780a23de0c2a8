//! Jobs that are cancelled before they start: their `completed` names no runner, so nothing may hang on it.

use sim::swarm::story::{Story, story};

const LINUX: &[&str] = &["self-hosted", "linux"];

#[test]
fn cancelled_before_its_machine_claims() {
    let told = story(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("a machine was started", |world| world.machines() == 1).await;
        world.cancel(job);
        world.until_no_machine().await;
        // It was told to go when it claimed: it never registered.
        assert!(world.runners().iter().all(|runner| runner.claims == 0 && runner.registration.is_none()));
    });
    assert_eq!(told.started, 1);
}

#[test]
fn cancelled_when_the_runner_is_about_to_connect() {
    let told = story(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("it is registered", |world| !world.registrations().is_empty()).await;
        world.cancel(job);
        // It waits for its idle time, then its agent ends it.
        world.until_no_machine().await;
    });
    assert_eq!(told.started, 1);
}

#[test]
fn the_runner_of_a_cancelled_job_serves_the_next() {
    let told = story(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("it is registered", |world| !world.registrations().is_empty()).await;
        world.cancel(job);
        let next = world.push("acme/web", LINUX);
        world.until_done(next).await;
    });
    assert_eq!(told.started, 1);
}

#[test]
fn ten_cancelled_at_once_leave_nothing() {
    let told = Story::calm().run(|world| async move {
        let jobs: Vec<_> = (0..10).map(|_| world.push("globex/one", LINUX)).collect();
        world.until("machines were started", |world| world.machines() == 6).await;
        jobs.iter().for_each(|job| world.cancel(*job));
        world.until_no_machine().await;
    });
    assert_eq!(told.started, 6);
}
