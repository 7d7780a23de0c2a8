//! The rota: which repository is asked for its open jobs next, and when.
//!
//! Repositories take turns under a share of GitHub's limits. Those that have or had jobs of late come first, but never
//! take more than half of the share from the quiet ones; those whose webhooks arrive are looked at as seldom as a sweep
//! would. What a look costs is known only afterwards, so the meters may go into debt, and the next look waits until it
//! is paid.
//!
//! It asks nobody and knows no clock; the controller's poller and its sweep do what it says and tell it what came of it.

mod meter;
mod outlook;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    meter::Meter,
    watch::{Kind, Watch},
};
pub use self::{outlook::Outlook, watch::Looked};
use crate::ids::{Repo, RunId};

/// Share of GitHub's limits that looking for jobs may take, in per cent. The rest is for claims and repairs.
pub const SHARE_PERCENT: u32 = 40;

/// GitHub's hourly limit of a token (FACTS §2). What is answered with 304 costs none of it.
pub const GITHUB_PER_HOUR: u32 = 5_000;

/// GitHub's secondary limit of reading calls a minute (FACTS §2). It is not said whether a 304 counts: here it does.
pub const GITHUB_PER_MINUTE: u32 = 900;

/// Milliseconds between two looks at a repository that has, or had of late, jobs.
pub const ACTIVE_MS: u64 = 3_000;

/// Milliseconds between two looks at a quiet one.
pub const QUIET_MS: u64 = 5_000;

/// Milliseconds between two looks at one whose webhooks arrive, unless the sweep's interval is another.
pub const COVERED_MS: u64 = 60_000;

/// So long after its last sign of life a repository counts as active.
pub const ACTIVE_FOR_MS: u64 = 5 * 60_000;

/// So long after an owner's last good delivery its webhooks count as working.
pub const COVERED_FOR_MS: u64 = 60 * 60_000;

/// A glance shows the newest runs only. Each so many looks all open runs are listed, which finds an old one that was
/// run again.
pub const LOOKS_PER_LISTING: u32 = 15;

/// What a failed look is taken to have cost.
pub const FAILED_COST: Cost = Cost { requests: 5, charged: 5 };

/// Longest wait before a repository is tried again that cannot be read.
pub const FAILED_WAIT_MAX_MS: u64 = 10 * 60_000;

/// Open runs whose jobs one listing reads, a request each; the others have their turn in the next ones. All runs of a
/// burst at once would use up GitHub's limit, and nobody could be given credentials.
pub const RUNS_PER_LISTING: usize = 100;

/// So many rounds are looked ahead when it is asked whether what they cost can be spent at once.
const ROUNDS_AHEAD: u32 = 2;

/// Most that one half of the repositories may be behind the other, milliseconds of the share.
const BEHIND_MAX_MS: u64 = 60_000;

/// What calls cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// All requests.
    pub requests: u32,
    /// Those that were not answered with 304.
    pub charged: u32,
}

impl Cost {
    /// One request; `unchanged`: it was answered with 304.
    pub fn of_request(unchanged: bool) -> Self {
        Self { requests: 1, charged: u32::from(!unchanged) }
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.charged = self.charged.saturating_add(other.charged);
    }
}

/// The open runs whose jobs a listing reads, from the one after `last` on, and those that it leaves out.
pub fn runs_to_read(open: impl IntoIterator<Item = RunId>, last: Option<RunId>) -> (Vec<RunId>, BTreeSet<RunId>) {
    let mut runs: Vec<RunId> = open.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    if runs.len() > RUNS_PER_LISTING {
        let start = runs.iter().position(|run| last.is_none_or(|last| *run > last)).unwrap_or(0);
        runs.rotate_left(start);
    }
    let left_out = runs.split_off(runs.len().min(RUNS_PER_LISTING));
    (runs, left_out.into_iter().collect())
}

/// How often is looked, and at what expense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Share of GitHub's limits, in per cent.
    pub share_percent: u32,
    /// Milliseconds between two looks at an active repository.
    pub active_ms: u64,
    /// Milliseconds between two looks at a quiet one.
    pub quiet_ms: u64,
    /// Milliseconds between two looks at one whose webhooks arrive.
    pub covered_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { share_percent: SHARE_PERCENT, active_ms: ACTIVE_MS, quiet_ms: QUIET_MS, covered_ms: COVERED_MS }
    }
}

