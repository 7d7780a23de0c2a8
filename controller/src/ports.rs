//! What the controller needs of the world, as traits. Adapters implement them and know nothing of each other.
//!
//! Every call may fail with a [`PortError`], whose kind is all that a caller branches on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use fleet::{
    budget::{Bucket, Grant},
    class::Pool,
    decide::Moment,
    drain::Drains,
    effect::{LaunchSpec, Notice, Pending},
    event::{Event, Registration, Task},
    ids::{EffectId, JobId, RegistrationId, Repo, RunId, RunnerName, Scope, TaskId},
    job::Job,
    rota::{Cost, How},
    runner::Runner,
    view::{Decision, Keys, PoolView, Record, View},
    wire::env,
};

/// What a caller may branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Whether it was done is not known, or it may work later: do exactly the same again.
    Retry,
    /// Not before this time, milliseconds since 1970.
    RateLimited {
        /// The time.
        until_ms: u64,
    },
    /// The engine definitely did not start it, for want of capacity.
    Capacity,
    /// There is no such thing.
    NotFound,
    /// It exists already, or somebody else changed it.
    Conflict,
    /// We may not: a credential or a permission is missing.
    Denied,
    /// The request itself is wrong: doing it again will not help.
    Invalid,
}

/// A failure of a port, with words for a person. Never holds a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// What to branch on.
    pub kind: ErrorKind,
    /// What happened and what to do.
    pub message: String,
}

impl PortError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// It may work later.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Retry, message)
    }

    /// Somebody else changed it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }
}

/// The result of a port.
pub type PortResult<T> = Result<T, PortError>;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a just-in-time configuration is asked for with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JitRequest {
    /// Name to register: `<base>-<n>`.
    pub name: String,
    /// Scope and labels.
    pub pool: Pool,
    /// Runner group by name; the default one if absent.
    pub group: Option<String>,
}

/// A just-in-time configuration: the runner is registered from the moment it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JitConfig {
    /// GitHub's id of the registration.
    pub id: RegistrationId,
    /// The configuration (base64 with a private key in it).
    pub encoded: Secret,
}

/// A token with which runners register themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationToken {
    /// The page of the scope, which is what a runner registers with: `https://github.com/acme`.
    pub url: String,
    /// It. Good for any number of runners of its scope.
    pub token: Secret,
    /// Until when, milliseconds since 1970.
    pub expires_ms: u64,
}

/// A webhook delivery that did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedDelivery {
    /// The delivery's id.
    pub id: u64,
    /// Its GUID; a redelivery keeps it.
    pub guid: String,
    /// When it was tried, milliseconds.
    pub at_ms: u64,
}

/// What a look at a repository showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Its open jobs; `None` if only its newest runs were looked at, and none of them is open.
    pub jobs: Option<Vec<Event>>,
    /// Open runs that were not read because there are so many: nothing follows from their jobs' absence.
    pub unread: BTreeSet<RunId>,
    /// Whether a run is open.
    pub open: bool,
    /// Whether its newest runs were looked at and are not what they were the last time.
    pub changed: bool,
    /// What it cost.
    pub cost: Cost,
}

/// GitHub.
#[async_trait]
pub trait GitHub: Send + Sync {
    /// Registers a runner and returns its configuration. Not idempotent: `Conflict` if the name exists.
    async fn jit_config(&self, request: &JitRequest) -> PortResult<JitConfig>;

    /// A token with which runners of a scope register themselves. Registers nothing.
    async fn registration_token(&self, scope: &Scope) -> PortResult<RegistrationToken>;

    /// All runners registered with a scope: complete, or an error.
    async fn runners(&self, scope: &Scope) -> PortResult<Vec<Registration>>;

    /// The runner of that name, read directly.
    async fn runner_by_name(&self, scope: &Scope, name: &str) -> PortResult<Option<Registration>>;

    /// The runner of that id, read directly.
    async fn runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<Option<Registration>>;

    /// Deletes a registration. One that is gone already is fine.
    async fn delete_runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<()>;

