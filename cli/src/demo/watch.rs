//! The observer of a demo: what GitHub, the engine's folders and the daemon's store show, put together to lives of jobs.

use std::collections::BTreeMap;

use controller::ports::Scan;
use fleet::{
    ids::RunnerName,
    runner::{Runner, RunnerState},
};
use local::sqlite::SqliteReader;

use super::{
    github::{JobSight, Sight},
    site::Site,
    timeline::JobLife,
};

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    begun_ms: u64,
    /// What runners' names begin with.
    prefix: String,
    rows: BTreeMap<RunnerName, Runner>,
    /// The jobs, in the order of their announcement.
    pub lives: Vec<JobLife>,
    /// Runners whose agent lives.
    pub live: usize,
    /// Most of them at once.
    pub peak: usize,
}

impl Watch {
    /// Begins now, with the runners of a stage.
    pub fn begin(now_ms: u64, stage: &str) -> Self {
        Self { begun_ms: now_ms, prefix: format!("sr-{stage}-"), ..Self::default() }
    }

    /// Milliseconds since the beginning.
    pub fn since(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.begun_ms)
    }

    /// So many runners live.
    pub fn count(&mut self, live: usize) {
        self.live = live;
        self.peak = self.peak.max(self.live);
    }

    /// Looks at the daemon's store, if it can be read at this moment.
    pub fn look_at_store(&mut self, site: &Site) {
        if let Some(scan) = scan(site) {
            self.rows.extend(scan.runners.into_iter().map(|runner| (runner.name.clone(), runner)));
        }
    }

    /// Puts the jobs together with what is known of their runners.
    pub fn look_at_jobs(&mut self, sight: &Sight) {
        self.lives = sight.jobs.iter().map(|job| self.life(job)).collect();
    }

    /// Runners whose machine was started.
    pub fn runners_started(&self) -> usize {
        self.rows.values().filter(|row| row.task.is_some()).count()
    }

    fn life(&self, job: &JobSight) -> JobLife {
        let since = |at_ms: u64| at_ms.saturating_sub(self.begun_ms);
        let base = job.runner.as_deref().and_then(|name| RunnerName::parse_registered(&self.prefix, name));
        let row = base.and_then(|(base, _)| self.rows.get(&base));
        JobLife {
            id: job.id,
            name: job.name.clone(),
            runner: job.runner.clone(),
            announced_ms: job.queued_ms.map(since),
            launched_ms: row.map(|row| since(row.created_ms)),
            claimed_ms: job.registered_ms.map(since),
            running_ms: job.started_ms.map(since),
            completed_ms: job.completed_ms.map(since),
            gone_ms: row.and_then(gone_ms).map(since),
            conclusion: job.conclusion,
            interrupted: job.interrupted,
        }
    }
}

fn gone_ms(row: &Runner) -> Option<u64> {
    match row.state {
        RunnerState::Gone { at_ms, .. } => Some(at_ms),
        RunnerState::Reserved
        | RunnerState::Starting
        | RunnerState::Claimed
        | RunnerState::Idle { .. }
        | RunnerState::Recalled { .. }
        | RunnerState::Busy { .. }
        | RunnerState::Ending { .. } => None,
    }
}

/// The daemon's rows.
pub fn scan(site: &Site) -> Option<Scan> {
    SqliteReader::open(&site.store()).ok()?.scan().ok()
}

/// Webhooks that the daemon has taken but not handled.
pub fn letters(site: &Site) -> Option<u64> {
    SqliteReader::open(&site.store()).ok()?.letters().ok()
}
