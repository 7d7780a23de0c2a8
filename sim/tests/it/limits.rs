//! Jobs over a limit wait in the store, with a reason; GitHub's and the engine's refusals are waited out.

use fleet::{effect::NoticeKind, ids::JobId};
use sim::{
    hub::faults::seen,
    swarm::{scene::Scene, story::Story},
};

const LINUX: &[&str] = &["self-hosted", "linux"];
const BIG: &[&str] = &["self-hosted", "big"];
const MINUTE: u64 = 60_000;

#[test]
fn of_twelve_jobs_six_wait_and_are_told_why() {
    let told = Story::calm().run(|world| async move {
        let jobs: Vec<JobId> = (0..12).map(|_| world.push("acme/web", LINUX)).collect();
        world.until("six run", |world| world.machines() == 6).await;
        world.pass(5_000).await;
        let mut waiting = 0;
        for job in &jobs {
            let why = world.why(*job).await;
            waiting += usize::from(why[0].starts_with("waits: 6 of 6 runners live; first in line: job "));
        }
        assert_eq!(waiting, 6, "whoever is over the cap is told so, and nobody else");
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert_eq!((told.started, told.peak), (12, 6));
}

#[test]
fn a_full_class_leaves_room_for_another() {
    let told = Story::calm().run(|world| async move {
        let jobs: Vec<JobId> = (0..5).map(|_| world.push("acme/web", BIG)).collect();
        world.until("three run", |world| world.machines() == 3).await;
        let small = world.push("acme/web", LINUX);
        world.until_done(small).await;
        let mut waiting = 0;
        for job in &jobs {
            let why = world.why(*job).await;
            waiting += usize::from(why[0].starts_with("waits: 3 of 3 runners of class `big` live; first in line: "));
        }
        assert!(waiting >= 1, "nobody is told that the class is full");
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert_eq!(told.started, 6);
}

#[test]
fn the_repository_with_fewer_runners_is_next() {
    Story::calm().run(|world| async move {
        let many: Vec<JobId> = (0..10).map(|_| world.push("acme/web", LINUX)).collect();
        many.iter().for_each(|job| world.lasts(*job, 5 * MINUTE));
        world.until("six run", |world| world.machines() == 6).await;
        let few = world.push("acme/api", LINUX);
        let of = |world: &Scene, repo: &str| {
            world.runners().iter().filter(|runner| runner.scope.to_string() == repo).count()
        };
        world.until("it is its turn", |world| of(world, "acme/api") == 1).await;
        assert_eq!(of(&world, "acme/web"), 6, "a busy repository went before one that had nothing");
        world.until_done(few).await;
    });
}

#[test]
fn a_closed_class_holds_its_jobs_until_it_opens() {
    Story::calm().run(|world| async move {
        world.set_policy(|policy| policy.classes.iter_mut().for_each(|class| class.max = 0));
        let job = world.push("acme/web", BIG);
        world.pass(10 * MINUTE).await;
        assert_eq!(world.why(job).await, ["waits: class `big` is closed (max = 0)"]);
        assert_eq!(world.started(), 0);
        world.set_policy(|policy| policy.classes[1].max = 1);
        world.until_done(job).await;
    });
}

#[test]
fn a_lowered_limit_stops_nobody_at_work() {
    let told = Story::calm().run(|world| async move {
        let jobs: Vec<JobId> = (0..6).map(|_| world.push("acme/web", LINUX)).collect();
        jobs.iter().for_each(|job| world.lasts(*job, 5 * MINUTE));
        for job in &jobs {
            world.until_running(*job).await;
        }
        world.set_policy(|policy| policy.max = 1);
        let last = world.push("acme/web", LINUX);
        world.until_done(last).await;
    });
    assert_eq!(told.started, 7);
}

#[test]
fn no_capacity_is_waited_out_with_growing_pauses() {
    let told =
        Story::calm().profile(|profile| profile.drought = true).tells(NoticeKind::NoCapacity).run(|world| async move {
            let job = world.push("acme/web", LINUX);
            world.pass(5 * MINUTE).await;
            let later = world.push("acme/web", LINUX);
            world.until_row(later, |row| row.pool.is_some()).await;
            let why = world.why(later).await;
            assert!(why[0].starts_with("waits: the engine refuses to start a runner: Capacity"), "{why:?}");
            assert!(world.faults("no capacity") < 20, "{} refused launches", world.faults("no capacity"));
            world.until_done(job).await;
            world.until_done(later).await;
            // The engine has room again after eight minutes; the last pause is at most as long as all before it.
            assert!(world.age_ms() < 18 * MINUTE, "only after {} ms", world.age_ms());
        });
    assert_eq!(told.started, 2);
}

#[test]
fn one_placement_without_capacity_is_passed_over() {
    let told = Story::calm().profile(|profile| profile.refuse = 1_000).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("it was refused", |world| world.faults("engine refuses") == 1).await;
        world.profile(|profile| profile.refuse = 0);
        world.until_done(job).await;
        assert_eq!(world.runners()[0].attempt, 2);
    });
    assert_eq!(told.started, 1);
}

#[test]
fn githubs_secondary_limit_is_waited_out() {
    let told = Story::calm().faults(|faults| faults.rest_rate_secondary = Some(30)).run(|world| async move {
        let jobs: Vec<JobId> = (0..12).map(|i| world.push(["acme/web", "globex/one"][i % 2], LINUX)).collect();
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert!(told.faults[seen::RATE_SECONDARY] > 0);
    assert_eq!(told.started, 12);
}

#[test]
fn githubs_primary_limit_is_waited_out() {
    let told = Story::calm().faults(|faults| faults.rest_rate_primary = Some(60)).run(|world| async move {
        let spent = |world: &Scene| world.github(|hub, _| hub.faults_seen.contains_key(seen::RATE_PRIMARY));
        world.until("the hour's requests are spent", spent).await;
        let jobs: Vec<JobId> = (0..3).map(|_| world.push("acme/web", LINUX)).collect();
        for job in jobs {
            world.until_done(job).await;
        }
        assert!(world.age_ms() > 60 * MINUTE, "GitHub gave something although the hour was not over");
    });
    assert_eq!(told.started, 3, "an agent gave up although it was told to wait");
    // Who goes on asking is shut out for longer: each owner's budget is closed at the first refusal.
    assert!(told.faults[seen::RATE_PRIMARY] < 20, "{} refused calls", told.faults[seen::RATE_PRIMARY]);
}
