//! Sweeps by example: what is suspected, and when it is looked into.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    class::CredentialKind,
    event::{Event, Registration},
    ids::{JobId, RegistrationId, Repo, RunId},
    job::{Job, JobInput},
    reconcile::{Findings, Probe, Sight},
    runner::{Runner, RunnerState},
};

use crate::decisions::{Desk, job};

/// What a sweep finds that lists these repositories, none with an open job, after one that suspected this.
fn sweep(desk: &Desk, jobs: &[Job], listed: &[&Repo], suspicions: &BTreeMap<String, u64>) -> Findings {
    let listed: BTreeMap<Repo, Vec<Event>> = listed.iter().map(|repo| ((*repo).clone(), Vec::new())).collect();
    let sight = Sight {
        now_ms: desk.now_ms,
        jobs,
        runners: &[],
        suspicions,
        tasks: Some(&[]),
        list_lag_ms: 0,
        registrations: &BTreeMap::new(),
        listed: &listed,
        unread: &BTreeSet::new(),
        inventoried: true,
    };
    fleet::reconcile(&desk.policy, &sight)
}

/// This occurs where a share of the rate limit lets each sweep list some repositories only.
#[test]
fn a_vanished_job_is_looked_into_although_not_each_sweep_lists_its_repository() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let jobs: Vec<Job> = desk.ledger.jobs().cloned().collect();
    let repo = jobs[0].facts.repo.clone();
    let first = sweep(&desk, &jobs, &[&repo], &BTreeMap::new());
    assert_eq!(first.probes, []);
    desk.now_ms += desk.policy.confirm_after_ms;
    let elsewhere = sweep(&desk, &jobs, &[], &first.suspicions);
    assert_eq!((elsewhere.probes.len(), &elsewhere.suspicions), (0, &first.suspicions));
    let again = sweep(&desk, &jobs, &[&repo], &elsewhere.suspicions);
    assert_eq!(again.probes, [Probe::Job { job: JobId(1), repo }]);
}

/// Where more runs are open than a listing reads, a job's run has its turn in one sweep and not in the next.
#[test]
fn a_suspicion_outlives_the_sweeps_in_which_its_run_was_left_out() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let jobs: Vec<Job> = desk.ledger.jobs().cloned().collect();
    let listed = BTreeMap::from([(jobs[0].facts.repo.clone(), Vec::new())]);
    let look = |desk: &Desk, unread: BTreeSet<RunId>, suspicions: &BTreeMap<String, u64>| {
        let sight = Sight {
            now_ms: desk.now_ms,
            jobs: &jobs,
            runners: &[],
            suspicions,
            tasks: Some(&[]),
            list_lag_ms: 0,
            registrations: &BTreeMap::new(),
            listed: &listed,
            unread: &unread,
            inventoried: true,
        };
        fleet::reconcile(&desk.policy, &sight)
    };
    let first = look(&desk, BTreeSet::new(), &BTreeMap::new());
    desk.now_ms += desk.policy.confirm_after_ms;
    let left_out = look(&desk, [jobs[0].facts.run_id].into(), &first.suspicions);
    assert_eq!((left_out.probes.len(), &left_out.suspicions), (0, &first.suspicions));
    let again = look(&desk, BTreeSet::new(), &left_out.suspicions);
    assert_eq!(again.probes.len(), 1);
}

/// Lists of scopes and repositories take turns too: what only a name tells of must survive the turns in between.
#[test]
fn what_no_row_stands_for_is_not_forgotten_while_nobody_looks() {
    let mut desk = Desk::new(6);
    let begun_ms = desk.now_ms;
    let suspicions: BTreeMap<String, u64> =
        ["orphan/acme/web/7", "orphan/globex/9", "aside/acme/web/3", "missing/sr-x"]
            .map(|key| (key.into(), begun_ms))
            .into();
    desk.now_ms += 60_000;
    let kept = sweep(&desk, &[], &[], &suspicions).suspicions;
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["aside/acme/web/3", "orphan/acme/web/7", "orphan/globex/9"]);
    let listed = sweep(&desk, &[], &[&Repo::parse("acme/web").unwrap()], &kept).suspicions;
    assert!(!listed.contains_key("aside/acme/web/3"), "it is no longer open");
    desk.now_ms += 24 * 3_600_000;
    assert_eq!(sweep(&desk, &[], &[], &kept).suspicions, BTreeMap::new(), "GitHub has forgotten them as well");
}

/// A runner that was launched twice with credentials uses those that the engine took: the first, perhaps.
#[test]
fn registrations_of_each_try_to_launch_stay_while_their_runner_lives() {
    let found = |credentials: CredentialKind| {
        let mut desk = Desk::new(6);
        desk.policy.classes[0].credentials = credentials;
        desk.tell(&[job(1, JobInput::Queued)]);
        let runner = Runner {
            claims: 2,
            state: RunnerState::Starting,
            boot_deadline_ms: u64::MAX,
            ..desk.ledger.runners().next().unwrap().clone()
        };
        let offline = |id, n| Registration {
            id: RegistrationId(id),
            name: runner.name.registered(n).into(),
            online: false,
            busy: false,
        };
        let registrations = BTreeMap::from([(runner.scope.clone(), vec![offline(1, 1), offline(2, 2)])]);
        let sight = Sight {
            now_ms: desk.now_ms,
            jobs: &[],
            runners: &[runner],
            suspicions: &BTreeMap::new(),
            tasks: Some(&[]),
            list_lag_ms: 0,
            registrations: &registrations,
            listed: &BTreeMap::new(),
            unread: &BTreeSet::new(),
            inventoried: true,
        };
        fleet::reconcile(&desk.policy, &sight).suspicions.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(found(CredentialKind::Jit), ["orphan/acme/web/1"]);
    assert_eq!(found(CredentialKind::Env), Vec::<String>::new());
}
