//! Read this first: one job from its push to nothing left over.
//!
//! `story` makes a small world in which nothing goes wrong (see `sim::swarm::story::Story::calm` for who lives in it).
//! Its controller is the real one, so are its decisions, its store and its sweeps; GitHub and the machines are
//! simulated, and so is the time: an hour passes in milliseconds.
//!
//! No story cleans up or checks at its end that nothing is left. The harness does: when the script ends, all faults end,
//! and everything must come to rest: no job without an end, no machine, no registration, no row that still lives, no
//! effect that was not carried out. No promise may be broken, nobody may have been told anything, no secret and no ERROR
//! may stand in the log. So a story says only what is special about it.

use fleet::{job::JobState, runner::RunnerState};
use sim::{hub::model::Status, swarm::story::story};

/// The labels of a job that runners of the class `small` serve.
const LINUX: &[&str] = &["self-hosted", "linux"];

#[test]
fn a_job_gets_a_runner_of_its_own_and_nothing_is_left() {
    let told = story(|world| async move {
        // Somebody pushes. GitHub announces a job; the webhook is stored, decided upon, and one runner is reserved.
        let job = world.push("acme/web", LINUX);
        world.until_row(job, |row| row.state == JobState::Queued).await;
        let runners = world.runners();
        assert_eq!(runners.len(), 1);
        assert!(runners[0].name.as_str().starts_with("sr-story-"), "{}", runners[0].name);

        // Its machine boots, its agent claims credentials, registers with GitHub and waits. GitHub gives it the job.
        world.until_running(job).await;
        assert_eq!(world.runner_of(job).as_ref(), Some(&runners[0].name));
        assert_eq!(world.registrations(), [format!("{}-1", runners[0].name)]);

        // The webhook `in_progress` names the runner: only now do the two belong together.
        world.until_row(job, |row| matches!(row.state, JobState::Running { .. })).await;
        let bound = |runner: &fleet::runner::Runner| runner.busy_job() == Some(job);
        world.until("the runner's row names the job", |world| world.runners().iter().any(bound)).await;

        // The job ends. The runner was good for one job: it ends too, and GitHub forgets it.
        world.until_done(job).await;
        world.until_no_machine().await;
        world
            .until("the runner's row", |world| {
                world.runners().iter().all(|runner| matches!(runner.state, RunnerState::Gone { .. }))
            })
            .await;
        assert!(matches!(world.status(job), Status::Done { .. }));

        // Why did it go as it went? Each decision is kept with its reason, for the job and for its runner.
        world.until_row(job, |row| !row.state.is_open()).await;
        let (why, runner) = (world.why(job).await, &runners[0].name);
        assert_eq!(why[0], "a runner is started for it in pool small@acme/web[linux,self-hosted]");
        assert_eq!(why[1], format!("runs on {runner}-1"));
        assert!(why.contains(&"ended: success".to_owned()), "{why:?}");
        let why = world.why_runner(runner).await;
        assert_eq!(why[0], format!("{runner} is started for pool small@acme/web[linux,self-hosted]"));
        assert_eq!(why[1], format!("runs on {runner}-1"));
        assert_eq!(why[3], format!("{runner} is gone: exit 0"));
    });
    assert_eq!((told.started, told.peak), (1, 1));
}

#[test]
fn a_runner_may_serve_any_job_of_its_pool() {
    let told = story(|world| async move {
        let jobs = [(); 3].map(|()| world.push("globex/one", LINUX));
        for job in jobs {
            world.until_done(job).await;
        }
    });
    assert_eq!((told.started, told.peak), (3, 3));
}
