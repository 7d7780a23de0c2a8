//! Jobs, runners and classes as lines: what `--json` prints, and what tables are made of. The shapes are documented in
//! `docs/commands.md`: fields are added, never changed.

use std::collections::BTreeMap;

use fleet::{
    drain::Drain,
    ids::{ClassName, JobId, PoolId, Repo, RunnerName},
    job::{Conclusion, Job, JobState},
    policy::Placement,
    runner::{Runner, RunnerState},
    view::View,
};
use serde::Serialize;

use super::Picture;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct JobLine {
    /// GitHub's id.
    pub(crate) id: JobId,
    /// Where it comes from.
    pub(crate) repository: Repo,
    /// Its name.
    pub(crate) name: String,
    /// `waiting` (for an approval), `queued`, `running` or `done`.
    pub(crate) state: String,
    /// Since when it is in that state, milliseconds.
    pub(crate) since_ms: u64,
    /// The labels that it asks for.
    pub(crate) labels: Vec<String>,
    /// The class whose runners may serve it.
    pub(crate) class: Option<ClassName>,
    /// Their pool.
    pub(crate) pool: Option<PoolId>,
    /// The runner that runs it, as registered.
    pub(crate) runner: Option<String>,
    /// How it ended.
    pub(crate) conclusion: Option<Conclusion>,
    /// Why it waits.
    pub(crate) why: Option<String>,
}

/// A runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RunnerLine {
    /// Its base name.
    pub(crate) name: RunnerName,
    /// Its class.
    pub(crate) class: ClassName,
    /// Its pool.
    pub(crate) pool: PoolId,
    /// `reserved`, `starting`, `claimed`, `idle`, `recalled`, `busy`, `ending` or `gone`.
    pub(crate) state: &'static str,
    /// Since when it is in that state, milliseconds; `None` where that is not kept.
    pub(crate) since_ms: Option<u64>,
    /// When it was decided on, milliseconds.
    pub(crate) created_ms: u64,
    /// The job that it runs or ran.
    pub(crate) job: Option<JobId>,
    /// The repository whose job it has, or was started for.
    pub(crate) repository: Option<Repo>,
    /// Why it is ending or gone.
    pub(crate) why: Option<String>,
}

/// A class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ClassLine {
    /// Its name.
    pub(crate) name: ClassName,
    /// Live runners.
    pub(crate) live: usize,
    /// Those that run a job.
    pub(crate) busy: usize,
    /// Most that may live; `None` where the configuration is not known, or has no such class any more.
    pub(crate) max: Option<u32>,
    /// Jobs that wait for it.
    pub(crate) queued: usize,
    /// Its drain, or that of all classes.
    pub(crate) drained: Option<DrainLine>,
}

/// A drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DrainLine {
    /// Who wants it, and why.
    pub(crate) by: String,
    /// Since when, milliseconds.
    pub(crate) since_ms: u64,
}

impl From<&Drain> for DrainLine {
    fn from(drain: &Drain) -> Self {
        Self { by: drain.by.to_string(), since_ms: drain.since_ms }
    }
}

impl Picture {
    /// The jobs: open ones, longest first; with `all` also those that ended and are still kept.
    pub(crate) fn jobs(&mut self, all: bool) -> Vec<JobLine> {
        let is_shown = |job: &&Job| all || job.state.is_open();
        let ids: Vec<JobId> = self.ledger.jobs().filter(is_shown).map(|job| job.facts.id).collect();
        let view = self.view(&ids);
        let shown = self.ledger.jobs().filter(is_shown);
        let mut lines: Vec<JobLine> = shown.map(|job| self.job(&view, job)).collect();
        lines.sort_by_key(|line| (line.state == "done", line.since_ms, line.id));
        lines
    }

    fn job(&self, view: &View, job: &Job) -> JobLine {
        let pool = job.pool.as_ref().and_then(|id| view.pools.get(id));
        let (runner, conclusion, since_ms) = match &job.state {
            JobState::Waiting | JobState::Queued => (None, None, job.head().created_ms),
            JobState::Running { runner, since_ms } => (Some(runner.to_string()), None, *since_ms),
            JobState::Done { conclusion, at_ms } => (None, Some(*conclusion), *at_ms),
        };
        JobLine {
            id: job.facts.id,
            repository: job.facts.repo.clone(),
            name: job.facts.name.to_string(),
            state: job.state.label().to_lowercase(),
            since_ms,
            labels: job.facts.labels.clone(),
            class: pool.map(|pool| pool.pool.class.clone()),
            pool: job.pool.clone(),
            runner: runner.filter(|name| !name.is_empty()),
            conclusion,
            why: self.why_it_waits(view, job),
        }
    }

