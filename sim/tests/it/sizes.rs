//! A job may ask for a size of its own, within the bounds of its class.

use fleet::{ids::JobId, wishes::Allow};
use sim::swarm::{scene::Scene, story::Story};

const LINUX: &[&str] = &["self-hosted", "linux"];
const LARGE: &[&str] = &["self-hosted", "linux", "cpu=8", "timeout=30"];
const SMALL: &[&str] = &["self-hosted", "linux", "cpu=2"];
const MINUTE: u64 = 60_000;

fn allowing() -> Story {
    Story::calm().policy(|policy| {
        let (cpu_milli, timeout_ms) = (Some([1_000, 8_000]), Some([10 * MINUTE, 60 * MINUTE]));
        policy.classes[0].allow = Allow { cpu_milli, timeout_ms, ..Allow::default() };
    })
}

fn labels_of(world: &Scene, job: JobId) -> String {
    let runner = world.runner_of(job).unwrap();
    let row = world.runners().into_iter().find(|row| row.name == runner);
    row.unwrap().labels.to_string()
}

#[test]
fn each_size_has_runners_of_its_own() {
    let told = allowing().run(|world| async move {
        let jobs = [LARGE, SMALL, LINUX].map(|labels| world.push("acme/web", labels));
        jobs.iter().for_each(|job| world.lasts(*job, 5 * MINUTE));
        let expected = [
            ("cpu=8,linux,self-hosted,timeout=30", 8_000),
            ("cpu=2,linux,self-hosted", 2_000),
            ("linux,self-hosted", 4_000),
        ];
        for (job, (labels, cpu_milli)) in jobs.iter().zip(expected) {
            world.until_running(*job).await;
            assert_eq!(labels_of(&world, *job), labels);
            assert_eq!(world.size_of(*job).unwrap().cpu_milli, cpu_milli);
        }
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert_eq!(told.started, 3);
}

#[test]
fn what_is_out_of_bounds_is_refused_with_the_bounds() {
    let told = allowing().run(|world| async move {
        let jobs = [
            (world.push("acme/web", &["self-hosted", "linux", "cpu=64"]), "`small`: `cpu=64`: 1 to 8 are allowed"),
            (world.push("acme/web", &["self-hosted", "linux", "memory=4"]), "`memory=4`: that may not be asked of it"),
        ];
        world.pass(10 * MINUTE).await;
        for (job, reason) in jobs {
            let why = world.why(job).await;
            assert!(why[0].contains(reason), "{why:?}");
        }
    });
    assert_eq!(told.started, 0);
}

/// GitHub gives a job to an idle runner with all of its labels: never to one of another size.
#[test]
fn a_runner_that_one_size_left_idle_is_not_given_to_another() {
    let told = allowing().run(|world| async move {
        let large = world.push("acme/web", LARGE);
        world.until("it is being started", |world| world.machines() == 1).await;
        world.cancel(large);
        let small = world.push("acme/web", SMALL);
        world.until_running(small).await;
        assert_eq!(world.size_of(small).unwrap().cpu_milli, 2_000);
        world.until_done(small).await;
    });
    assert_eq!(told.started, 2);
}

/// The time that it asked for counts, not the six hours of its class.
#[test]
fn a_job_that_outlives_its_timeout_is_ended() {
    Story::rough()
        .policy(|policy| {
            policy.classes[0].allow.timeout_ms = Some([10 * MINUTE, 60 * MINUTE]);
        })
        .tells(fleet::effect::NoticeKind::LifetimeOver)
        .may_tell(fleet::effect::NoticeKind::JobInterrupted)
        .run(|world| async move {
            let job = world.push("acme/web", &["self-hosted", "linux", "timeout=30"]);
            world.lasts(job, 120 * MINUTE);
            world.until_running(job).await;
            world.pass(40 * MINUTE).await;
            assert_eq!(world.machines(), 0, "it lives on");
            world.until_done(job).await;
        });
}
