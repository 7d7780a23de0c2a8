//! The sweep's judgement: engine × GitHub × our rows → events to handle, things to read directly, suspicions to keep.
//!
//! It writes nothing and stops nothing: what it finds goes through [`mod@crate::decide`] like any webhook, so a system that
//! loses every webhook still converges. A listing that failed is `None` and yields no finding: absence is never
//! concluded from an error, nor from one listing. A suspicion is a stored row and must hold for
//! [`Policy::confirm_after_ms`] before it leads to a direct read, whose answer alone is acted on.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use crate::{
    event::{Event, Registration, Task},
    ids::{JobId, RegistrationId, Repo, RunId, RunnerName, Scope, TaskId},
    job::{Job, JobInput, JobState},
    policy::{Placement, Policy},
    runner::{END_GRACE_MS, Runner, RunnerInput, RunnerState},
};

/// Most jobs that one sweep reads directly.
pub const JOB_READS_PER_SWEEP: usize = 50;

/// Registered names that are looked up for a runner whose claims we do not know (after a loss of the store).
const CLAIMS_GUESSED: u32 = 3;

/// What GitHub keeps no longer: a job in its queue, the registration of a runner that never connected (FACTS §1, §2).
const DAY_MS: u64 = 24 * 3_600_000;

/// What a sweep has seen.
#[derive(Debug)]
pub struct Sight<'a> {
    /// Now, milliseconds.
    pub now_ms: u64,
    /// Jobs that have not ended.
    pub jobs: &'a [Job],
    /// All runners, also gone ones.
    pub runners: &'a [Runner],
    /// Earlier suspicions.
    pub suspicions: &'a BTreeMap<String, u64>,
    /// The engine's complete list.
    pub tasks: Option<&'a [Task]>,
    /// How long a machine may run before it is listed, milliseconds.
    pub list_lag_ms: u64,
    /// GitHub's complete lists of runners.
    pub registrations: &'a BTreeMap<Scope, Vec<Registration>>,
    /// GitHub's lists of open jobs.
    pub listed: &'a BTreeMap<Repo, Vec<Event>>,
    /// Open runs that are not in them, because there are so many.
    pub unread: &'a BTreeMap<Repo, BTreeSet<RunId>>,
    /// Whether all that the engine runs has been adopted since the store began.
    pub inventoried: bool,
}

/// A direct read that is to confirm a suspicion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// The engine does not list this runner's machine: is it gone?
    TaskMissing {
        /// Whose.
        runner: RunnerName,
        /// Which.
        task: TaskId,
    },
    /// The engine lists a machine of a gone runner: does it live?
    TaskAlive {
        /// Whose.
        runner: RunnerName,
        /// Which.
        task: TaskId,
    },
    /// Its boot deadline has passed: does GitHub show it under one of these names?
    Boot {
        /// Which.
        runner: RunnerName,
        /// Where.
        scope: Scope,
        /// Names that it may have registered with.
        names: Vec<String>,
    },
    /// It waits for a job but is not listed: is its registration gone?
    Ghost {
        /// Which.
        runner: RunnerName,
        /// Where.
        scope: Scope,
        /// Names that it may have registered with.
        names: Vec<String>,
    },
    /// A registration of ours that nothing stands behind: is it offline?
    Orphan {
        /// Where.
        scope: Scope,
        /// Which.
        id: RegistrationId,
        /// Its name.
        name: Arc<str>,
    },
    /// What does GitHub say of this job?
    Job {
        /// Which.
        job: JobId,
        /// Where.
        repo: Repo,
    },
}

/// What a sweep found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// To be handled at once, in this order, each on its own.
    pub events: Vec<Event>,
    /// To be read directly.
    pub probes: Vec<Probe>,
    /// To be kept for the next sweep.
    pub suspicions: BTreeMap<String, u64>,
    /// Whether, once all events are handled, launches may begin.
    pub inventory: bool,
}

/// Judges what a sweep has seen.
pub fn reconcile(policy: &Policy, sight: &Sight<'_>) -> Findings {
    let mut sweep = Sweep::new(policy, sight);
    sweep.tasks();
    for runner in sight.runners {
        if runner.state.is_live() {
            sweep.live_runner(runner);
        } else {
            sweep.gone_runner(runner);
        }
    }
    for (scope, registrations) in sight.registrations {
        registrations.iter().for_each(|registration| sweep.registration(scope, registration));
    }
    sweep.jobs();
    sweep.keep_unseen();
    sweep.inventory();
    sweep.found
}