    /// One job, read directly (`QueuedDirect` if it is queued), as an event; `None` if there is no such job.
    async fn job(&self, repo: &Repo, id: JobId) -> PortResult<Option<Event>>;

    /// The jobs of the runs that are queued, in progress, waiting or pending, as events; of so many of them as
    /// [`fleet::rota::RUNS_PER_LISTING`].
    async fn open_jobs(&self, repo: &Repo) -> PortResult<Vec<Event>>;

    /// Looks whether a repository has open jobs, as cheaply as can be, and lists them if it has or is to.
    async fn look(&self, repo: &Repo, _how: How) -> PortResult<Look> {
        let jobs = self.open_jobs(repo).await?;
        // As many as listing takes at the least.
        let cost = Cost { requests: 4, charged: 4 };
        Ok(Look { open: !jobs.is_empty(), jobs: Some(jobs), unread: BTreeSet::new(), changed: false, cost })
    }

    /// The repositories of an owner.
    async fn repositories(&self, owner: &str) -> PortResult<Vec<Repo>>;

    /// Runs one job again.
    async fn rerun_job(&self, repo: &Repo, id: JobId) -> PortResult<()>;

    /// Webhook deliveries to us that failed with 5xx or a time-out since `since_ms`, and have not succeeded since.
    async fn failed_deliveries(&self, scope: &Scope, since_ms: u64) -> PortResult<Vec<FailedDelivery>>;

    /// Delivers one again.
    async fn redeliver(&self, scope: &Scope, id: u64) -> PortResult<()>;
}

/// How the machine comes to its credentials: told beside its launch, never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimEnv {
    /// It asks for them. The same again for a repeated launch.
    Ask {
        /// Base URL of the control plane, as the machine reaches it.
        url: String,
        /// The claim token.
        token: Secret,
    },
    /// It has them from the start and talks to nobody but GitHub. Others for a repeated launch: the first that the
    /// engine took count.
    Given(
        /// The answer to a claim ([`fleet::wire::ClaimAnswer::Run`]) as JSON.
        Secret,
    ),
}

impl ClaimEnv {
    /// The environment variables that tell it to the agent of this launch ([`fleet::wire::env`]): they hold the secret.
    #[must_use]
    pub fn variables(&self, spec: &LaunchSpec) -> Vec<(&'static str, String)> {
        let mut all = vec![(env::RUNNER, spec.runner.to_string()), (env::ATTEMPT, spec.attempt.to_string())];
        match self {
            Self::Ask { url, token } => {
                all.extend([(env::URL, url.clone()), (env::CLAIM_TOKEN, token.expose().to_owned())]);
            }
            Self::Given(credentials) => all.push((env::CREDENTIALS, credentials.expose().to_owned())),
        }
        all
    }
}

/// The engine that runs the machines.
#[async_trait]
pub trait Compute: Send + Sync {
    /// Starts a machine. One (runner, attempt) never starts two, however often it is asked.
    /// `Capacity`: definitely not started. `Retry`: not known.
    async fn launch(&self, spec: &LaunchSpec, claim: &ClaimEnv) -> PortResult<TaskId>;

    /// Makes sure that a machine ends. One that is gone already is fine.
    async fn stop(&self, task: &TaskId, why: &str) -> PortResult<()>;

    /// One machine, read directly; `None` if the engine no longer knows it.
    async fn read(&self, task: &TaskId) -> PortResult<Option<Task>>;

    /// All machines of this stage: complete, or an error. May lag by [`Compute::list_lag_ms`].
    async fn list(&self) -> PortResult<Vec<Task>>;

    /// How long a machine may run before it is listed, milliseconds.
    fn list_lag_ms(&self) -> u64 {
        0
    }

    /// The rate at which it takes launches, shared by all who launch; `None`: as fast as they come.
    fn launch_rate(&self) -> Option<Bucket> {
        None
    }
}

