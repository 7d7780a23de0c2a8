//! What exists in the simulated GitHub, and after how long GitHub does things by itself.
//!
//! Plain data: what changes it stands in the modules of who changes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleet::ids::{JobId, RegistrationId, Repo, RunId, Scope};
use fleet::job::{Conclusion, JobFacts};
use fleet::labels::LabelSet;

/// Id of every organisation's default runner group, and of the only group at repository scope.
pub const DEFAULT_GROUP: u64 = 1;

/// After how long GitHub does things by itself. The defaults are GitHub's; a demonstration may shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// An assigned job that its runner did not pick up is queued again (FACTS §1: 60 s).
    pub requeue_after_ms: u64,
    /// A running job whose runner says nothing has failed (10 minutes).
    pub lost_after_ms: u64,
    /// A silent idle runner is shown offline and given no jobs. Until then it may be given one, in vain.
    pub offline_after_ms: u64,
    /// A job that is not given to a runner fails (FACTS §1: 24 h).
    pub queue_max_ms: u64,
    /// An ephemeral runner that is not connected vanishes (FACTS §2: 1 day).
    pub unconnected_ephemeral_ms: u64,
    /// Another runner that is not connected vanishes (FACTS §2: 14 days).
    pub unconnected_ms: u64,
    /// A cancelled job that its runner does not end is ended by the server.
    pub force_cancel_ms: u64,
    /// Least time between an occurrence and its webhook.
    pub webhook_min_ms: u64,
    /// Most time between an occurrence and its webhook, if it is not late.
    pub webhook_max_ms: u64,
    /// Whether a connected runner is alive until [`crate::hub::Hub::lost`] says otherwise. If not, each must call
    /// [`crate::hub::Hub::heartbeat`].
    pub assume_heartbeats: bool,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            requeue_after_ms: 60_000,
            lost_after_ms: 600_000,
            offline_after_ms: 60_000,
            queue_max_ms: 86_400_000,
            unconnected_ephemeral_ms: 86_400_000,
            unconnected_ms: 14 * 86_400_000,
            force_cancel_ms: 300_000,
            webhook_min_ms: 0,
            webhook_max_ms: 0,
            assume_heartbeats: true,
        }
    }
}

/// What kind of account an owner is. Only an organisation has runners of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerKind {
    /// An organisation.
    Organization,
    /// A person.
    User,
}

/// An account.
#[derive(Debug, Clone)]
pub struct Owner {
    /// GitHub's number; also that of our App's installation.
    pub id: u64,
    /// Its login in lower case.
    pub login: Arc<str>,
    /// What kind of account.
    pub kind: OwnerKind,
    /// Its runner groups, the default one first.
    pub groups: Vec<Group>,
}

impl Owner {
    pub(crate) fn new(id: u64, login: Arc<str>, kind: OwnerKind) -> Self {
        Self { id, login, kind, groups: vec![Group::new(DEFAULT_GROUP, "Default")] }
    }

    /// The group of that number.
    pub fn group(&self, id: u64) -> Option<&Group> {
        self.groups.iter().find(|group| group.id == id)
    }

    /// Adds a group for all private repositories; returns its number.
    pub fn add_group(&mut self, name: &str) -> u64 {
        let id = self.groups.iter().map(|group| group.id).max().unwrap_or(DEFAULT_GROUP) + 1;
        self.groups.push(Group::new(id, name));
        id
    }

    /// The group of that number, to be changed.
    pub fn group_mut(&mut self, id: u64) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.id == id)
    }
}

/// A runner group: which repositories its runners serve.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its number in its organisation.
    pub id: u64,
    /// Its name.
    pub name: Arc<str>,
    /// The repositories, or all.
    pub repos: Option<BTreeSet<Repo>>,
    /// Whether public repositories may be among them; not so by default (docs.github.com, "Managing access to
    /// self-hosted runners using groups").
    pub allows_public: bool,
}

impl Group {
    fn new(id: u64, name: &str) -> Self {
        Self { id, name: name.into(), repos: None, allows_public: false }
    }

    /// Whether jobs of a repository may be given to its runners.
    pub fn permits(&self, origin: &Origin) -> bool {
        (self.allows_public || !origin.public) && self.repos.as_ref().is_none_or(|repos| repos.contains(&origin.repo))
    }
}

/// A repository, with what payloads say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub repo: Repo,
    /// Its number.
    pub repo_id: u64,
    /// Whether everybody can see it.
    pub public: bool,
    /// Number of its owner.
    pub owner_id: u64,
    /// Kind of its owner.
    pub owner_kind: OwnerKind,
}