struct Sweep<'a> {
    policy: &'a Policy,
    sight: &'a Sight<'a>,
    prefix: String,
    rows: BTreeMap<&'a RunnerName, &'a Runner>,
    tasks: BTreeMap<&'a RunnerName, &'a Task>,
    registered: BTreeMap<RunnerName, Vec<(u32, &'a Registration)>>,
    found: Findings,
}

impl<'a> Sweep<'a> {
    fn new(policy: &'a Policy, sight: &'a Sight<'a>) -> Self {
        let prefix = policy.prefix();
        let mut registered: BTreeMap<RunnerName, Vec<(u32, &Registration)>> = BTreeMap::new();
        for registration in sight.registrations.values().flatten() {
            if let Some((base, n)) = RunnerName::parse_registered(&prefix, &registration.name) {
                registered.entry(base).or_default().push((n, registration));
            }
        }
        Self {
            policy,
            sight,
            prefix,
            rows: sight.runners.iter().map(|runner| (&runner.name, runner)).collect(),
            tasks: sight.tasks.unwrap_or_default().iter().map(|task| (&task.runner, task)).collect(),
            registered,
            found: Findings::default(),
        }
    }

    /// Keeps a suspicion; whether it has held long enough.
    fn confirmed(&mut self, key: String) -> bool {
        let since_ms = self.sight.suspicions.get(&key).copied().unwrap_or(self.sight.now_ms);
        self.found.suspicions.insert(key, since_ms);
        self.sight.now_ms.saturating_sub(since_ms) >= self.policy.confirm_after_ms && since_ms < self.sight.now_ms
    }

    /// This occurs where not each sweep lists each repository and scope: what this one did not look at has neither held
    /// nor passed, and a suspicion that is forgotten in between would never be confirmed.
    fn keep_unseen(&mut self) {
        let (listed, registrations) = (&self.sight.listed, &self.sight.registrations);
        let unseen = |job: &&Job| !listed.contains_key(&job.facts.repo) || self.is_unread(job);
        let jobs = self.sight.jobs.iter().filter(unseen);
        let live = self.sight.runners.iter().filter(|runner| runner.state.is_live());
        let runners = live.filter(|runner| !registrations.contains_key(&runner.scope));
        let keys = jobs
            .map(|job| format!("job/{}", job.facts.id))
            .chain(runners.flat_map(|runner| [format!("boot/{}", runner.name), format!("ghost/{}", runner.name)]));
        let kept: Vec<String> = keys.chain(self.unseen_by_name()).collect();
        for key in kept {
            if let Some(since_ms) = self.sight.suspicions.get(&key) {
                self.found.suspicions.insert(key, *since_ms);
            }
        }
    }

    /// Those that no row stands for, so that only their names tell where they arose. Both kinds of things are gone from
    /// GitHub after a day.
    fn unseen_by_name(&self) -> impl Iterator<Item = String> {
        let sight = self.sight;
        let young = |since_ms: u64| sight.now_ms.saturating_sub(since_ms) < DAY_MS;
        let names = sight.suspicions.iter().filter(move |(_, since_ms)| young(**since_ms)).map(|(key, _)| key);
        names
            .filter(move |key| match key.rsplit_once('/').and_then(|(place, _)| place.split_once('/')) {
                Some(("orphan", scope)) => !sight.registrations.keys().any(|listed| listed.to_string() == scope),
                Some(("aside", repo)) => {
                    let named = |seen: &Repo| seen.to_string() == repo;
                    !sight.listed.keys().any(named) || sight.unread.keys().any(named)
                }
                Some(_) | None => false,
            })
            .cloned()
    }

    fn say(&mut self, runner: &Runner, input: RunnerInput) {
        self.found.events.push(Event::Runner { runner: runner.name.clone(), input });
    }

    /// Machines that we have no row of: after a loss of the store all of them look like orphans, and none may be killed.
    fn tasks(&mut self) {
        for task in self.sight.tasks.unwrap_or_default() {
            if task.stopped.is_none() && !self.rows.contains_key(&task.runner) {
                self.found.events.push(Event::Adopt(task.clone()));
            }
        }
    }