/// Everything that a sweep or a read model looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Jobs that have not ended.
    pub open_jobs: Vec<Job>,
    /// All runners, also gone ones that are still kept.
    pub runners: Vec<Runner>,
    /// The pools.
    pub pools: Vec<PoolView>,
    /// First suspicions and when they arose, milliseconds.
    pub suspicions: BTreeMap<String, u64>,
    /// Whether all that the engine runs has been adopted.
    pub inventoried: bool,
    /// Effects not done yet, and how often each was tried.
    pub effects: Vec<(EffectId, Pending)>,
    /// What operators drain.
    pub drains: Drains,
}

/// What to look up in the log of decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Everything, newest first.
    All,
    /// One job.
    Job(JobId),
    /// One runner.
    Runner(RunnerName),
}

/// The store.
#[async_trait]
pub trait Store: Send + Sync {
    /// The part that some events need. Never a scan.
    async fn load(&self, keys: &Keys, now_ms: u64) -> PortResult<View>;

    /// One atomic conditional write; durable when it returns. `Conflict`: load and decide again.
    async fn commit(&self, decision: &Decision, now_ms: u64) -> PortResult<()>;

    /// Takes up to `limit` due effects for `owner`, who holds them until `until_ms`.
    async fn lease_due(
        &self,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
        limit: usize,
    ) -> PortResult<Vec<(EffectId, Pending)>>;

    /// Puts an effect back, to be tried from `due_ms` on, if `owner` still holds it.
    async fn retry_effect(&self, id: &EffectId, owner: &str, due_ms: u64) -> PortResult<()>;

    /// Takes an effect out, if `owner` still holds it.
    async fn finish_effect(&self, id: &EffectId, owner: &str) -> PortResult<()>;

    /// When the next effect may be taken, milliseconds.
    async fn next_due_ms(&self) -> PortResult<Option<u64>>;

    /// Takes or extends a named lease; whether `owner` has it now.
    async fn lease(&self, name: &str, owner: &Arc<str>, now_ms: u64, until_ms: u64) -> PortResult<bool>;

    /// Takes `points` out of a rate budget.
    async fn take_budget(&self, name: &str, limits: Bucket, points: u32, now_ms: u64) -> PortResult<Grant>;

    /// Closes a rate budget until a time that the other side named.
    async fn block_budget(&self, name: &str, limits: Bucket, until_ms: u64) -> PortResult<()>;

    /// Everything that a sweep looks at.
    async fn scan(&self) -> PortResult<Scan>;

    /// Replaces the suspicions.
    async fn set_suspicions(&self, suspicions: BTreeMap<String, u64>) -> PortResult<()>;

    /// Takes out what ended long ago.
    async fn expire(&self, now_ms: u64) -> PortResult<()>;

    /// Entries of the log of decisions, newest first, at most `limit`.
    async fn records(&self, about: &About, limit: usize) -> PortResult<Vec<Record>>;
}

/// An event that was durably appended and is not handled yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What to acknowledge it by.
    pub receipt: u64,
    /// The event.
    pub event: Event,
}

/// The durable queue between intake and decision: a table in `serve`, SQS on AWS. At least once, in no order.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Appends; durable when it returns.
    async fn append(&self, events: &[Event]) -> PortResult<()>;

    /// Up to `limit` letters that nobody holds. They come again after a restart unless acknowledged.
    async fn take(&self, limit: usize) -> PortResult<Vec<Letter>>;

    /// They are handled.
    async fn acknowledge(&self, receipts: &[u64]) -> PortResult<()>;
}

/// Where notices go.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Tells a person (and counts the metric of the notice's kind).
    async fn notify(&self, notice: &Notice) -> PortResult<()>;
}

/// Time and randomness.
pub trait Clock: Send + Sync {
    /// Now, and a number that no other moment has.
    fn moment(&self) -> Moment;

    /// Now, milliseconds since 1970.
    fn now_ms(&self) -> u64 {
        self.moment().now_ms
    }
}

/// All ports together.
#[derive(Clone)]
pub struct Ports {
    /// GitHub.
    pub github: Arc<dyn GitHub>,
    /// The engine.
    pub compute: Arc<dyn Compute>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where notices go.
    pub notifier: Arc<dyn Notifier>,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
}
