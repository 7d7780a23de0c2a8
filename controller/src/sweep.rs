//! `sweep_once`: engine × GitHub × our rows, then everything that follows, each item on its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use fleet::{
    event::{Event, Registration},
    ids::{Repo, RunId, Scope},
    policy::Policy,
    reconcile::{Answer, Findings, Probe, Sight, Verdict, aside_key, judge, repositories},
    rota::How,
    runner::{Runner, RunnerState},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    ports::{ErrorKind, PortError, PortResult, Scan},
    service::Controller,
    settings::{
        BATCH_EVENTS, HOOKS_PER_SWEEP, NAMES_LOOKED_UP, QUIET_SCOPES_PER_SWEEP, READ_POINTS, REDELIVER_WINDOW_MS,
        REDELIVERIES_PER_SWEEP, SCOPE_USED_MS, SWEEP_LEASE_MS, WRITE_POINTS,
    },
};

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// Somebody else is sweeping.
    pub skipped: bool,
    /// Events that followed.
    pub events: usize,
    /// Direct reads that were made.
    pub probes: usize,
    /// Items that failed; the next sweep tries them again.
    pub failures: usize,
}

/// A sweep under way.
struct Round {
    swept: Swept,
    began: Instant,
    /// Nothing new is begun from then on.
    last_start: Option<Instant>,
}

/// What a sweep does, one after the other. Each has its share of the time, so that no slow one takes that of all others.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Repositories and registered runners are listed.
    Runners,
    /// Open jobs are listed.
    Jobs,
    /// What was seen is followed.
    Follow,
}

impl Phase {
    /// When it is to be over, in quarters of the time.
    fn ends(self) -> u32 {
        match self {
            Self::Runners => 1,
            Self::Jobs => 2,
            Self::Follow => 4,
        }
    }
}

/// A sweep that came to its end. One that the store broke off is not kept: the log tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSweep {
    /// When it began, milliseconds.
    pub began_ms: u64,
    /// When it ended, milliseconds.
    pub ended_ms: u64,
    /// What it did.
    pub swept: Swept,
}

