//! The simulated GitHub: jobs, runners, webhooks and REST as GitHub documents them, in virtual time.
//!
//! It is pure: no clock, no IO, no threads. Every method takes `now_ms`, every dice is the seeded generator's, so the
//! same seed and the same calls give the same world. [`crate::http`] puts the REST and webhook face in front of it; the
//! swarm drives it directly, a million jobs in minutes, which is why nothing here builds JSON except [`payload`].
//!
//! What it must not do: know anything of our controller. It is the other side.
//!
//! | module | what it holds |
//! |---|---|
//! | [`model`] | what exists: owners, groups, jobs, registrations, and when GitHub does things by itself |
//! | [`faults`] | what can go wrong, and how often it did |
//! | [`jobs`], [`runners`] | what people and runner programs do |
//! | [`assign`] | which runner gets which job |
//! | [`clock`] | what happens by itself as time passes |
//! | [`delivery`], [`hooks`], [`payload`] | webhooks: their content, their sending, their JSON |
//! | [`rest`], [`rest_jobs`], [`limits`] | REST operations, with lag, lies and rate limits |
//! | [`truth`] | what really is, for checkers |

pub mod assign;
pub mod clock;
pub mod delivery;
pub mod faults;
pub mod hooks;
pub mod jobs;
pub mod limits;
pub mod model;
pub mod payload;
pub mod rest;
pub mod rest_jobs;
pub mod runners;
pub mod truth;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet::ids::{JobId, RegistrationId, Repo, RunId, Scope};

use self::clock::Timer;
use self::faults::HubFaults;
use self::hooks::HookRecord;
use self::limits::Windows;
use self::model::{HubJob, Note, Origin, Owner, OwnerKind, Registered, Run, Times, Token};

/// First job id: beyond 2^32, as today's are (FACTS §1).
const FIRST_JOB: u64 = 43_000_000_000;
/// First run id: beyond 2^32 too.
const FIRST_RUN: u64 = 12_000_000_000;
/// First delivery id.
const FIRST_DELIVERY: u64 = 180_000_000_000;
/// First repository id.
const FIRST_REPO: u64 = 186_853_002;
/// First owner id; the installation of the App on an owner has the same number.
const FIRST_OWNER: u64 = 38_302_899;

/// Numbers that GitHub gives next.
#[derive(Debug)]
pub(crate) struct Next {
    job: u64,
    run: u64,
    delivery: u64,
    registration: u64,
    repo: u64,
    owner: u64,
}

/// The runners registered with one scope.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Live ones by name: a name is unique in its scope.
    names: BTreeMap<Arc<str>, RegistrationId>,
    /// What a listing may show: live ones, and gone ones for as long as reads may lag.
    listed: BTreeSet<RegistrationId>,
}

/// The simulated GitHub.
#[derive(Debug)]
pub struct Hub {
    pub(crate) rng: fastrand::Rng,
    /// What goes wrong. May be changed at any time.
    pub faults: HubFaults,
    /// How often each fault took effect.
    pub faults_seen: BTreeMap<&'static str, u64>,
    /// When GitHub does things by itself. To be set before anything happens.
    pub times: Times,
    pub(crate) owners: BTreeMap<Arc<str>, Owner>,
    pub(crate) repos: BTreeMap<Repo, Arc<Origin>>,
    pub(crate) repo_runs: BTreeMap<Repo, Vec<RunId>>,
    pub(crate) runs: BTreeMap<RunId, Run>,
    pub(crate) jobs: BTreeMap<JobId, HubJob>,
    pub(crate) registrations: BTreeMap<RegistrationId, Registered>,
    pub(crate) registries: BTreeMap<Scope, Registry>,
    pub(crate) tokens: BTreeMap<u128, Token>,
    /// Jobs that no runner has been given, oldest first.
    pub(crate) queue: BTreeSet<(u64, JobId)>,
    /// Runners that a job can be given to.
    pub(crate) idle: BTreeSet<RegistrationId>,
    /// Since when there is something to assign.
    pub(crate) unassigned_since_ms: Option<u64>,
    pub(crate) timers: BTreeSet<(u64, Timer)>,
    pub(crate) records: BTreeMap<u64, HookRecord>,
    pub(crate) outgoing: BTreeSet<(u64, u64)>,
    pub(crate) windows: Windows,
    pub(crate) notes: Option<Vec<(u64, Note)>>,
    pub(crate) next: Next,
}

impl Hub {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            faults: HubFaults::default(),
            faults_seen: BTreeMap::new(),
            times: Times::default(),
            owners: BTreeMap::new(),
            repos: BTreeMap::new(),
            repo_runs: BTreeMap::new(),
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            registrations: BTreeMap::new(),
            registries: BTreeMap::new(),
            tokens: BTreeMap::new(),
            queue: BTreeSet::new(),
            idle: BTreeSet::new(),
            unassigned_since_ms: None,
            timers: BTreeSet::new(),
            records: BTreeMap::new(),
            outgoing: BTreeSet::new(),
            windows: Windows::default(),
            notes: None,
            next: Next {
                job: FIRST_JOB,
                run: FIRST_RUN,
                delivery: FIRST_DELIVERY,
                registration: 1,
                repo: FIRST_REPO,
                owner: FIRST_OWNER,
            },
        }
    }

    /// Adds an owner; one that is there keeps what it has.
    pub fn add_owner(&mut self, name: &str, kind: OwnerKind) {
        let name: Arc<str> = name.to_ascii_lowercase().into();
        if self.owners.contains_key(&name) {
            return;
        }
        let id = self.next.owner;
        self.next.owner += 1;
        self.owners.insert(name.clone(), Owner::new(id, name, kind));
    }

    /// Adds a repository, and its owner as an organisation if there is none.
    pub fn add_repo(&mut self, repo: &Repo, public: bool) {
        self.add_owner(repo.owner(), OwnerKind::Organization);
        let Some(owner) = self.owners.get(repo.owner()) else { return };
        let id = self.next.repo;
        self.next.repo += 1;
        let origin = Origin { repo: repo.clone(), repo_id: id, public, owner_id: owner.id, owner_kind: owner.kind };
        self.repos.insert(repo.clone(), Arc::new(origin));
    }

    /// An owner, to be changed: its groups.
    pub fn owner_mut(&mut self, name: &str) -> Option<&mut Owner> {
        self.owners.get_mut(name)
    }

    /// Keeps a note of all that happens from now on, for a timeline.
    pub fn keep_notes(&mut self) {
        self.notes.get_or_insert_default();
    }

    /// The notes since the last call, oldest first.
    pub fn take_notes(&mut self) -> Vec<(u64, Note)> {
        self.notes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn note(&mut self, now_ms: u64, note: impl FnOnce() -> Note) {
        if let Some(notes) = &mut self.notes {
            notes.push((now_ms, note()));
        }
    }

    pub(crate) fn timer(&mut self, at_ms: u64, timer: Timer) {
        self.timers.insert((at_ms, timer));
    }

    /// There may be a pair of job and runner now.
    pub(crate) fn look_for_pairs(&mut self, now_ms: u64) {
        self.unassigned_since_ms.get_or_insert(now_ms);
    }
}