/// How a repository is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// One request for its newest runs; the open jobs only if one of them has not ended.
    Glance,
    /// Its open jobs at once.
    List,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Look at this one now.
    Look(Repo, How),
    /// Nothing before this time, milliseconds.
    At(u64),
    /// There is nothing to look at.
    Idle,
}

/// The rota.
#[derive(Debug, Clone)]
pub struct Rota {
    pace: Pace,
    requests: Meter,
    charged: Meter,
    watches: BTreeMap<Repo, Watch>,
    /// Owners that are not to be asked before a time, milliseconds.
    shut: BTreeMap<String, u64>,
    /// When an owner's last good delivery came, milliseconds.
    told: BTreeMap<String, u64>,
    /// How much more of the share active ones took while quiet ones waited too, milliseconds; negative: less.
    ahead_ms: i64,
    /// Whether both kinds waited when the last turn was given.
    contested: bool,
}

impl Rota {
    /// An empty one.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            requests: Meter::new(GITHUB_PER_MINUTE, 60_000, pace.share_percent),
            charged: Meter::new(GITHUB_PER_HOUR, 3_600_000, pace.share_percent),
            watches: BTreeMap::new(),
            shut: BTreeMap::new(),
            told: BTreeMap::new(),
            ahead_ms: 0,
            contested: false,
        }
    }

    /// These repositories are served now, and no others.
    pub fn know(&mut self, repos: &BTreeSet<Repo>) {
        self.watches.retain(|repo, _| repos.contains(repo));
        for repo in repos {
            // Not all are listed at their first look, which would cost several requests each.
            let looks = self.watches.len() % LOOKS_PER_LISTING as usize;
            self.watches.entry(repo.clone()).or_insert_with(|| Watch::new(LOOKS_PER_LISTING - looks as u32));
        }
        let owners: BTreeSet<&str> = repos.iter().map(Repo::owner).collect();
        self.shut.retain(|owner, _| owners.contains(owner.as_str()));
        self.told.retain(|owner, _| owners.contains(owner.as_str()));
    }

    /// The repositories that are served.
    pub fn repos(&self) -> impl Iterator<Item = &Repo> {
        self.watches.keys()
    }

    /// Who is next.
    pub fn next(&mut self, now_ms: u64) -> Turn {
        let paid_ms = self.paid_ms();
        if paid_ms > now_ms {
            return Turn::At(paid_ms);
        }
        let mut due: BTreeMap<bool, (u64, &Repo)> = BTreeMap::new();
        let mut first_ms = u64::MAX;
        for (repo, watch) in &self.watches {
            let due_ms = self.due_ms(repo, watch, now_ms);
            first_ms = first_ms.min(due_ms);
            if due_ms <= now_ms {
                let active = self.kind(repo, watch, now_ms) == Kind::Active;
                let best = due.entry(active).or_insert((due_ms, repo));
                *best = (*best).min((due_ms, repo));
            }
        }
        let active_first = self.ahead_ms <= 0;
        self.contested = due.len() > 1;
        let Some((_, repo)) = due.get(&active_first).or(due.values().next()) else {
            return if first_ms == u64::MAX { Turn::Idle } else { Turn::At(first_ms) };
        };
        let repo = (*repo).clone();
        let how = self.watches.get(&repo).map_or(How::Glance, Watch::how);
        Turn::Look(repo, how)
    }

    /// Those that a sweep lists now, in this order, for as long as [`Rota::may_list`] holds: `wanted`, or all of them if
    /// no poller looks at them (`all`). Those come first that were listed longest ago.
    pub fn to_list(&self, wanted: &BTreeSet<Repo>, all: bool, now_ms: u64) -> Vec<Repo> {
        let is_due =
            |(repo, watch): &(&Repo, &Watch)| (all || wanted.contains(*repo)) && self.closed_ms(repo, watch) <= now_ms;
        let mut repos: Vec<_> = self.watches.iter().filter(is_due).collect();
        repos.sort_by_key(|(_, watch)| watch.listed_ms);
        repos.into_iter().map(|(repo, _)| repo.clone()).collect()
    }

    /// Whether the share allows another call.
    pub fn may_list(&self, now_ms: u64) -> bool {
        self.paid_ms() <= now_ms
    }

    /// Somebody looked: what was seen, and what it cost.
    pub fn looked(&mut self, repo: &Repo, looked: &Looked) {
        self.spend(repo, looked.cost, looked.took_ms(), looked.ended_ms);
        if let Some(watch) = self.watches.get_mut(repo) {
            watch.looked(looked);
        }
    }

    /// Something else was asked on behalf of looking.
    pub fn pay(&mut self, cost: Cost, now_ms: u64) {
        self.requests.spend(cost.requests, now_ms);
        self.charged.spend(cost.charged, now_ms);
    }

    /// A look failed: that repository is tried again later each time.
    pub fn failed(&mut self, repo: &Repo, now_ms: u64) {
        self.spend(repo, FAILED_COST, 0, now_ms);
        let first_ms = self.pace.quiet_ms;
        if let Some(watch) = self.watches.get_mut(repo) {
            watch.failed(now_ms, first_ms);
        }
    }

    /// Whether the last look at it failed.
    pub fn is_failing(&self, repo: &Repo) -> bool {
        self.watches.get(repo).is_some_and(|watch| watch.failures > 0)
    }

    /// An owner is not to be asked before this time.
    pub fn shut(&mut self, owner: &str, until_ms: u64) {
        let shut_ms = self.shut.entry(owner.to_owned()).or_default();
        *shut_ms = until_ms.max(*shut_ms);
    }

    /// A good delivery of this repository's came.
    pub fn told(&mut self, repo: &Repo, now_ms: u64) {
        if let Some(watch) = self.watches.get_mut(repo) {
            watch.missed = false;
            self.told.insert(repo.owner().to_owned(), now_ms);
        }
    }

    /// Whether this repository is looked at seldom because its webhooks arrive.
    pub fn is_covered(&self, repo: &Repo, now_ms: u64) -> bool {
        self.watches.get(repo).is_some_and(|watch| self.kind(repo, watch, now_ms) == Kind::Covered)
    }

    /// A look found what no webhook had told: this repository's do not arrive, whatever its owner's others do.
    pub fn missed(&mut self, repo: &Repo) {
        if let Some(watch) = self.watches.get_mut(repo) {
            watch.missed = true;
        }
    }

    fn kind(&self, repo: &Repo, watch: &Watch, now_ms: u64) -> Kind {
        let covered = self.told.get(repo.owner()).is_some_and(|told_ms| now_ms < told_ms + COVERED_FOR_MS);
        if covered && !watch.missed {
            Kind::Covered
        } else if watch.is_active(now_ms) {
            Kind::Active
        } else {
            Kind::Quiet
        }
    }

    fn interval_ms(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Active => self.pace.active_ms,
            Kind::Quiet => self.pace.quiet_ms,
            Kind::Covered => self.pace.covered_ms,
        }
    }

    fn due_ms(&self, repo: &Repo, watch: &Watch, now_ms: u64) -> u64 {
        let interval_ms = self.interval_ms(self.kind(repo, watch, now_ms));
        watch.looked_ms.map_or(0, |at_ms| at_ms + interval_ms).max(self.closed_ms(repo, watch))
    }

    /// Until when it is not to be asked.
    fn closed_ms(&self, repo: &Repo, watch: &Watch) -> u64 {
        watch.closed_ms.max(self.shut.get(repo.owner()).copied().unwrap_or(0))
    }

    fn paid_ms(&self) -> u64 {
        self.requests.paid_ms().max(self.charged.paid_ms())
    }

    fn spend(&mut self, repo: &Repo, cost: Cost, took_ms: u64, now_ms: u64) {
        self.pay(cost, now_ms);
        if std::mem::take(&mut self.contested)
            && let Some(watch) = self.watches.get(repo)
        {
            let affords = self.affords(ROUNDS_AHEAD, now_ms);
            let ms = self.effort_ms(cost, took_ms, affords).min(BEHIND_MAX_MS).cast_signed();
            let active = self.kind(repo, watch, now_ms) == Kind::Active;
            let most = BEHIND_MAX_MS.cast_signed();
            self.ahead_ms = (self.ahead_ms + if active { ms } else { -ms }).clamp(-most, most);
        }
    }

    /// A look keeps the poller busy, or the share until it is paid, whichever takes longer. Where the next rounds can be
    /// spent at once (`affords`), nobody waits for what is charged.
    fn effort_ms(&self, cost: Cost, took_ms: u64, affords: bool) -> u64 {
        let charged = if affords { 0 } else { cost.charged };
        self.requests.price_ms(cost.requests).max(self.charged.price_ms(charged)).max(took_ms).max(1)
    }

    fn affords(&self, rounds: u32, now_ms: u64) -> bool {
        let charged = self.watches.values().map(|watch| watch.efforts().0.cost.charged);
        let round = charged.fold(0_u32, u32::saturating_add);
        self.charged.affords(round.saturating_mul(rounds), now_ms)
    }
}

#[cfg(test)]
mod tests;
