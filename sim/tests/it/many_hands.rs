//! Many controllers on one store: sweeps at once, handlers at once, clocks that differ.

use fleet::ids::JobId;
use sim::swarm::{scene::Scene, story::Story};

const LINUX: &[&str] = &["self-hosted", "linux"];

#[test]
fn of_two_sweeps_at_once_one_does_the_work() {
    Story::rough()
        .profile(|profile| {
            profile.controllers = 2;
            profile.all_lost = true;
        })
        .faults(|faults| faults.all_lost = true)
        .run(|world| async move {
            let jobs: Vec<JobId> = (0..5).map(|_| world.push("acme/web", LINUX)).collect();
            for _ in 0..5 {
                let swept = world.sweep().await;
                assert!(swept.iter().filter(|swept| !swept.skipped).count() <= 1, "{swept:?}");
            }
            assert_eq!(world.started(), 5, "one runner for each job");
            for job in jobs {
                world.until_done(job).await;
            }
        });
}

/// Forty jobs in a burst, and each event handled at once by whoever is there.
async fn burst(world: Scene) {
    let repos = ["acme/web", "acme/api", "globex/one", "globex/two"];
    let jobs: Vec<JobId> = (0..40).map(|i| world.push(repos[i % 4], LINUX)).collect();
    jobs.iter().for_each(|job| world.lasts(*job, 5_000));
    for job in jobs {
        world.until_done(job).await;
    }
}

#[test]
fn eight_handlers_at_once_keep_the_caps() {
    for seed in 0..5 {
        let told = Story::calm()
            .seed(seed)
            .profile(|profile| {
                profile.controllers = 8;
                profile.direct = true;
            })
            .run(burst);
        assert_eq!((told.started, told.peak), (40, 6), "seed {seed}");
    }
}

#[test]
fn clocks_may_differ() {
    for skew_ms in [2_000, 20_000, 50_000] {
        let told = Story::calm()
            .profile(|profile| {
                profile.controllers = 3;
                profile.direct = true;
                profile.skew_ms = skew_ms;
            })
            .run(|world| async move {
                let jobs: Vec<JobId> = (0..8).map(|_| world.push("acme/web", LINUX)).collect();
                for job in &jobs[..4] {
                    world.lasts(*job, 5 * 60_000);
                }
                for job in jobs {
                    world.until_done(job).await;
                }
            });
        assert_eq!((told.started, told.peak), (8, 6), "skew {skew_ms} ms");
    }
}