    /// Why a job waits, in words.
    pub(crate) fn why_it_waits(&self, view: &View, job: &Job) -> Option<String> {
        match job.state {
            JobState::Waiting => return Some("somebody has to approve it at GitHub".into()),
            JobState::Running { .. } | JobState::Done { .. } => return None,
            JobState::Queued => {}
        }
        let Some(pool) = job.pool.as_ref().and_then(|id| view.pools.get(id)) else {
            return self.policy.as_ref().map(|policy| match policy.place(&job.facts) {
                Placement::Closed(class) => format!("class `{class}` is closed (max = 0)"),
                Placement::Unmatched(why) | Placement::Forbidden(why) => why,
                Placement::Pool(pool) => format!("the next sweep moves it to pool {}", pool.id),
            });
        };
        if pool.deficit() <= 0 {
            return Some("a runner is on its way".into());
        }
        Some(self.obstacle(view, pool).unwrap_or_else(|| format!("{} runners are on their way", pool.unbound)))
    }

    /// The runners: live ones, oldest first; with `all` also those that are gone and still kept.
    pub(crate) fn runners(&self, all: bool) -> Vec<RunnerLine> {
        let shown = self.ledger.runners().filter(|runner| all || runner.state.is_live());
        let mut lines: Vec<RunnerLine> = shown.map(runner).collect();
        lines.sort_by(|a, b| {
            (a.state == "gone", a.created_ms, &a.name).cmp(&(b.state == "gone", b.created_ms, &b.name))
        });
        lines
    }

    /// The classes: those of the configuration in its order, then others that have runners or jobs.
    pub(crate) fn classes(&self) -> Vec<ClassLine> {
        let mut counts: BTreeMap<&ClassName, [usize; 3]> = BTreeMap::new();
        for runner in self.ledger.runners().filter(|runner| runner.state.is_live()) {
            let [live, busy, _] = counts.entry(&runner.class).or_default();
            *live += 1;
            *busy += usize::from(matches!(runner.state, RunnerState::Busy { .. }));
        }
        let pools: Vec<(ClassName, u32)> =
            self.ledger.pools().map(|pool| (pool.pool.class.clone(), pool.queued)).collect();
        for (class, queued) in &pools {
            counts.entry(class).or_default()[2] += *queued as usize;
        }
        let configured: Vec<&ClassName> =
            self.policy.iter().flat_map(|policy| &policy.classes).map(|it| &it.name).collect();
        let others = counts.keys().filter(|name| !configured.contains(*name)).copied();
        let names: Vec<&ClassName> = configured.iter().copied().chain(others).collect();
        names.into_iter().map(|name| self.class(name, counts.get(name).copied().unwrap_or_default())).collect()
    }

    fn class(&self, name: &ClassName, [live, busy, queued]: [usize; 3]) -> ClassLine {
        let class = self.policy.as_ref().and_then(|policy| policy.class(name));
        let drained = self.ledger.drains().of(name).map(|(_, drain)| drain.into());
        ClassLine { name: name.clone(), live, busy, max: class.map(|class| class.max), queued, drained }
    }
}

fn runner(row: &Runner) -> RunnerLine {
    let (state, since_ms, job, why) = match &row.state {
        RunnerState::Reserved => ("reserved", Some(row.created_ms), None, None),
        RunnerState::Starting => ("starting", None, None, None),
        RunnerState::Claimed => ("claimed", None, None, None),
        RunnerState::Idle { since_ms } => ("idle", Some(*since_ms), None, None),
        RunnerState::Recalled { since_ms } => ("recalled", Some(*since_ms), None, None),
        RunnerState::Busy { job, since_ms } => ("busy", Some(*since_ms), *job, None),
        RunnerState::Ending { why, .. } => ("ending", None, row.busy_job(), Some(why.text())),
        RunnerState::Gone { why, at_ms, interrupted, .. } => {
            ("gone", Some(*at_ms), *interrupted, Some(why.to_string()))
        }
    };
    RunnerLine {
        name: row.name.clone(),
        class: row.class.clone(),
        pool: row.pool.clone(),
        state,
        since_ms,
        created_ms: row.created_ms,
        job,
        repository: row.repo.clone(),
        why,
    }
}
