//! The store is lost while runners are at work: all machines look like orphans, and none may be killed.

use fleet::{effect::NoticeKind, ids::JobId};
use sim::swarm::story::Story;

const LINUX: &[&str] = &["self-hosted", "linux"];
const MINUTE: u64 = 60_000;

#[test]
fn runners_at_work_are_taken_in_and_nobody_is_killed() {
    let told = Story::rough().tells(NoticeKind::TaskAdopted).run(|world| async move {
        let jobs: Vec<JobId> = (0..4).map(|i| world.push(["acme/web", "globex/one"][i % 2], LINUX)).collect();
        jobs.iter().for_each(|job| world.lasts(*job, 15 * MINUTE));
        for job in &jobs {
            world.until_running(*job).await;
        }
        let before: Vec<_> = jobs.iter().map(|job| world.runner_of(*job)).collect();
        world.empty_store();
        world.until("all were taken in", |world| world.runners().len() == 4).await;
        assert_eq!(world.told(NoticeKind::TaskAdopted).len(), 4);
        for job in &jobs {
            world.until_done(*job).await;
        }
        assert_eq!(before, jobs.iter().map(|job| world.runner_of(*job)).collect::<Vec<_>>());
    });
    assert_eq!((told.started, told.peak), (4, 4));
}

#[test]
fn the_caps_hold_although_nothing_is_known() {
    let told = Story::rough().may_tell(NoticeKind::TaskAdopted).run(|world| async move {
        let jobs: Vec<JobId> = (0..10).map(|_| world.push("acme/web", LINUX)).collect();
        jobs.iter().for_each(|job| world.lasts(*job, 5 * MINUTE));
        world.until("six machines", |world| world.machines() == 6).await;
        world.empty_store();
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert_eq!(told.peak, 6);
}

#[test]
fn lost_with_the_daemon() {
    Story::rough().may_tell(NoticeKind::TaskAdopted).run(|world| async move {
        let (job, next) = (world.push("acme/web", LINUX), world.push("acme/api", LINUX));
        world.lasts(job, 5 * MINUTE);
        world.until_running(job).await;
        world.kill_controllers().await;
        world.empty_store();
        world.until_done(job).await;
        world.until_done(next).await;
    });
}
