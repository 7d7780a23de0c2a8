//! A Spot notice: the platform takes a machine back and says so. Its agent is told to end, and tells its job.

use fleet::effect::NoticeKind;
use sim::swarm::story::Story;

const LINUX: &[&str] = &["self-hosted", "linux"];
const MINUTE: u64 = 60_000;

/// A world in which every machine that runs a job is taken back half-way through it.
fn at_work() -> Story {
    Story::rough().profile(|profile| profile.spot_at_work = 1_000)
}

#[test]
fn a_person_is_told_that_a_job_was_cut_off() {
    let told = at_work().tells(NoticeKind::JobInterrupted).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.lasts(job, 20 * MINUTE);
        world.until_done(job).await;
        world.pass(30 * MINUTE).await;
        let told = world.told(NoticeKind::JobInterrupted);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&job.to_string()) && told[0].contains("its machine was taken back"), "{told:?}");
        assert!(world.why(job).await.iter().any(|text| text.contains("lost its runner")));
    });
    assert_eq!(told.started, 1);
}

#[test]
fn the_job_is_run_again_once_if_the_operator_wants_that() {
    let story = at_work().policy(|policy| policy.rerun_interrupted = true).tells(NoticeKind::JobInterrupted);
    story.run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.lasts(job, 20 * MINUTE);
        world.until("it runs again", |world| world.jobs().len() == 2).await;
        world.profile(|profile| profile.spot_at_work = 0);
        world.until_done(world.jobs()[1]).await;
        world.pass(5 * MINUTE).await;
        assert_eq!(world.told(NoticeKind::JobInterrupted).len(), 1);
    });
}

#[test]
fn a_job_that_ends_in_the_time_that_is_left_was_not_cut_off() {
    at_work().run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.lasts(job, 10_000);
        world.until_done(job).await;
        world.pass(30 * MINUTE).await;
    });
}

#[test]
fn the_notice_may_come_before_github_names_the_job() {
    let story = at_work().tells(NoticeKind::JobInterrupted).faults(|faults| {
        faults.late_permille = 1_000;
        faults.late_max_ms = 90_000;
    });
    for seed in 1..6 {
        story.clone().seed(seed).run(|world| async move {
            let job = world.push("acme/web", LINUX);
            world.lasts(job, 20_000);
            world.until_done(job).await;
            world.pass(30 * MINUTE).await;
            assert_eq!(world.told(NoticeKind::JobInterrupted).len(), 1);
        });
    }
}

#[test]
fn a_runner_that_has_no_job_yet_is_replaced_and_nobody_is_told() {
    let told = Story::rough().profile(|profile| profile.spot_early = 1_000).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("it was taken back", |world| world.faults("spot notice before a job") == 1).await;
        world.profile(|profile| profile.spot_early = 0);
        world.until_done(job).await;
    });
    assert_eq!(told.started, 2);
}
