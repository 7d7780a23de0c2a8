//! `status --json`. The shape is documented in `docs/commands.md`: fields are added, never changed.

use std::{collections::BTreeMap, path::Path};

use controller::sweep::LastSweep;
use fleet::{
    drain::Extent,
    ids::{ClassName, PoolId},
    job::JobState,
    rota::Outlook,
};
use serde::Serialize;

use crate::{
    control::wire::{Live, Webhooks},
    picture::{ClassLine, Origin, Picture, StageFacts},
};

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Facts<'a> {
    now_ms: u64,
    /// `None`: a stage's.
    data_dir: Option<&'a Path>,
    daemon: Option<Daemon<'a>>,
    no_daemon: Option<&'a str>,
    stage: Option<&'a StageFacts>,
    pub(crate) jobs: Jobs,
    pub(crate) runners: Runners,
    pub(crate) classes: Vec<ClassLine>,
    pub(crate) drains: Vec<Drained>,
    pub(crate) held_pools: Vec<Held>,
    pub(crate) github_budgets: Vec<Budget>,
    inventoried: bool,
    unhandled_webhooks: u64,
    effects: usize,
}

/// The living daemon.
#[derive(Debug, Serialize)]
struct Daemon<'a> {
    version: &'a str,
    pid: u32,
    stage: &'a str,
    url: &'a str,
    started_ms: u64,
    webhooks: &'a Webhooks,
    sweep: Option<LastSweep>,
    sweep_interval_ms: u64,
    polling: Option<Outlook>,
    store_trouble: Option<&'a str>,
}

/// Open jobs by state.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Jobs {
    pub(crate) waiting: usize,
    pub(crate) queued: usize,
    pub(crate) running: usize,
}

/// Live runners.
#[derive(Debug, Serialize)]
pub(crate) struct Runners {
    pub(crate) live: usize,
    /// Most of all classes together; `None` where the configuration is not known.
    pub(crate) max: Option<u32>,
    pub(crate) states: BTreeMap<&'static str, usize>,
}

/// A drain.
#[derive(Debug, Serialize)]
pub(crate) struct Drained {
    /// `None`: all classes.
    pub(crate) class: Option<ClassName>,
    pub(crate) by: String,
    pub(crate) since_ms: u64,
}

/// A pool that is held back.
#[derive(Debug, Serialize)]
pub(crate) struct Held {
    pub(crate) pool: PoolId,
    pub(crate) why: String,
    pub(crate) until_ms: u64,
}

/// What is left of an owner's rate budget at GitHub, as we count it.
#[derive(Debug, Serialize)]
pub(crate) struct Budget {
    pub(crate) owner: String,
    pub(crate) points: u64,
    pub(crate) capacity: u32,
    /// GitHub has refused: nothing is asked before this time, milliseconds.
    pub(crate) closed_until_ms: Option<u64>,
}

impl<'a> Facts<'a> {
    /// What the picture shows.
    pub(crate) fn of(picture: &'a Picture) -> Self {
        Self {
            now_ms: picture.now_ms,
            data_dir: if let Origin::Daemon { data_dir, .. } = &picture.origin { Some(data_dir) } else { None },
            daemon: picture.origin.live().map(daemon),
            no_daemon: picture.origin.absent().map(|absent| &*absent.what),
            stage: if let Origin::Stage(stage) = &picture.origin { Some(stage) } else { None },
            jobs: jobs(picture),
            runners: runners(picture),
            classes: picture.classes(),
            drains: drains(picture),
            held_pools: held(picture),
            github_budgets: budgets(picture),
            inventoried: picture.ledger.is_inventoried(),
            unhandled_webhooks: picture.letters,
            effects: picture.ledger.effects().count(),
        }
    }

    /// One line.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn daemon(live: &Live) -> Daemon<'_> {
    Daemon {
        version: &live.version,
        pid: live.pid,
        stage: &live.policy.stage,
        url: &live.url,
        started_ms: live.started_ms,
        webhooks: &live.webhooks,
        sweep: live.sweep,
        sweep_interval_ms: live.sweep_interval_ms,
        polling: live.polling,
        store_trouble: live.store_trouble.as_deref(),
    }
}

fn jobs(picture: &Picture) -> Jobs {
    let mut jobs = Jobs::default();
    for job in picture.ledger.jobs() {
        match job.state {
            JobState::Waiting => jobs.waiting += 1,
            JobState::Queued => jobs.queued += 1,
            JobState::Running { .. } => jobs.running += 1,
            JobState::Done { .. } => {}
        }
    }
    jobs
}

fn runners(picture: &Picture) -> Runners {
    let mut states = BTreeMap::new();
    for runner in picture.runners(false) {
        *states.entry(runner.state).or_default() += 1;
    }
    Runners { live: states.values().sum(), max: picture.policy.as_ref().map(|policy| policy.max), states }
}

fn drains(picture: &Picture) -> Vec<Drained> {
    let drain = |(extent, drain): (&Extent, &fleet::drain::Drain)| Drained {
        class: if let Extent::Class(name) = extent { Some(name.clone()) } else { None },
        by: drain.by.to_string(),
        since_ms: drain.since_ms,
    };
    picture.ledger.drains().iter().map(drain).collect()
}

fn held(picture: &Picture) -> Vec<Held> {
    let held = picture.ledger.pools().filter(|pool| pool.flags.held_until_ms > picture.now_ms);
    let held =
        held.map(|pool| Held { pool: pool.pool.id, why: pool.flags.held_why, until_ms: pool.flags.held_until_ms });
    held.collect()
}

fn budgets(picture: &Picture) -> Vec<Budget> {
    let ours = picture.ledger.budgets().iter();
    let ours = ours.filter_map(|(name, bucket)| Some((name.strip_prefix("github/")?, bucket)));
    let budget = |(owner, bucket): (&str, &fleet::budget::Bucket)| Budget {
        owner: owner.into(),
        points: bucket.points(picture.now_ms),
        capacity: bucket.capacity,
        closed_until_ms: Some(bucket.blocked_until_ms).filter(|until_ms| *until_ms > picture.now_ms),
    };
    ours.map(budget).collect()
}
