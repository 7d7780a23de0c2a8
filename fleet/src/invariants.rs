//! The promises of this project, each as a pure function that is named after it and answers what is broken, in words.
//!
//! Tests, the simulator and the commands call the same functions, each over what it can see: our rows, or the truth of
//! GitHub and the engine. Nothing here decides anything; an empty answer means that the promise is kept.
//!
//! | promise | functions |
//! |---|---|
//! | no-job-lost | [`no_job_lost`] at rest, [`no_job_waits_beside_room`] at any moment |
//! | cap-held | [`cap_held`] |
//! | busy-is-sacred | [`busy_is_sacred`] for a stop on the truth, [`no_busy_runner_given_up`] for a step of a row |
//! | no-surplus | [`no_surplus`] over a whole world, [`no_needless_launch`] for one decision |
//! | scale-to-zero | [`scale_to_zero`] for rows, [`nothing_outside`] for machines and registrations |
//! | secrets-stay-secret | [`secrets_stay_secret`] |
//! | nothing-silent | [`nothing_silent`] |

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use crate::{
    drain::Drains,
    ids::{ClassName, EffectId, JobId, RunnerName},
    job::Job,
    policy::Policy,
    runner::{EndWhy, Runner, RunnerState},
    view::PoolView,
};

/// no-job-lost, at rest: each is a job in scope that should have ended by a runner, and what became of it instead.
pub fn no_job_lost<S: Display>(jobs: impl IntoIterator<Item = (JobId, S)>) -> Vec<String> {
    jobs.into_iter().map(|(job, state)| format!("no-job-lost: job {job} {state}")).collect()
}

/// no-job-lost, at any moment: no pool lacks a runner while the limits have room for one. A pool that is held back has
/// its reason, and a timer that ends it; a drained class has an operator who ends that.
pub fn no_job_waits_beside_room(
    policy: &Policy,
    live: &BTreeMap<ClassName, u32>,
    pools: impl IntoIterator<Item = PoolView>,
    drains: &Drains,
    now_ms: u64,
) -> Vec<String> {
    let fleet: u32 = live.values().sum();
    let has_room = |class: &ClassName| {
        let live = live.get(class).copied().unwrap_or(0);
        fleet < policy.max && policy.class(class).is_some_and(|class| live < class.max)
    };
    let is_held = |pool: &PoolView| pool.flags.held_until_ms > now_ms || pool.flags.fruitless > 0;
    pools
        .into_iter()
        .filter(|pool| pool.deficit() > 0 && !is_held(pool) && !drains.holds(&pool.pool.class))
        .filter(|pool| has_room(&pool.pool.class))
        .map(|pool| format!("no-job-lost: {} lacks {} runners beside room", pool.pool.id, pool.deficit()))
        .collect()
}

/// cap-held: live machines of each class against the limits of the classes and of the fleet.
pub fn cap_held(policy: &Policy, live: &BTreeMap<ClassName, u32>) -> Vec<String> {
    let fleet: u32 = live.values().sum();
    let over = |live: u32, max: u32, of: &str| {
        (live > max).then(|| format!("cap-held: {live} machines{of} live, {max} allowed"))
    };
    let classes = live.iter().filter_map(|(name, live)| {
        // A class that was taken out of the file has no limit of its own; its machines run to their end.
        policy.class(name).and_then(|class| over(*live, class.max, &format!(" of class {name}")))
    });
    over(fleet, policy.max, "").into_iter().chain(classes).collect()
}

/// A stop of a machine, or a deletion of its registration from outside, on the truth of GitHub and the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopSeen<'a> {
    /// Whose machine.
    pub runner: &'a RunnerName,
    /// What was done to it, as a verb in the past.
    pub what: &'a str,
    /// The job that it ran at that moment.
    pub job: Option<JobId>,
    /// Since when it lives, milliseconds.
    pub born_ms: u64,
    /// When it was stopped, milliseconds.
    pub at_ms: u64,
    /// The maximum lifetime of its class, milliseconds.
    pub max_lifetime_ms: u64,
    /// The person who asked for it.
    pub by: Option<&'a str>,
}

/// busy-is-sacred: a runner at work is stopped only at its maximum lifetime or by a person.
pub fn busy_is_sacred(stop: &StopSeen<'_>) -> Option<String> {
    let job = stop.job?;
    let over = stop.at_ms >= stop.born_ms.saturating_add(stop.max_lifetime_ms);
    let allowed = over || stop.by.is_some();
    (!allowed).then(|| format!("busy-is-sacred: {} {} while it ran job {job}", stop.runner, stop.what))
}

/// busy-is-sacred, for a row: one that runs a job is not given up on a guess.
pub fn no_busy_runner_given_up(before: &Runner, after: &Runner) -> Option<String> {
    let (RunnerState::Busy { job, .. }, RunnerState::Ending { why, .. }) = (&before.state, &after.state) else {
        return None;
    };
    let allowed = match why {
        EndWhy::Completed(ended) => job.is_none_or(|job| job == *ended),
        EndWhy::Ended(_) | EndWhy::LifetimeOver | EndWhy::Stopped(_) => true,
        EndWhy::NoDemand | EndWhy::BootOverdue | EndWhy::Ghost => false,
    };
    (!allowed).then(|| format!("busy-is-sacred: {} is ended at work: {}", before.name, why.text()))
}

/// What became of the machines of a world in which nothing fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MachinesUsed {
    /// Machines that were started.
    pub started: u64,
    /// Machines that ran a job.
    pub ran_a_job: u64,
    /// Jobs that another pool's runner took.
    pub stolen: u64,
    /// Jobs that ended without a runner.
    pub cancelled: u64,
}

