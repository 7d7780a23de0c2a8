//! Webhooks that are lost, doubled, late, out of order, or come again after hours.

use fleet::{
    ids::JobId,
    job::{Conclusion, JobState},
    policy::Policy,
};
use sim::{
    hub::{delivery::Action, faults::seen},
    swarm::{
        scene::Scene,
        story::{Story, story},
    },
};

const LINUX: &[&str] = &["self-hosted", "linux"];
const MINUTE: u64 = 60_000;

fn is_running(state: &JobState) -> bool {
    matches!(state, JobState::Running { .. })
}

fn is_done(state: &JobState) -> bool {
    matches!(state, JobState::Done { .. })
}

/// A job whose announcement nobody ever hears of.
fn push_unheard(world: &Scene) -> JobId {
    world.github(|hub, _| hub.faults.lose_permille = 1_000);
    let job = world.push("acme/web", LINUX);
    world.github(|hub, _| hub.faults.lose_permille = 0);
    job
}

#[test]
fn a_lost_announcement_is_found_by_the_sweep() {
    let told = story(|world| async move {
        let job = push_unheard(&world);
        assert_eq!(world.row(job), None);
        world.until_row(job, |row| row.state == JobState::Queued).await;
        world.until_done(job).await;
    });
    assert_eq!((told.started, told.faults[seen::WEBHOOK_LOST]), (1, 1));
}

#[test]
fn a_lost_completion_is_found_by_the_sweep() {
    story(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_row(job, |row| is_running(&row.state)).await;
        world.github(|hub, _| hub.faults.lose_permille = 1_000);
        world.until_done(job).await;
        world.github(|hub, _| hub.faults.lose_permille = 0);
        world.until_row(job, |row| is_done(&row.state)).await;
    });
}

#[test]
fn with_every_webhook_lost_all_jobs_run_only_later() {
    // A runner may be started in vain: that a job is over is found out later than that its runner ended.
    Story::rough().profile(|profile| profile.all_lost = true).faults(|faults| faults.all_lost = true).run(
        |world| async move {
            let mut jobs: Vec<JobId> = (0..4).map(|_| world.push("acme/web", LINUX)).collect();
            jobs.push(world.push_guarded("globex/one", LINUX));
            let deploy = jobs[4];
            world.until_row(deploy, |row| row.state == JobState::Waiting).await;
            world.approve(deploy);
            for job in jobs {
                world.until_row(job, |row| is_done(&row.state)).await;
            }
        },
    );
}

#[test]
fn a_webhook_that_comes_twice_starts_one_runner() {
    let told = Story::calm().faults(|faults| faults.double_permille = 1_000).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_done(job).await;
        // A double comes up to half a minute after the first.
        world.pass(MINUTE).await;
    });
    assert_eq!((told.started, told.faults[seen::WEBHOOK_DOUBLED]), (1, 3));
}

#[test]
fn in_progress_may_come_before_queued() {
    let told = story(|world| async move {
        world.github(|hub, _| hub.faults.reorder_permille = 1_000);
        let job = world.push("acme/web", LINUX);
        world.github(|hub, _| hub.faults.reorder_permille = 0);
        // The sweep finds the job, so it runs; only then comes its announcement.
        world.until_row(job, |row| is_running(&row.state)).await;
        world.pass(5_000).await;
        assert!(world.row(job).is_some_and(|row| is_running(&row.state)), "a late `queued` turned it back");
    });
    assert_eq!((told.started, told.faults[seen::WEBHOOK_REORDERED]), (1, 1));
}

#[test]
fn completed_may_come_before_in_progress() {
    let told = story(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.github(|hub, _| hub.faults.reorder_permille = 1_000);
        world.until_running(job).await;
        world.github(|hub, _| hub.faults.reorder_permille = 0);
        world.until_row(job, |row| is_done(&row.state)).await;
        world.pass(5_000).await;
        assert!(world.runners().iter().all(|runner| runner.busy_job().is_none() || !runner.state.is_unbound()));
        assert!(world.row(job).is_some_and(|row| is_done(&row.state)), "a late `in_progress` turned it back");
    });
    assert_eq!((told.started, told.faults[seen::WEBHOOK_REORDERED]), (1, 1));
}