    fn live_runner(&mut self, runner: &Runner) {
        self.missing(runner);
        match &runner.state {
            RunnerState::Starting | RunnerState::Claimed => self.booting(runner),
            RunnerState::Idle { since_ms } | RunnerState::Recalled { since_ms } => self.idle(runner, *since_ms),
            RunnerState::Busy { job: Some(job), .. } => self.busy(runner, *job),
            RunnerState::Ending { deadline_ms, .. } => {
                // This occurs when a stop was lost in the engine, or the agent hangs while it ends.
                if self.sight.now_ms >= deadline_ms + END_GRACE_MS {
                    self.say(runner, RunnerInput::StopOverdue);
                }
            }
            RunnerState::Reserved | RunnerState::Busy { job: None, .. } | RunnerState::Gone { .. } => {}
        }
        let over = runner.life_deadline_ms > 0 && self.sight.now_ms >= runner.life_deadline_ms;
        if over && !matches!(runner.state, RunnerState::Ending { .. }) {
            self.say(runner, RunnerInput::LifetimeOver);
        }
    }

    fn missing(&mut self, runner: &Runner) {
        let (Some(_), Some(task)) = (self.sight.tasks, &runner.task) else { return };
        match self.tasks.get(&runner.name) {
            Some(Task { stopped: Some(why), .. }) => self.say(runner, RunnerInput::TaskGone { why: why.clone() }),
            Some(_) => {}
            None => {
                if self.confirmed(format!("missing/{}", runner.name)) {
                    self.found.probes.push(Probe::TaskMissing { runner: runner.name.clone(), task: task.clone() });
                }
            }
        }
    }

    fn booting(&mut self, runner: &Runner) {
        let listed = self.registered.get(&runner.name);
        let connected = listed.and_then(|all| all.iter().find(|(_, seen)| seen.online || seen.busy));
        if let Some((_, seen)) = connected {
            // This occurs when the agent's report was lost, or the store was.
            return self.say(runner, RunnerInput::Connected { registration: Some(seen.id) });
        }
        if self.sight.now_ms < runner.boot_deadline_ms || !self.sight.registrations.contains_key(&runner.scope) {
            return;
        }
        if self.confirmed(format!("boot/{}", runner.name)) {
            let names = names(runner, 1..=runner.claims.max(CLAIMS_GUESSED));
            let (runner, scope) = (runner.name.clone(), runner.scope.clone());
            self.found.probes.push(Probe::Boot { runner, scope, names });
        }
    }

    /// A backstop only: the agent ends an idle runner itself. It serves when the agent hangs.
    fn idle(&mut self, runner: &Runner, since_ms: u64) {
        let idle_ms = self.policy.class(&runner.class).map_or(0, |class| class.idle_timeout_ms);
        let listed = self.registered.contains_key(&runner.name);
        if listed
            || !self.sight.registrations.contains_key(&runner.scope)
            || self.sight.now_ms < since_ms + idle_ms + END_GRACE_MS
        {
            return;
        }
        if self.confirmed(format!("ghost/{}", runner.name)) {
            let last = runner.claims.max(1);
            let names = if keeps_all_names(runner) {
                names(runner, 1..=last.max(CLAIMS_GUESSED))
            } else {
                names(runner, last..=last)
            };
            let (runner, scope) = (runner.name.clone(), runner.scope.clone());
            self.found.probes.push(Probe::Ghost { runner, scope, names });
        }
    }

    /// Its job has ended, but nothing named the runner: ask GitHub who ran it.
    fn busy(&mut self, runner: &Runner, job: JobId) {
        let open = self.sight.jobs.iter().any(|row| row.facts.id == job);
        if let Some(repo) = runner.repo.clone().filter(|_| !open)
            && self.confirmed(format!("served/{}", runner.name))
        {
            self.found.probes.push(Probe::Job { job, repo });
        }
    }

    fn gone_runner(&mut self, runner: &Runner) {
        let alive = self.tasks.get(&runner.name).filter(|task| task.stopped.is_none());
        let Some(task) = alive.map(|task| task.id.clone()) else { return };
        // This occurs when the engine carries out a delayed create after it said that nothing runs.
        if self.confirmed(format!("alive/{}", runner.name)) {
            self.found.probes.push(Probe::TaskAlive { runner: runner.name.clone(), task });
        }
    }

