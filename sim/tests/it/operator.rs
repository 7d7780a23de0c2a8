//! What an operator does by hand: drains a class or all, lifts that, stops a runner. No job is lost by it unless forced.

use fleet::{
    drain::Extent,
    event::Outcome,
    ids::{JobId, RunnerName},
    runner::{Runner, RunnerState},
};
use sim::swarm::{
    scene::Scene,
    story::{Story, story},
};

const LINUX: &[&str] = &["self-hosted", "linux"];
const BIG: &[&str] = &["self-hosted", "big"];
const MINUTE: u64 = 60_000;

fn small() -> Extent {
    Extent::Class("small".into())
}

/// A runner that is connected and has no job: its job was cancelled just then.
async fn idle_runner(world: &Scene, repo: &str) -> RunnerName {
    let job = world.push(repo, LINUX);
    let is_idle = |runner: &Runner| matches!(runner.state, RunnerState::Idle { .. });
    world.until("it is registered", |world| !world.registrations().is_empty()).await;
    world.cancel(job);
    world.until("a runner is idle", |world| world.runners().iter().any(is_idle)).await;
    let idle = world.runners().into_iter().find(is_idle);
    idle.expect("it was there").name
}

async fn running(world: &Scene, repo: &str, ms: u64) -> JobId {
    let job = world.push(repo, LINUX);
    world.lasts(job, ms);
    world.until_row(job, |row| matches!(row.state, fleet::job::JobState::Running { .. })).await;
    job
}

#[test]
fn of_a_drained_class_idle_runners_end_busy_ones_finish_and_jobs_wait() {
    let told = Story::rough().run(|world| async move {
        idle_runner(&world, "acme/api").await;
        let busy = running(&world, "acme/web", 5 * MINUTE).await;
        assert_eq!(world.machines(), 2);
        let said = world.drain(small()).await;
        assert!(
            matches!(&said, Outcome::Accepted(text) if text.starts_with("class `small` is drained by operator since"))
        );

        let before_ms = world.age_ms();
        let waits = world.push("acme/web", LINUX);
        world.until("the idle one is gone", |world| world.machines() == 1).await;
        assert!(world.age_ms() - before_ms < 40_000, "it was only ended by its idle time");
        let why = world.why(waits).await;
        assert!(
            why.len() == 1 && why[0].starts_with("waits: class `small` is drained by operator since 20"),
            "{why:?}"
        );

        // Elsewhere, for GitHub gives a big runner the small jobs of its own repository, too.
        let other = world.push("globex/one", BIG);
        world.until_done(other).await;
        world.until_done(busy).await;
        world.pass(10 * MINUTE).await;
        assert_eq!((world.machines(), world.started()), (0, 3), "something of a drained class was started");

        assert!(matches!(world.drain(small()).await, Outcome::Refused(_)), "twice");
        assert!(matches!(world.end_drain(small()).await, Outcome::Accepted(_)));
        let lifted_ms = world.age_ms();
        world.until_running(waits).await;
        assert!(world.age_ms() - lifted_ms < MINUTE, "it waited for a sweep");
        world.until_done(waits).await;
    });
    assert_eq!(told.started, 4);
}

#[test]
fn a_drain_of_all_is_not_forgotten_when_the_daemon_dies() {
    let told = Story::rough().run(|world| async move {
        world.drain(Extent::Fleet).await;
        world.kill_controllers().await;
        let jobs = [world.push("acme/web", LINUX), world.push("globex/one", BIG)];
        for job in jobs {
            world.until_row(job, |row| row.pool.is_some()).await;
        }
        world.pass(5 * MINUTE).await;
        assert_eq!(world.started(), 0);
        world.end_drain(Extent::Fleet).await;
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert_eq!(told.started, 2);
}

#[test]
fn a_runner_that_boots_into_a_drain_is_sent_away_when_it_claims() {
    let told = Story::rough().run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("a machine was started", |world| world.machines() == 1).await;
        world.drain(small()).await;
        world.until_no_machine().await;
        let runner = world.runners().remove(0);
        assert_eq!(runner.claims, 0, "it was given credentials");
        let why = world.why_runner(&runner.name).await;
        assert!(why.iter().any(|text| text.contains("is sent away: class `small` is drained by operator")), "{why:?}");
        world.end_drain(small()).await;
        world.until_done(job).await;
    });
    assert_eq!(told.started, 2);
}

#[test]
fn whoever_ends_for_a_drain_is_not_held_against_the_pool() {
    let told = Story::rough().run(|world| async move {
        for _ in 0..4 {
            let job = world.push("acme/web", LINUX);
            world.until("a machine was started", |world| world.machines() == 1).await;
            world.drain(small()).await;
            world.until_no_machine().await;
            world.end_drain(small()).await;
            world.cancel(job);
            world.until_no_machine().await;
        }
        let job = world.push("acme/web", LINUX);
        world.until_done(job).await;
    });
    assert!(told.notices.is_empty());
}

#[test]
fn a_runner_is_stopped_without_force_only_where_that_costs_no_job() {
    story(|world| async move {
        let idle = idle_runner(&world, "acme/api").await;
        let said = world.stop_idle_runner(&idle).await;
        assert!(matches!(&said, Outcome::Accepted(text) if text.contains("at its next report")), "{said:?}");
        world.until_no_machine().await;

        let job = world.push("acme/web", LINUX);
        world.until("a machine was started", |world| world.machines() == 1).await;
        let live = |runner: &Runner| runner.state.is_live();
        let runner = world.runners().into_iter().find(live).expect("it lives").name;
        world
            .until("its launch is answered", |world| {
                world.runners().iter().any(|row| row.state == RunnerState::Starting)
            })
            .await;
        let said = world.stop_idle_runner(&runner).await;
        assert!(matches!(&said, Outcome::Refused(text) if text.contains("is booting")), "{said:?}");
        world.until_row(job, |row| matches!(row.state, fleet::job::JobState::Running { .. })).await;
        let said = world.stop_idle_runner(&runner).await;
        assert_eq!(said, Outcome::Refused(format!("it runs job {job}, which would be lost; only force stops it")));
        world.until_done(job).await;
    });
}

#[test]
fn a_daemon_that_is_asked_to_end_does_what_it_has_in_hand_and_begins_nothing() {
    let told = story(|world| async move {
        let first = world.push("acme/web", LINUX);
        world
            .until("a launch is under way", |world| {
                world.runners().iter().any(|row| row.state == RunnerState::Reserved)
            })
            .await;
        world.end_controllers().await;
        let is_answered = |row: &Runner| row.task.is_some();
        assert!(world.runners().iter().all(is_answered), "a launch was cut off: {:?}", world.runners());
        let second = world.push("acme/api", LINUX);
        world.until_done(first).await;
        world.until_done(second).await;
    });
    assert_eq!(told.started, 2);
}
