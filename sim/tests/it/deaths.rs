//! Machines that go while they run a job. GitHub fails such a job after ten minutes and does not queue it again; a
//! person is told once, and never of a job that had ended by itself.

use fleet::{
    effect::NoticeKind,
    event::Event,
    ids::JobId,
    job::{Conclusion, JobState},
    runner::RunnerInput,
};
use sim::swarm::{scene::Scene, story::Story};

const LINUX: &[&str] = &["self-hosted", "linux"];
const MINUTE: u64 = 60_000;

async fn long_job(world: &Scene) -> JobId {
    let job = world.push("acme/web", LINUX);
    world.lasts(job, 20 * MINUTE);
    world.until_row(job, |row| matches!(row.state, JobState::Running { .. })).await;
    job
}

fn failed(state: &JobState) -> bool {
    matches!(state, JobState::Done { conclusion: Conclusion::Failure, .. })
}

#[test]
fn a_person_is_told_once_that_a_job_lost_its_machine() {
    let told = Story::rough().tells(NoticeKind::JobInterrupted).run(|world| async move {
        let job = long_job(&world).await;
        world.kill_machine_of(job);
        world.until_row(job, |row| failed(&row.state)).await;
        world.pass(60 * MINUTE).await;
        let told = world.told(NoticeKind::JobInterrupted);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&job.to_string()) && told[0].contains("Spot"), "{told:?}");
        assert!(world.why(job).await.iter().any(|text| text.contains("lost its runner")));
    });
    assert_eq!(told.started, 1, "nobody starts a runner for a job that GitHub has given up");
}

#[test]
fn the_job_is_run_again_once_if_the_operator_wants_that() {
    let told = Story::rough().policy(|policy| policy.rerun_interrupted = true).tells(NoticeKind::JobInterrupted).run(
        |world| async move {
            let job = long_job(&world).await;
            world.kill_machine_of(job);
            world.until_row(job, |row| failed(&row.state)).await;
            world.until("it runs again", |world| world.jobs().len() == 2).await;
            let again = world.jobs()[1];
            world.lasts(again, 20 * MINUTE);
            world.until_row(again, |row| matches!(row.state, JobState::Running { .. })).await;
            // The second attempt is lost too: that was its chance.
            world.kill_machine_of(again);
            world.until_row(again, |row| failed(&row.state)).await;
            world.pass(30 * MINUTE).await;
            assert_eq!((world.jobs().len(), world.told(NoticeKind::JobInterrupted).len()), (2, 2));
        },
    );
    assert_eq!(told.started, 2);
}

#[test]
fn a_machine_that_goes_while_it_waits_is_replaced_and_nobody_is_told() {
    let told = Story::rough().profile(|profile| profile.dies_idle = 1_000).run(|world| async move {
        // GitHub does not let it have the job, so that it waits.
        world.github(|hub, _| hub.faults.group_refuses = true);
        let job = world.push("acme/web", LINUX);
        world.until("a machine died", |world| world.faults("machine dies idle") == 1).await;
        world.profile(|profile| profile.dies_idle = 0);
        world.github(|hub, _| hub.faults.group_refuses = false);
        world.until_done(job).await;
    });
    assert_eq!(told.started, 2);
}

/// The agent's last report is lost, so all that is heard of the end is that the machine is gone.
fn silent_end() -> Story {
    Story::rough().profile(|profile| profile.report_lost = 1_000)
}

#[test]
fn a_job_whose_end_is_heard_of_after_its_machines_was_not_lost() {
    silent_end().run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_row(job, |row| matches!(row.state, JobState::Running { .. })).await;
        world.github(|hub, _| {
            hub.faults.late_permille = 1_000;
            hub.faults.late_max_ms = 10 * MINUTE;
        });
        world.until_row(job, |row| !row.state.is_open()).await;
        world.pass(20 * MINUTE).await;
    });
}

#[test]
fn not_even_when_github_cannot_be_asked_meanwhile() {
    silent_end().run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_row(job, |row| matches!(row.state, JobState::Running { .. })).await;
        world.github(|hub, _| {
            hub.faults.late_permille = 1_000;
            hub.faults.late_max_ms = 90_000;
            hub.faults.rest_5xx_permille = 1_000;
        });
        world.until_row(job, |row| !row.state.is_open()).await;
        world.github(|hub, _| hub.faults.rest_5xx_permille = 0);
        world.pass(20 * MINUTE).await;
    });
}

#[test]
fn a_runner_that_a_person_stopped_is_stopped_at_work() {
    let told = Story::rough().may_tell(NoticeKind::JobInterrupted).run(|world| async move {
        let job = long_job(&world).await;
        let runner = world.runner_of(job).expect("it runs");
        world.stop_runner(&runner).await;
        world.until_no_machine().await;
        world.until_row(job, |row| failed(&row.state)).await;
        let why = world.why_runner(&runner).await;
        assert!(why.iter().any(|text| text.contains("stopped by operator")), "{why:?}");
    });
    assert_eq!(told.started, 1);
}

#[test]
fn a_runner_ends_at_its_maximum_lifetime_whatever_it_does() {
    let told = Story::rough()
        .policy(|policy| policy.classes[0].max_lifetime_ms = 30 * MINUTE)
        .tells(NoticeKind::LifetimeOver)
        .may_tell(NoticeKind::JobInterrupted)
        .run(|world| async move {
            let job = world.push("acme/web", LINUX);
            world.lasts(job, 3 * 60 * MINUTE);
            world.until_running(job).await;
            world.until_no_machine().await;
            assert!((30 * MINUTE..33 * MINUTE).contains(&world.age_ms()), "{}", world.age_ms());
            world.until_row(job, |row| failed(&row.state)).await;
            assert_eq!(world.told(NoticeKind::LifetimeOver).len(), 1);
        });
    assert_eq!(told.started, 1);
}

#[test]
fn a_job_that_github_gives_up_after_hours_ends_although_nothing_is_left_of_its_pool() {
    Story::rough().tells(NoticeKind::JobInterrupted).run(|world| async move {
        world.github(|hub, _| hub.times.lost_after_ms = 4 * 60 * MINUTE);
        let job = long_job(&world).await;
        world.kill_machine_of(job);
        // Its runner's row expires after two hours, and the pool with it.
        world.until("its runner's row expired", |world| world.runners().is_empty()).await;
        assert!(world.row(job).is_some_and(|row| row.state.is_open()));
        world.until_row(job, |row| failed(&row.state)).await;
    });
}

#[test]
fn the_engines_word_about_an_unknown_runner_changes_nothing() {
    Story::calm().run(|world| async move {
        let input = RunnerInput::TaskGone { why: "it was stopped".into() };
        world.handle(Event::Runner { runner: "sr-story-nobody".into(), input }).await;
        assert_eq!(world.runners(), []);
    });
}