    /// Registrations that were never used: claims whose answer was lost, and what dead runners left.
    fn registration(&mut self, scope: &Scope, registration: &Registration) {
        let Some((base, n)) = RunnerName::parse_registered(&self.prefix, &registration.name) else { return };
        let Some(tasks) = self.sight.tasks else { return };
        let wanted = match self.rows.get(&base) {
            Some(row) if row.state.is_live() => n >= row.claims || keeps_all_names(row),
            Some(_) => false,
            None => tasks.iter().any(|task| task.runner == base && task.stopped.is_none()),
        };
        if wanted || registration.online || registration.busy {
            return;
        }
        if self.confirmed(format!("orphan/{scope}/{}", registration.id)) {
            let (scope, id, name) = (scope.clone(), registration.id, registration.name.clone());
            self.found.probes.push(Probe::Orphan { scope, id, name });
        }
    }

    fn jobs(&mut self) {
        let mut suspects = Vec::new();
        for job in self.sight.jobs {
            self.rematch(job);
            if self.is_doubtful(job) && self.confirmed(format!("job/{}", job.facts.id)) {
                suspects.push(Probe::Job { job: job.facts.id, repo: job.facts.repo.clone() });
            }
        }
        // Each sweep begins elsewhere, so that jobs which stay doubtful do not keep the others from being read.
        let start = (self.sight.now_ms as usize / 1_000 * JOB_READS_PER_SWEEP) % suspects.len().max(1);
        suspects.rotate_left(start);
        self.found.probes.extend(suspects.into_iter().take(JOB_READS_PER_SWEEP));
        for event in self.sight.listed.values().flatten() {
            if self.is_news(event) {
                self.found.events.push(event.clone());
            }
        }
    }

    /// A job that is not for us is set aside once, with the reason, and not again by each sweep that sees it.
    fn is_news(&mut self, event: &Event) -> bool {
        let Event::Job { facts, input } = event else { return true };
        let served = matches!(self.policy.place(facts), Placement::Pool(_) | Placement::Closed(_));
        let names_ours = input.runner().is_some_and(|name| RunnerName::parse_registered(&self.prefix, name).is_some());
        if served || names_ours || self.sight.jobs.iter().any(|job| job.facts.id == facts.id) {
            return true;
        }
        let key = aside_key(&facts.repo, facts.id);
        let seen_ms = self.sight.suspicions.get(&key).copied();
        self.found.suspicions.insert(key, seen_ms.unwrap_or(self.sight.now_ms));
        seen_ms.is_none()
    }

    /// The configuration may have changed since the job was matched.
    fn rematch(&mut self, job: &Job) {
        let placed = match self.policy.place(&job.facts) {
            Placement::Pool(pool) => Some(pool.id),
            Placement::Closed(_) | Placement::Unmatched(_) | Placement::Forbidden(_) => None,
        };
        if job.state == JobState::Queued && placed != job.pool {
            self.found.events.push(Event::Rematch { job: job.facts.id });
        }
    }

    /// Whether GitHub's list says something else of the job than our row, and the list's word is not enough.
    fn is_doubtful(&self, job: &Job) -> bool {
        let Some(listed) = self.sight.listed.get(&job.facts.repo) else { return false };
        let input = listed.iter().find_map(|event| {
            let Event::Job { facts, input } = event else { return None };
            (facts.id == job.facts.id).then_some(input)
        });
        match (&job.state, input) {
            // Not in any open run that was read: it has ended, or the list lags.
            (_, None) => !self.is_unread(job),
            // GitHub may have queued it again.
            (JobState::Running { .. }, Some(JobInput::Queued | JobInput::QueuedDirect | JobInput::Waiting)) => true,
            (JobState::Running { runner, .. }, Some(_)) => self.runner_is_gone(runner),
            (JobState::Waiting | JobState::Queued | JobState::Done { .. }, Some(_)) => false,
        }
    }

    fn is_unread(&self, job: &Job) -> bool {
        self.sight.unread.get(&job.facts.repo).is_some_and(|runs| runs.contains(&job.facts.run_id))
    }

    fn runner_is_gone(&self, name: &str) -> bool {
        RunnerName::parse_registered(&self.prefix, name)
            .and_then(|(base, _)| self.rows.get(&base).map(|row| !row.state.is_live()))
            .unwrap_or(false)
    }

