//! The machine's clock is set: hours on, hours back. Nothing is lost, nobody at work is stopped.

use fleet::{effect::NoticeKind, ids::JobId};
use sim::swarm::{scene::Scene, story::Story};

const LINUX: &[&str] = &["self-hosted", "linux"];
const MINUTE: i64 = 60_000;

/// Two jobs run, three wait, then the clock is set. All run in the end, and one that comes later is served at once.
async fn clock_is_set(world: Scene, ms: i64) {
    world.set_policy(|policy| policy.max = 2);
    let jobs: Vec<JobId> = (0..5).map(|_| world.push("acme/web", LINUX)).collect();
    jobs.iter().for_each(|job| world.lasts(*job, 3 * MINUTE.unsigned_abs()));
    world.until_running(jobs[0]).await;
    world.set_clock(ms);
    for job in jobs {
        world.until_done(job).await;
    }
    let (set_ms, next) = (world.age_ms(), world.push("acme/web", LINUX));
    world.until_done(next).await;
    assert!(world.age_ms() - set_ms < 5 * MINUTE.unsigned_abs(), "it took {} ms", world.age_ms() - set_ms);
}

#[test]
fn set_forward() {
    for minutes in [2, 60] {
        let told = Story::rough().may_tell(NoticeKind::BootOverdue).run(|world| clock_is_set(world, minutes * MINUTE));
        assert!(told.peak <= 2);
    }
}

#[test]
fn set_back() {
    for minutes in [2, 60] {
        let told = Story::rough().run(|world| clock_is_set(world, -minutes * MINUTE));
        assert_eq!((told.started, told.peak), (6, 2));
    }
}
