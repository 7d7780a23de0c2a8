//! A thousand jobs at once, on functions, with the limits of AWS and GitHub: only those hold it back. All times are the
//! world's own.

#![allow(clippy::print_stderr, reason = "`--nocapture` shows the figures of docs/performance.md")]

use fleet::{class::CredentialKind, ids::JobId};
use sim::swarm::story::Story;

const JOBS: u32 = 1_000;
const LINUX: &[&str] = &["self-hosted", "linux"];

/// 20 launches at once and 20 a second (`aws::ecs::LAUNCHES`): the last one comes after 49 s.
const LAUNCHED_WITHIN_MS: u64 = 50_000;

/// GitHub gives 180 configurations a minute: 180 at once, the last one after 273 s.
const REGISTERED_BY_JIT_WITHIN_MS: u64 = 367_000;

/// Who registers with a token waits for no limit but the launches'.
const REGISTERED_BY_TOKEN_WITHIN_MS: u64 = 60_000;

/// More than that and GitHub refuses all calls for a while.
const GITHUB_POINTS_A_MINUTE: u32 = 900;

/// Machines are quick here: what is left is what the limits cost.
const BOOT_MAX_MS: u64 = 2_000;

#[test]
fn a_thousand_jobs_start_as_fast_as_the_limits_let_them() {
    let registered_ms = burst(CredentialKind::Jit);
    assert!(registered_ms <= REGISTERED_BY_JIT_WITHIN_MS, "the last one registered after {registered_ms} ms");
}

#[test]
fn tokens_wait_for_no_limit_of_github() {
    let registered_ms = burst(CredentialKind::Token);
    assert!(registered_ms <= REGISTERED_BY_TOKEN_WITHIN_MS, "the last one registered after {registered_ms} ms");
}

/// When the last of the runners was registered, milliseconds after the jobs came.
fn burst(credentials: CredentialKind) -> u64 {
    let (mut launched_ms, mut registered_ms) = (0, 0);
    let times = (&mut launched_ms, &mut registered_ms);
    let told = Story::calm()
        .profile(|profile| {
            profile.called = true;
            profile.controllers = 2;
            profile.launches_at_once = 20;
            profile.boot_max_ms = BOOT_MAX_MS;
            profile.engine_rates = true;
        })
        .faults(|faults| faults.rest_rate_secondary = Some(GITHUB_POINTS_A_MINUTE))
        .policy(|policy| {
            policy.max = JOBS;
            for class in &mut policy.classes {
                (class.max, class.credentials) = (JOBS, credentials);
            }
        })
        .run(|world| async move {
            world.pass(120_000).await;
            let began_ms = world.age_ms();
            let jobs: Vec<JobId> = (0..JOBS).map(|_| world.push("globex/one", LINUX)).collect();
            jobs.iter().for_each(|job| world.lasts(*job, 900_000));
            world.until("all are launched", |world| world.started() >= u64::from(JOBS)).await;
            *times.0 = world.age_ms() - began_ms;
            world.until("all are registered", |world| world.registrations().len() >= JOBS as usize).await;
            *times.1 = world.age_ms() - began_ms;
            for job in jobs {
                world.until_done(job).await;
            }
        });
    eprintln!("{:?} {:?}", told.faults, told.asked);
    eprintln!("{credentials:?}: last launch after {launched_ms} ms, last runner registered after {registered_ms} ms");
    assert!(launched_ms <= LAUNCHED_WITHIN_MS, "the last launch came after {launched_ms} ms");
    registered_ms
}