    fn inventory(&mut self) {
        if self.sight.inventoried || self.sight.tasks.is_none() {
            return;
        }
        let key = "inventory".to_owned();
        let since_ms = self.sight.suspicions.get(&key).copied().unwrap_or(self.sight.now_ms);
        self.found.suspicions.insert(key, since_ms);
        self.found.inventory = self.sight.now_ms >= since_ms + self.sight.list_lag_ms;
    }
}

/// Under this a sweep remembers that a listed job is not for us.
pub fn aside_key(repo: &Repo, job: JobId) -> String {
    format!("aside/{repo}/{job}")
}

/// What [`aside_key`] made a key of.
pub fn aside_of(key: &str) -> Option<(Repo, JobId)> {
    let (repo, job) = key.strip_prefix("aside/")?.rsplit_once('/')?;
    Some((Repo::parse(repo)?, JobId(job.parse().ok()?)))
}

/// Whether it may have registered under each of its names: it was launched with its credentials, and with those of which
/// try, if there were several, is not known; or it was found without a row.
fn keeps_all_names(runner: &Runner) -> bool {
    runner.outfit.is_some() || runner.claims == 0
}

/// The names of a runner's credentials, those of these numbers.
fn names(runner: &Runner, numbers: RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|n| runner.name.registered(n)).collect()
}

/// The answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The machine, `None` if the engine no longer knows it.
    Task(Option<Task>),
    /// The first registration found, or the only one asked for.
    Registration(Option<Registration>),
    /// The job as an event, `None` if GitHub does not know it.
    Job(Option<Event>),
}

/// What follows from a direct read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Handle this.
    Event(Event),
    /// Delete this registration.
    Delete(Scope, RegistrationId),
    /// The suspicion was wrong, or cannot be judged.
    Nothing,
}

/// Judges the answer to a probe. `jobs` are the rows that the sweep has seen.
pub fn judge(probe: &Probe, answer: Answer, jobs: &[Job]) -> Verdict {
    let say = |runner: &RunnerName, input| Verdict::Event(Event::Runner { runner: runner.clone(), input });
    match (probe, answer) {
        (Probe::TaskMissing { runner, .. }, Answer::Task(None)) => {
            say(runner, RunnerInput::TaskGone { why: "the engine no longer knows its machine".into() })
        }
        (Probe::TaskMissing { runner, .. }, Answer::Task(Some(Task { stopped: Some(why), .. }))) => {
            say(runner, RunnerInput::TaskGone { why })
        }
        (Probe::TaskAlive { runner, .. }, Answer::Task(Some(Task { stopped: None, id, .. }))) => {
            say(runner, RunnerInput::TaskAlive { task: id })
        }
        (Probe::Boot { runner, .. }, Answer::Registration(Some(seen))) if seen.online || seen.busy => {
            say(runner, RunnerInput::Connected { registration: Some(seen.id) })
        }
        (Probe::Boot { runner, .. }, Answer::Registration(_)) => say(runner, RunnerInput::BootOverdue),
        (Probe::Ghost { runner, .. }, Answer::Registration(None)) => say(runner, RunnerInput::Ghost),
        (Probe::Orphan { scope, id, .. }, Answer::Registration(Some(seen))) if !seen.online && !seen.busy => {
            Verdict::Delete(scope.clone(), *id)
        }
        (Probe::Job { .. }, Answer::Job(Some(event))) => Verdict::Event(event),
        (Probe::Job { job, .. }, Answer::Job(None)) => {
            jobs.iter().find(|row| row.facts.id == *job).map_or(Verdict::Nothing, |row| {
                Verdict::Event(Event::Job { facts: row.facts.clone(), input: JobInput::Missing })
            })
        }
        (
            Probe::TaskMissing { .. }
            | Probe::TaskAlive { .. }
            | Probe::Ghost { .. }
            | Probe::Orphan { .. }
            | Probe::Job { .. }
            | Probe::Boot { .. },
            _,
        ) => Verdict::Nothing,
    }
}

/// The repositories whose open jobs a sweep should list: those that are named, and those that open jobs come from.
pub fn repositories(policy: &Policy, jobs: &[Job]) -> BTreeSet<Repo> {
    let named = policy.owners.values().filter_map(|owner| owner.repositories.as_ref()).flatten();
    named.chain(jobs.iter().map(|job| &job.facts.repo)).cloned().collect()
}