#[test]
fn a_delivery_that_failed_is_asked_for_again() {
    let told = story(|world| async move {
        // The daemon is down while GitHub announces the job.
        world.kill_controllers().await;
        let job = world.push("acme/web", LINUX);
        world.until_done(job).await;
        let again = |world: &Scene| world.github(|hub, _| hub.kept_deliveries().any(|it| it.delivery.attempt > 1));
        world.until("the failed delivery was sent again", again).await;
    });
    assert_eq!(told.started, 1);
}

/// The repositories of a person are found, not named: here by a job that is open.
#[test]
fn a_delivery_that_failed_is_asked_for_again_of_a_repository_that_nobody_named() {
    let found = |policy: &mut Policy| policy.owners.values_mut().for_each(|owner| owner.repositories = None);
    Story::calm().policy(found).run(|world| async move {
        let first = world.push("acme/web", LINUX);
        world.lasts(first, 30 * MINUTE);
        world.until_running(first).await;
        world.kill_controllers().await;
        let job = world.push("acme/web", LINUX);
        let again = |world: &Scene| world.github(|hub, _| hub.kept_deliveries().any(|it| it.delivery.attempt > 1));
        world.until("the failed delivery was sent again", again).await;
        world.until_done(job).await;
        world.until_done(first).await;
    });
}

/// GitHub delivers again what it announced of a job.
fn deliver_again(world: &Scene, job: JobId, action: Action) {
    world.github(|hub, now_ms| {
        let record = hub.kept_deliveries().find(|it| it.delivery.job.facts.id == job && it.delivery.action == action);
        let id = record.map(|record| record.delivery.id).unwrap();
        hub.redeliver(now_ms, None, id).unwrap();
    });
}

#[test]
fn a_failed_job_whose_webhook_comes_again_after_hours_was_not_lost() {
    let told = Story::calm().policy(|policy| policy.rerun_interrupted = true).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.fails(job);
        world.until_row(job, |row| is_done(&row.state)).await;
        // The row of the job and of its runner are still there, then they are not.
        for minutes in [20, 70, 180] {
            world.pass(minutes * MINUTE).await;
            deliver_again(&world, job, Action::Completed);
            world.pass(MINUTE).await;
        }
        let why = world.why(job).await;
        assert!(why.contains(&"ended: failure".to_owned()), "{why:?}");
        assert!(!why.iter().any(|text| text.contains("lost its runner")), "{why:?}");
    });
    assert_eq!(told.started, 1, "it was run again although it was not lost");
}

#[test]
fn old_announcements_that_come_again_start_nothing() {
    let told = story(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_row(job, |row| matches!(row.state, JobState::Done { conclusion: Conclusion::Success, .. })).await;
        // The row of the job is still there, then it is not.
        for minutes in [20, 70, 180] {
            world.pass(minutes * MINUTE).await;
            for action in [Action::Queued, Action::InProgress, Action::Completed] {
                deliver_again(&world, job, action);
            }
            world.pass(10 * MINUTE).await;
        }
    });
    assert_eq!(told.started, 1, "an old announcement started a runner");
}

#[test]
fn a_job_that_waits_for_hours_unheard_is_asked_about_and_runs() {
    let told = story(|world| async move {
        // Neither webhooks nor sweeps: the daemon is away for hours.
        world.profile(|profile| profile.crash = 1_000);
        world.kill_controllers().await;
        let job = world.push("acme/web", LINUX);
        world.pass(5 * 60 * MINUTE).await;
        world.profile(|profile| profile.crash = 0);
        world.until_done(job).await;
        let why = world.why(job).await;
        assert!(why[0].contains("created hours ago"), "{why:?}");
    });
    assert_eq!(told.started, 1);
}