/// no-surplus, over a whole world: a machine without a job is one whose job was stolen or cancelled.
pub fn no_surplus(used: &MachinesUsed) -> Option<String> {
    let without = used.started.saturating_sub(used.ran_a_job);
    (without > used.stolen.saturating_add(used.cancelled)).then(|| {
        format!(
            "no-surplus: {without} machines ran no job, but only {} jobs were stolen and {} cancelled",
            used.stolen, used.cancelled
        )
    })
}

/// no-surplus, for one decision: in a pool that something was launched for, supply is at most demand afterwards.
pub fn no_needless_launch(pool: &PoolView) -> Option<String> {
    (pool.deficit() < 0).then(|| {
        format!("no-surplus: {} launches with {} runners for {} jobs", pool.pool.id, pool.unbound, pool.queued)
    })
}

/// scale-to-zero, for rows: what is still open, live or pending. A job that waits for an approval waits for a person:
/// the caller leaves it out.
pub fn scale_to_zero<'a>(
    jobs: impl IntoIterator<Item = &'a Job>,
    runners: impl IntoIterator<Item = &'a Runner>,
    effects: impl IntoIterator<Item = &'a EffectId>,
) -> Vec<String> {
    let jobs = jobs.into_iter().filter(|job| job.state.is_open());
    let runners = runners.into_iter().filter(|runner| runner.state.is_live());
    let jobs = jobs.map(|job| format!("the row of job {} is {}", job.facts.id, job.state.label()));
    let runners = runners.map(|runner| format!("the row of {} is {}", runner.name, runner.state.label()));
    let effects = effects.into_iter().map(|id| format!("effect {id} is pending"));
    jobs.chain(runners).chain(effects).map(|text| format!("scale-to-zero: {text}")).collect()
}

/// scale-to-zero, outside: machines that run and registrations that stay.
pub fn nothing_outside<T: Display, R: Display>(
    machines: impl IntoIterator<Item = T>,
    registrations: impl IntoIterator<Item = R>,
) -> Vec<String> {
    let machines = machines.into_iter().map(|task| format!("scale-to-zero: {task} still runs"));
    let registrations = registrations.into_iter().map(|name| format!("scale-to-zero: {name} is still registered"));
    machines.chain(registrations).collect()
}

/// secrets-stay-secret: none of the secrets is in any of the texts (rows, log lines, arguments), each given with the
/// name of its place. The answer names the place alone.
pub fn secrets_stay_secret<P: Display>(texts: impl IntoIterator<Item = (P, String)>, secrets: &[&str]) -> Vec<String> {
    let tells = |text: &str| secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret));
    texts
        .into_iter()
        .filter(|(_, text)| tells(text))
        .map(|(place, _)| format!("secrets-stay-secret: {place} holds one"))
        .collect()
}

/// nothing-silent: every job whose machine went while it ran was told of.
pub fn nothing_silent(interrupted: &BTreeSet<JobId>, told: &BTreeSet<JobId>) -> Vec<String> {
    let untold = interrupted.difference(told);
    untold.map(|job| format!("nothing-silent: job {job} lost its machine and nobody was told")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;

    #[test]
    fn limits_are_of_the_class_and_of_the_fleet() {
        let small = Class { name: "small".into(), max: 2, ..Class::default() };
        let policy = Policy { max: 3, classes: vec![small], ..Policy::default() };
        let broken = |small: u32, other: u32| {
            cap_held(&policy, &BTreeMap::from([("small".into(), small), ("taken-out".into(), other)])).len()
        };
        assert_eq!((broken(2, 1), broken(3, 0), broken(1, 3), broken(3, 1)), (0, 1, 1, 2));
    }

    #[test]
    fn work_may_end_at_its_lifetime_or_by_a_person() {
        let runner = RunnerName::from("sr-dev-1");
        let stop = StopSeen {
            runner: &runner,
            what: "was stopped",
            job: Some(JobId(7)),
            born_ms: 10,
            at_ms: 19,
            max_lifetime_ms: 10,
            by: None,
        };
        let text = busy_is_sacred(&stop).unwrap_or_default();
        assert_eq!(text, "busy-is-sacred: sr-dev-1 was stopped while it ran job 7");
        assert_eq!(busy_is_sacred(&StopSeen { at_ms: 20, ..stop }), None);
        assert_eq!(busy_is_sacred(&StopSeen { by: Some("ada"), ..stop }), None);
        assert_eq!(busy_is_sacred(&StopSeen { job: None, ..stop }), None);
    }

    #[test]
    fn a_machine_without_a_job_needs_an_excuse() {
        let used = MachinesUsed { started: 5, ran_a_job: 3, stolen: 1, cancelled: 1 };
        assert_eq!(no_surplus(&used), None);
        assert!(no_surplus(&MachinesUsed { cancelled: 0, ..used }).is_some());
    }

    #[test]
    fn a_found_secret_is_not_repeated() {
        let texts = [("row a", "token=s3cr3t".to_owned()), ("row b", "token=***".to_owned())];
        assert_eq!(secrets_stay_secret(texts, &["s3cr3t", ""]), ["secrets-stay-secret: row a holds one"]);
    }

    #[test]
    fn who_was_not_told_of_is_named() {
        let job = |id| BTreeSet::from([JobId(id)]);
        assert_eq!(nothing_silent(&job(1), &job(1)), Vec::<String>::new());
        assert_eq!(nothing_silent(&job(1), &job(2)).len(), 1);
    }
}
