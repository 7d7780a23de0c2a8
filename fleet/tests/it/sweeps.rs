//! Sweeps by example: what is suspected, and when it is looked into.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    event::{Event, Registration},
    ids::{JobId, RegistrationId, Repo, RunId},
    job::{Job, JobInput},
    reconcile::{Findings, Probe, Sight, aside_key, aside_of},
    runner::{Outfit, Runner, RunnerState},
};

use crate::decisions::{Desk, job};

/// What a sweep finds that lists these repositories, none with an open job, after one that suspected this.
fn sweep(desk: &Desk, jobs: &[Job], listed: &[&Repo], suspicions: &BTreeMap<String, u64>) -> Findings {
    sweep_without(desk, jobs, listed, &BTreeMap::new(), suspicions)
}

/// The same, where the listings had no room for these runs.
fn sweep_without(
    desk: &Desk,
    jobs: &[Job],
    listed: &[&Repo],
    unread: &BTreeMap<Repo, BTreeSet<RunId>>,
    suspicions: &BTreeMap<String, u64>,
) -> Findings {
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
        unread,
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
    let repo = jobs[0].facts.repo.clone();
    let first = sweep(&desk, &jobs, &[&repo], &BTreeMap::new());
    desk.now_ms += desk.policy.confirm_after_ms;
    let unread = BTreeMap::from([(repo.clone(), BTreeSet::from([jobs[0].facts.run_id]))]);
    let left_out = sweep_without(&desk, &jobs, &[&repo], &unread, &first.suspicions);
    assert_eq!((left_out.probes.len(), &left_out.suspicions), (0, &first.suspicions));
    assert_eq!(sweep(&desk, &jobs, &[&repo], &left_out.suspicions).probes.len(), 1);
}

#[test]
fn a_job_that_is_not_for_us_is_not_forgotten_while_its_run_is_left_out() {
    let desk = Desk::new(6);
    let repo = Repo::parse("acme/web").unwrap();
    let aside = BTreeMap::from([(aside_key(&repo, JobId(3)), desk.now_ms)]);
    let unread = BTreeMap::from([(repo.clone(), BTreeSet::from([RunId(3)]))]);
    assert_eq!(sweep_without(&desk, &[], &[&repo], &unread, &aside).suspicions, aside);
    assert_eq!(aside_of(&aside_key(&repo, JobId(3))), Some((repo, JobId(3))));
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
    let found = |outfit: Option<Outfit>| {
        let mut desk = Desk::new(6);
        desk.tell(&[job(1, JobInput::Queued)]);
        let row = desk.ledger.runners().next().unwrap().clone();
        let runner = Runner { claims: 2, outfit, state: RunnerState::Starting, boot_deadline_ms: u64::MAX, ..row };
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
            unread: &BTreeMap::new(),
            inventoried: true,
        };
        fleet::reconcile(&desk.policy, &sight).suspicions.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(found(None), ["orphan/acme/web/1"]);
    assert_eq!(found(Some(Outfit::default())), Vec::<String>::new());
}