impl Controller {
    /// The last sweep of this controller.
    pub fn last_sweep(&self) -> Option<LastSweep> {
        *self.last_sweep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_sweep(&self, last: LastSweep) {
        *self.last_sweep.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// Sweeps for ever, a pause of `interval` after each.
    pub async fn run_sweeper(self: Arc<Self>, interval: Duration) {
        loop {
            match self.sweep_once().await {
                Ok(swept) if swept.failures > 0 => {
                    warn!(failed = swept.failures, "not all of the sweep worked; the next one tries again");
                }
                Ok(_) => {}
                Err(error) => warn!(%error, "could not sweep; tried again"),
            }
            tokio::time::sleep(interval).await;
        }
    }

    /// One sweep.
    ///
    /// # Errors
    /// The store's. Failures of GitHub and the engine are counted, and hide nothing else.
    pub async fn sweep_once(&self) -> PortResult<Swept> {
        self.sweep(Round::new(None)).await
    }

    /// One sweep that begins nothing new from `last_start` on. What it does not come to is the next one's.
    ///
    /// # Errors
    /// As [`Controller::sweep_once`].
    pub async fn sweep_until(&self, last_start: Instant) -> PortResult<Swept> {
        self.sweep(Round::new(Some(last_start))).await
    }

    async fn sweep(&self, mut round: Round) -> PortResult<Swept> {
        let began_ms = self.ports.clock.now_ms();
        let store = &self.ports.store;
        if !store.lease("sweep", &self.owner, began_ms, began_ms + SWEEP_LEASE_MS).await? {
            return Ok(Swept { skipped: true, ..Swept::default() });
        }
        self.sweeps.fetch_add(1, Ordering::Relaxed);
        let policy = self.policy();
        let scan = store.scan().await?;
        let mut findings = self.look(&policy, &scan, &mut round).await;
        for event in self.follow(&findings, &mut round).await {
            self.forget_aside(&event, &mut findings);
        }
        // Before anything that may take its time: what is suspected by now is confirmed by a later sweep alone.
        store.set_suspicions(std::mem::take(&mut findings.suspicions)).await?;
        for probe in self.in_turn(&findings.probes) {
            if round.has_time(Phase::Follow) {
                self.probe(probe, &scan, &mut round).await;
            }
        }
        if self.settings.redeliver {
            self.redeliver_failed(&policy, &mut round).await;
        }
        store.expire(self.ports.clock.now_ms()).await?;
        // Freed at once, so that a restart need not wait for it.
        let ended_ms = self.ports.clock.now_ms();
        store.lease("sweep", &self.owner, ended_ms, ended_ms).await?;
        self.keep_sweep(LastSweep { began_ms, ended_ms, swept: round.swept });
        Ok(round.swept)
    }

    /// Looks at all three and judges.
    async fn look(&self, policy: &Policy, scan: &Scan, round: &mut Round) -> Findings {
        let tasks = round.in_time(Phase::Runners, self.ports.compute.list()).await;
        let tasks = round.keep(tasks, "the engine's machines cannot be listed");
        let repos = self.repositories(policy, scan, round).await;
        let registrations = self.registrations(policy, scan, &repos, round).await;
        let (listed, unread) = self.open_jobs(&repos, scan, round).await;
        let suspicions = self.with_asides(scan);
        let sight = Sight {
            now_ms: self.ports.clock.now_ms(),
            jobs: &scan.open_jobs,
            runners: &scan.runners,
            suspicions: &suspicions,
            tasks: tasks.as_deref(),
            list_lag_ms: self.ports.compute.list_lag_ms(),
            registrations: &registrations,
            listed: &listed,
            unread: &unread,
            inventoried: scan.inventoried,
        };
        let mut findings = self.decider.reconcile(policy, &sight);
        // A repository that was not listed this time keeps its memory.
        let mut polls = self.polls();
        polls.asides.learn(&findings.suspicions, sight.now_ms);
        polls.asides.add_to(&mut findings.suspicions);
        findings
    }

    /// A job that could not be set aside is news to the next sweep too: its reason is not recorded yet.
    fn forget_aside(&self, event: &Event, findings: &mut Findings) {
        if let Event::Job { facts, .. } = event {
            findings.suspicions.remove(&aside_key(&facts.repo, facts.id));
            self.polls().asides.forget(facts.id);
        }
    }

    /// What is stored, and what the poller has set aside since.
    fn with_asides(&self, scan: &Scan) -> BTreeMap<String, u64> {
        let mut suspicions = scan.suspicions.clone();
        let mut polls = self.polls();
        polls.asides.learn(&suspicions, self.ports.clock.now_ms());
        polls.asides.add_to(&mut suspicions);
        suspicions
    }

    async fn repositories(&self, policy: &Policy, scan: &Scan, round: &mut Round) -> BTreeSet<Repo> {
        let mut repos = repositories(policy, &scan.open_jobs);
        if self.settings.discover {
            let all = policy.owners.iter().filter(|(_, rules)| rules.repositories.is_none());
            for (owner, rules) in self.in_turn(all) {
                if !round.has_time(Phase::Runners) || !self.may_read(owner, READ_POINTS, round).await {
                    repos.extend(self.known_of(owner));
                    continue;
                }
                let all = round.in_time(Phase::Runners, self.ports.github.repositories(owner)).await;
                let all = self.heed(owner, all).await;
                let Some(all) = round.keep(all, "an owner's repositories cannot be listed") else {
                    repos.extend(self.known_of(owner));
                    continue;
                };
                repos.extend(all.into_iter().filter(|repo| rules.repositories.is_none() && repo.owner() == owner));
            }
        }
        repos
    }

    /// What earlier sweeps found: an owner who cannot be asked now has not lost its repositories.
    fn known_of(&self, owner: &str) -> Vec<Repo> {
        self.polls().rota.repos().filter(|repo| repo.owner() == owner).cloned().collect()
    }

    async fn registrations(
        &self,
        policy: &Policy,
        scan: &Scan,
        repos: &BTreeSet<Repo>,
        round: &mut Round,
    ) -> BTreeMap<Scope, Vec<Registration>> {
        let now_ms = self.ports.clock.now_ms();
        let used = scan.runners.iter().filter(|runner| is_used(runner, now_ms));
        let mut scopes: BTreeSet<Scope> = used.map(|runner| runner.scope.clone()).collect();
        let all: BTreeSet<Scope> = repos.iter().filter_map(|repo| policy.scope(repo)).collect();
        let quiet = all.difference(&scopes).cloned().collect();
        scopes.extend(self.some(quiet, QUIET_SCOPES_PER_SWEEP));
        let mut lists = BTreeMap::new();
        for scope in self.in_turn(scopes) {
            if !round.has_time(Phase::Runners) || !self.may_read(scope.owner(), READ_POINTS, round).await {
                continue;
            }
            let list = round.in_time(Phase::Runners, self.ports.github.runners(&scope)).await;
            let list = self.heed(scope.owner(), list).await;
            if let Some(list) = round.keep(list, "registered runners cannot be listed") {
                lists.insert(scope, list);
            }
        }
        lists
    }

    /// Lists as the rota allows: those with open jobs; all of them where no poller looks. What it does not come to is
    /// first the next time.
    async fn open_jobs(
        &self,
        repos: &BTreeSet<Repo>,
        scan: &Scan,
        round: &mut Round,
    ) -> (BTreeMap<Repo, Vec<Event>>, BTreeMap<Repo, BTreeSet<RunId>>) {
        let wanted: BTreeSet<Repo> = scan.open_jobs.iter().map(|job| job.facts.repo.clone()).collect();
        let due = self.polls().begin_sweep(repos, &wanted, self.ports.clock.now_ms());
        let (mut lists, mut unread) = (BTreeMap::new(), BTreeMap::new());
        for repo in due {
            let began_ms = self.ports.clock.now_ms();
            if !self.polls().rota.may_list(began_ms) || !round.has_time(Phase::Jobs) {
                break;
            }
            if !self.may_read(repo.owner(), READ_POINTS, round).await {
                continue;
            }
            let look = round.in_time(Phase::Jobs, self.ports.github.look(&repo, How::List)).await;
            let look = self.heed(repo.owner(), look).await.inspect_err(|error| self.look_failed(&repo, error));
            if let Some(look) = round.keep(look, "open jobs cannot be listed") {
                self.looked(&repo, began_ms, &look).await;
                if !look.unread.is_empty() {
                    unread.insert(repo.clone(), look.unread);
                }
                lists.insert(repo, look.jobs.unwrap_or_default());
            }
        }
        (lists, unread)
    }

    /// All of them, another one first each sweep: if time is up, it is not always the same ones that wait.
    fn in_turn<T>(&self, all: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut all: Vec<T> = all.into_iter().collect();
        let start = self.sweeps.load(Ordering::Relaxed) % all.len().max(1);
        all.rotate_left(start);
        all
    }

    /// So many of them, each sweep the next ones.
    fn some<T>(&self, mut all: Vec<T>, count: usize) -> Vec<T> {
        let sweep = self.sweeps.load(Ordering::Relaxed);
        let start = sweep.wrapping_mul(count) % all.len().max(1);
        all.rotate_left(start);
        all.truncate(count);
        all
    }

    /// Whether the owner's budget allows a call now; if not, the next sweep makes it.
    async fn may_read(&self, owner: &str, points: u32, round: &mut Round) -> bool {
        let answer = self.github_budget(owner, points).await;
        matches!(round.keep(answer, "the rate budget cannot be read"), Some(None))
    }

    /// Handles what was found; what could not be, or had no time.
    async fn follow(&self, findings: &Findings, round: &mut Round) -> Vec<Event> {
        round.swept.events += findings.events.len();
        let mut left = Vec::new();
        for batch in findings.events.chunks(BATCH_EVENTS) {
            if round.has_time(Phase::Follow) && self.handle(batch).await.is_ok() {
                continue;
            }
            // One that cannot be handled must not keep the others from it.
            for event in batch {
                let is_done = round.has_time(Phase::Follow) && {
                    let one = self.handle(std::slice::from_ref(event)).await;
                    round.keep(one, "an event cannot be handled").is_some()
                };
                if !is_done {
                    left.push(event.clone());
                }
            }
        }
        if findings.inventory && left.is_empty() {
            let done = self.handle(&[Event::Inventory]).await;
            round.keep(done, "the inventory cannot be stored");
        }
        self.balance().await;
        left
    }

    async fn probe(&self, probe: &Probe, scan: &Scan, round: &mut Round) {
        if let Some(owner) = owner(probe)
            && !self.may_read(owner, READ_POINTS, round).await
        {
            return;
        }
        round.swept.probes += 1;
        let answer = round.in_time(Phase::Follow, self.read(probe)).await;
        let answer = self.heed(owner(probe).unwrap_or_default(), answer).await;
        let Some(answer) = round.keep(answer, "a direct read failed") else { return };
        match judge(probe, answer, &scan.open_jobs) {
            Verdict::Event(event) => {
                info!(?probe, "confirmed by a direct read");
                let handled = self.handle(&[event]).await;
                round.keep(handled, "an event cannot be handled");
            }
            Verdict::Delete(scope, id) => {
                info!(%scope, %id, "a registration that nothing stands behind is deleted");
                if self.may_read(scope.owner(), WRITE_POINTS, round).await {
                    let deleted = self.ports.github.delete_runner(&scope, id).await;
                    let deleted = self.heed(scope.owner(), deleted).await;
                    round.keep(deleted, "a registration cannot be deleted");
                }
            }
            Verdict::Nothing => {}
        }
    }

    async fn first_registered(
        &self,
        scope: &Scope,
        names: &[String],
        counts: impl Fn(&Registration) -> bool,
    ) -> PortResult<Option<Registration>> {
        // One call for all of them, instead of one each, of which only the first is in the budget.
        if names.len() > NAMES_LOOKED_UP as usize {
            let all = self.ports.github.runners(scope).await?;
            let is_one = |seen: &Registration| names.iter().any(|name| **name == *seen.name) && counts(seen);
            return Ok(all.into_iter().find(is_one));
        }
        for name in names {
            let seen = self.ports.github.runner_by_name(scope, name).await?;
            if seen.as_ref().is_some_and(&counts) {
                return Ok(seen);
            }
        }
        Ok(None)
    }

    async fn read(&self, probe: &Probe) -> PortResult<Answer> {
        let github = &self.ports.github;
        match probe {
            Probe::TaskMissing { task, .. } | Probe::TaskAlive { task, .. } => {
                Ok(Answer::Task(self.ports.compute.read(task).await?))
            }
            Probe::Boot { scope, names, .. } => {
                let connected = |seen: &Registration| seen.online || seen.busy;
                Ok(Answer::Registration(self.first_registered(scope, names, connected).await?))
            }
            Probe::Ghost { scope, names, .. } => {
                Ok(Answer::Registration(self.first_registered(scope, names, |_| true).await?))
            }
            Probe::Orphan { scope, id, .. } => Ok(Answer::Registration(github.runner(scope, *id).await?)),
            Probe::Job { job, repo } => Ok(Answer::Job(github.job(repo, *job).await?)),
        }
    }

    /// Where our webhooks are: at the organisation, or at each repository that is named (`true`); perhaps also at those
    /// that were found.
    fn hook_scopes(&self, policy: &Policy) -> Vec<(Scope, bool)> {
        let mut scopes = Vec::new();
        for (name, owner) in &policy.owners {
            match (&owner.repositories, owner.organization) {
                (_, true) => scopes.push((Scope::Org(name.as_str().into()), true)),
                (Some(repos), false) => scopes.extend(repos.iter().map(|repo| (Scope::Repo(repo.clone()), true))),
                (None, false) => {
                    scopes.extend(self.known_of(name).into_iter().map(|repo| (Scope::Repo(repo), false)));
                }
            }
        }
        scopes
    }

    /// Asks for the webhooks again that we did not take.
    async fn redeliver_failed(&self, policy: &Policy, round: &mut Round) {
        let since_ms = self.ports.clock.now_ms().saturating_sub(REDELIVER_WINDOW_MS);
        for (scope, named) in self.some(self.hook_scopes(policy), HOOKS_PER_SWEEP) {
            if !round.has_time(Phase::Follow) || !self.may_read(scope.owner(), READ_POINTS, round).await {
                continue;
            }
            let failed = round.in_time(Phase::Follow, self.ports.github.failed_deliveries(&scope, since_ms)).await;
            let failed = self.heed(scope.owner(), failed).await;
            if !named && failed.as_ref().is_err_and(|error| error.kind == ErrorKind::NotFound) {
                // Nobody said that each repository which is found has a webhook of ours.
                continue;
            }
            let failed = round.keep(failed, "failed deliveries cannot be listed").unwrap_or_default();
            for delivery in failed.into_iter().take(REDELIVERIES_PER_SWEEP) {
                if round.has_time(Phase::Follow) && self.may_read(scope.owner(), WRITE_POINTS, round).await {
                    let asked = self.ports.github.redeliver(&scope, delivery.id).await;
                    let asked = self.heed(scope.owner(), asked).await;
                    round.keep(asked, "a delivery cannot be asked for again");
                }
            }
        }
    }
}

/// Whether a registration of its may be there.
fn is_used(runner: &Runner, now_ms: u64) -> bool {
    if let RunnerState::Gone { at_ms, .. } = &runner.state { now_ms < at_ms + SCOPE_USED_MS } else { true }
}

/// Whose budget at GitHub a direct read costs; the engine's reads cost none.
fn owner(probe: &Probe) -> Option<&str> {
    match probe {
        Probe::TaskMissing { .. } | Probe::TaskAlive { .. } => None,
        Probe::Boot { scope, .. } | Probe::Ghost { scope, .. } | Probe::Orphan { scope, .. } => Some(scope.owner()),
        Probe::Job { repo, .. } => Some(repo.owner()),
    }
}

impl Round {
    fn new(last_start: Option<Instant>) -> Self {
        Self { swept: Swept::default(), began: Instant::now(), last_start }
    }

    /// When a phase is to be over; `None`: when it has done all.
    fn end(&self, phase: Phase) -> Option<Instant> {
        let whole = self.last_start?.saturating_duration_since(self.began);
        Some(self.began + whole * phase.ends() / Phase::Follow.ends())
    }

    fn has_time(&self, phase: Phase) -> bool {
        self.end(phase).is_none_or(|end| Instant::now() < end)
    }

    /// A call that reads, which may be broken off.
    async fn in_time<T>(&self, phase: Phase, call: impl Future<Output = PortResult<T>>) -> PortResult<T> {
        let Some(end) = self.end(phase) else { return call.await };
        let late = |_| Err(PortError::retry("no answer in the time that the sweep has for it"));
        tokio::time::timeout_at(end, call).await.unwrap_or_else(late)
    }

    /// Counts a failure and goes on with the rest.
    fn keep<T>(&mut self, result: Result<T, PortError>, what: &str) -> Option<T> {
        result
            .inspect_err(|error| {
                self.swept.failures += 1;
                warn!(%error, "{what}");
            })
            .ok()
    }
}