/// A workflow run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Its repository.
    pub origin: Arc<Origin>,
    /// Its workflow's name.
    pub workflow: Arc<str>,
    /// Its latest attempt, from 1.
    pub attempt: u32,
    /// When it was created, milliseconds.
    pub created_ms: u64,
    /// Its jobs of all attempts.
    pub jobs: Vec<JobId>,
    /// How many of them have not ended.
    pub(crate) open: usize,
    /// Since when none is open, milliseconds.
    pub(crate) closed_ms: Option<u64>,
}

/// A job to be submitted.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Where.
    pub repo: Repo,
    /// In which run; a new one if absent.
    pub run: Option<RunId>,
    /// Its workflow's name, for a new run.
    pub workflow: Arc<str>,
    /// Its display name.
    pub name: Arc<str>,
    /// What it asks for.
    pub labels: Vec<String>,
    /// The environment whose approval it waits for.
    pub environment: Option<Arc<str>>,
    /// Whether its condition says no: it ends at once, and nothing is said of it before.
    pub skipped: bool,
}

impl NewJob {
    /// A job with these labels in a run of its own.
    pub fn new(repo: &Repo, name: &str, labels: &[&str]) -> Self {
        Self {
            repo: repo.clone(),
            run: None,
            workflow: "CI".into(),
            name: name.into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            environment: None,
            skipped: false,
        }
    }

    /// It needs an approval.
    #[must_use]
    pub fn in_environment(mut self, name: &str) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// It belongs to a run that exists.
    #[must_use]
    pub fn in_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }
}

/// Whether an assignment reaches its runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It does.
    Heard,
    /// It is lost: nobody picks the job up.
    Unheard,
    /// It is lost, and GitHub has announced `in_progress` all the same.
    Announced,
}

/// Where a job really stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It waits for an approval.
    Waiting,
    /// It wants a runner.
    Queued,
    /// It is offered to a runner, which has not picked it up. GitHub calls it queued.
    Assigned {
        /// The runner.
        runner: RegistrationId,
        /// Since when, milliseconds.
        at_ms: u64,
        /// Whether the runner learns of it.
        offer: Offer,
    },
    /// It runs.
    Running {
        /// The runner.
        runner: RegistrationId,
    },
    /// It has ended.
    Done {
        /// How.
        conclusion: Conclusion,
        /// Why, which GitHub does not tell.
        cause: Cause,
    },
}

/// Why a job has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its runner said so.
    Finished,
    /// Its condition said no.
    Skipped,
    /// It was cancelled before it started.
    CancelledBefore,
    /// It was cancelled, and its runner did not react.
    CancelForced,
    /// An approval was refused.
    Rejected,
    /// Its runner was silent for too long.
    RunnerLost,
    /// Its runner was deleted while it ran: `busy` lied.
    RunnerDeleted,
    /// It was in the queue for 24 hours.
    QueueTimeout,
}

/// A job of the simulated GitHub.
#[derive(Debug)]
pub struct HubJob {
    /// What payloads tell of it, apart from its status.
    pub facts: Arc<JobFacts>,
    /// Its repository.
    pub origin: Arc<Origin>,
    /// Its workflow's name.
    pub workflow: Arc<str>,
    /// What it asks for; `None` if no runner can have such labels.
    pub labels: Option<LabelSet>,
    /// Whose approval it needs or needed.
    pub environment: Option<Arc<str>>,
    /// Its statuses and since when, oldest first. Never empty.
    pub history: Vec<(u64, Status)>,
    /// Who ran it, or runs it.
    pub ran_on: Option<RegistrationId>,
    /// When it entered the queue for the first time, milliseconds.
    pub queued_ms: Option<u64>,
    /// When it started, milliseconds.
    pub started_ms: Option<u64>,
    /// When it ended, milliseconds.
    pub completed_ms: Option<u64>,
    /// Whether a person asked to end it while it runs.
    pub cancel: bool,
    /// How often it was given to a runner.
    pub assigned: u32,
    /// A delivery that is held back until the next one has overtaken it.
    pub(crate) held: Option<u64>,
}

impl HubJob {
    /// Where it really stands.
    pub fn status(&self) -> Status {
        self.history.last().map_or(Status::Waiting, |(_, status)| *status)
    }

    /// Since when it stands there, milliseconds.
    pub fn since_ms(&self) -> u64 {
        self.history.last().map_or(0, |(at_ms, _)| *at_ms)
    }

