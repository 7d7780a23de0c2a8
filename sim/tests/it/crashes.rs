//! The controller dies right after each single call that it makes; and each call takes effect twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fleet::effect::NoticeKind;
use sim::swarm::{scene::Scene, story::Story};

const LINUX: &[&str] = &["self-hosted", "linux"];

/// A small world with something of everything: a job that runs, one that is cancelled when its machine is up, one
/// whose announcement is lost.
async fn small_world(world: Scene) {
    let (job, cancelled) = (world.push("acme/web", LINUX), world.push("globex/one", LINUX));
    world.until("machines were started", |world| world.started() > 0).await;
    world.cancel(cancelled);
    world.github(|hub, _| hub.faults.lose_permille = 1_000);
    let unheard = world.push("acme/api", LINUX);
    world.github(|hub, _| hub.faults.lose_permille = 0);
    world.until_done(job).await;
    world.until_done(unheard).await;
    world.until_rest().await;
}

#[test]
fn a_crash_after_any_call_loses_nothing_and_starts_nothing_twice() {
    let (next, done) = (AtomicU64::new(1), AtomicBool::new(false));
    let crash_after_each = || {
        while !done.load(Ordering::Relaxed) {
            let call = next.fetch_add(1, Ordering::Relaxed);
            let told = Story::rough().crash_at_call(call).run(small_world);
            // The same seed makes the same calls until it dies, so one that does not has no call left to die at.
            let died = told.trace.iter().any(|line| line.contains("dies after"));
            done.fetch_or(!died, Ordering::Relaxed);
            assert!(told.started <= 3, "crash after call {call}: {} machines for three jobs", told.started);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(crash_after_each))));
    assert!(next.into_inner() > 100, "the world is too small");
}

#[test]
fn each_call_may_take_effect_twice() {
    let told = Story::calm().profile(|profile| profile.twice = true).run(small_world);
    assert!(told.started <= 3, "{} machines for three jobs", told.started);
}

#[test]
fn a_launch_whose_answer_is_lost_is_not_a_second_machine() {
    let told = Story::calm().may_tell(NoticeKind::EffectFailing).run(|world| async move {
        world.profile(|profile| profile.answer_lost = 500);
        let jobs = [(); 4].map(|()| world.push("acme/web", LINUX));
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert!(told.faults["answer lost"] > 0);
    assert_eq!(told.started, 4);
}

#[test]
fn a_daemon_that_is_killed_in_mid_job_finds_its_runners_again() {
    let told = Story::calm().run(|world| async move {
        let jobs = [(); 3].map(|()| world.push("acme/web", LINUX));
        jobs.iter().for_each(|job| world.lasts(*job, 3 * 60_000));
        for job in jobs {
            world.until_running(job).await;
            world.kill_controllers().await;
        }
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert_eq!(told.started, 3);
}
