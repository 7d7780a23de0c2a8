//! GitHub gives a job to any idle runner that has its labels: also to one that was started for another job.

use fleet::{ids::JobId, runner::Runner};
use sim::swarm::{scene::Scene, story::Story};

const LINUX: &[&str] = &["self-hosted", "linux"];
const BIG: &[&str] = &["self-hosted", "big"];

/// The row of the runner that a job ran on.
fn runner_of(world: &Scene, job: JobId) -> Runner {
    let name = world.runner_of(job).expect("it ran");
    world.runners().into_iter().find(|runner| runner.name == name).expect("its runner has a row")
}

#[test]
fn a_runner_that_a_job_of_another_pool_took_is_replaced() {
    let told = Story::calm().policy(|policy| policy.classes[0].max = 1).run(|world| async move {
        let long = world.push("acme/web", LINUX);
        world.lasts(long, 20 * 60_000);
        world.until_row(long, |row| row.state != fleet::job::JobState::Queued).await;
        // The class `small` is full, so this one waits; but it is the oldest when the big runner connects.
        let thief = world.push("acme/web", LINUX);
        world.until_row(thief, |row| row.pool.is_some()).await;
        let why = world.why(thief).await;
        assert_eq!(
            why,
            [format!("waits: 1 of 1 runners of class `small` live; first in line: job {thief} of acme/web")]
        );
        let robbed = world.push("acme/web", BIG);
        world.until_running(thief).await;
        world.until_done(robbed).await;
        let (one, other) = (runner_of(&world, thief), runner_of(&world, robbed));
        assert_eq!((&*one.class.to_string(), &*other.class.to_string()), ("big", "big"));
        assert!(one.name != other.name && one.pool == other.pool);
    });
    assert_eq!(told.started, 3, "one runner for each job, whoever got it");
}

#[test]
fn repositories_of_an_organisation_share_their_runners() {
    let told = Story::calm().policy(|policy| policy.max = 1).run(|world| async move {
        let jobs = ["globex/one", "globex/two", "globex/one"].map(|repo| world.push(repo, LINUX));
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert_eq!((told.started, told.peak), (3, 1));
}