    /// Where it stood at a time; `None` before it was created.
    pub fn status_at(&self, at_ms: u64) -> Option<Status> {
        self.history.iter().rev().find(|(since_ms, _)| *since_ms <= at_ms).map(|(_, status)| *status)
    }

    /// The runner that it is given to or runs on.
    pub fn runner(&self) -> Option<RegistrationId> {
        match self.status() {
            Status::Assigned { runner, .. } | Status::Running { runner } => Some(runner),
            Status::Waiting | Status::Queued | Status::Done { .. } => None,
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        matches!(self.status(), Status::Running { .. })
    }

    /// Whether it has ended.
    pub fn is_done(&self) -> bool {
        matches!(self.status(), Status::Done { .. })
    }
}

/// The connection of a runner's listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// There was none yet.
    Never,
    /// It lives.
    Open {
        /// When it was last heard of, milliseconds.
        beat_ms: u64,
    },
    /// Its process died without a word; GitHub has not noticed.
    Silent {
        /// When it was last heard of, milliseconds.
        beat_ms: u64,
    },
    /// There is none any more.
    Closed {
        /// Since when, milliseconds.
        at_ms: u64,
    },
}

impl Session {
    /// Whether GitHub believes it connected.
    pub fn is_online(self) -> bool {
        matches!(self, Self::Open { .. } | Self::Silent { .. })
    }
}

/// Why a registration is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gone {
    /// Somebody deleted it.
    Deleted,
    /// It was ephemeral and its job is over.
    JobDone,
    /// It was not connected for too long.
    Unconnected,
    /// It vanished under a waiting listener, which never learns of it (FACTS §3, actions/runner #4617).
    Ghost,
}

/// A registered runner.
#[derive(Debug)]
pub struct Registered {
    /// Its number.
    pub id: RegistrationId,
    /// Its name.
    pub name: Arc<str>,
    /// What it is registered with.
    pub scope: Scope,
    /// Its labels.
    pub labels: LabelSet,
    /// Its group.
    pub group: u64,
    /// Name of its group.
    pub group_name: Arc<str>,
    /// Whether it runs one job only.
    pub ephemeral: bool,
    /// When it was registered, milliseconds.
    pub created_ms: u64,
    /// Its listener's connection.
    pub session: Session,
    /// The job that it is given or runs.
    pub job: Option<JobId>,
    /// Since when it is gone, and why.
    pub gone: Option<(u64, Gone)>,
    /// What GitHub showed of it, since when: online, busy. Oldest first.
    pub(crate) shown: Vec<(u64, bool, bool)>,
    /// While GitHub says `busy: false` of it although a job runs: from, until.
    pub(crate) lie_ms: Option<(u64, u64)>,
}

impl Registered {
    /// Whether it exists.
    pub fn is_live(&self) -> bool {
        self.gone.is_none()
    }

    /// Whether it existed at a time.
    pub(crate) fn existed(&self, at_ms: u64) -> bool {
        self.created_ms <= at_ms && self.gone.is_none_or(|(gone_ms, _)| at_ms < gone_ms)
    }

    /// Online and busy at a time.
    pub(crate) fn shown_at(&self, at_ms: u64) -> (bool, bool) {
        let entry = self.shown.iter().rev().find(|(since_ms, ..)| *since_ms <= at_ms);
        entry.map_or((false, false), |(_, online, busy)| (*online, *busy))
    }
}

/// A runner to be registered.
#[derive(Debug, Clone)]
pub struct NewRunner {
    /// What with.
    pub scope: Scope,
    /// Its name, unique in the scope.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: LabelSet,
    /// Its group.
    pub group: u64,
    /// Whether it runs one job only.
    pub ephemeral: bool,
}

/// A registration or removal token.
#[derive(Debug, Clone)]
pub struct Token {
    /// What it is good for.
    pub scope: Scope,
    /// Until when, milliseconds.
    pub expires_ms: u64,
}

/// Something that happened, for a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A job was created, or approved, or queued again.
    Queued(JobId),
    /// A job waits for an approval.
    Waiting(JobId),
    /// A job was given to a runner.
    Assigned(JobId, RegistrationId),
    /// A job runs.
    Started(JobId, RegistrationId),
    /// A job ended.
    Done(JobId, Conclusion, Cause),
    /// A runner was registered.
    Registered(RegistrationId),
    /// Its listener connected.
    Connected(RegistrationId),
    /// Its listener's connection ended.
    Disconnected(RegistrationId),
    /// A registration is gone.
    Gone(RegistrationId, Gone),
    /// A webhook was answered with this status.
    Delivered(u64, u16),
}
