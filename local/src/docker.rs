//! The Docker engine: each runner is a container of its own.
//!
//! The container's name is `<runner>.<attempt>`, which the engine lets exist once; its labels tell the rest. So the
//! inventory is what the engine lists, and this program may die at any moment.
//!
//! | container | the machine | what is done |
//! |---|---|---|
//! | none, never was | not launched | a launch creates it |
//! | created | about to start, it counts as running | the repeated launch starts it; a stop takes it away |
//! | running, paused, restarting, stopping | runs | watched by the engine's events |
//! | exited, dead, removing | ended | reported; when the report is stored: its log kept (if wanted), its name noted in `ended/`, removed |
//! | none, name in `ended/` | ended | a launch that is asked for again starts nothing |
//! | none, was seen running | somebody removed it | reported as gone |
//!
//! One (runner, attempt) never runs twice. The crash windows of a launch, and what comes after each:
//!
//! 1. killed before the container is created: nothing was started. The stored effect launches again;
//! 2. killed after it was created, before it was started: the repeated launch meets the name and starts what is there.
//!    If the launch is not wanted any more, the sweep finds the container and stops it, which removes it;
//! 3. killed after the start, before the answer: the repeated launch meets the name, finds it running and answers with it;
//! 4. killed after the end, before its report was stored: the container is still there and is reported again;
//! 5. killed after the report was stored, before the removal: it is reported once more (which changes nothing) or its
//!    name is in `ended/`, and is removed.
//!
//! When the engine itself ends, its containers end with it unless its `live-restore` is on. Until it is back launches
//! wait and repeat; then what ended meanwhile is found by listing. The claim token is in the container's environment,
//! so whoever may use the engine can read it there until the container is removed: it is worthless by then.

mod body;
mod images;
mod labels;
mod link;
mod logs;
mod refusal;
mod visitor;
mod watch;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bollard::Docker;
use controller::ports::{ClaimEnv, Compute, ErrorKind, PortError, PortResult};
use fleet::{effect::LaunchSpec, event::Task, ids::TaskId};
use tokio::sync::mpsc;

pub use images::Pull;
pub use visitor::{Seen, Visitor};

use crate::{
    disk,
    names::{self, Ended, is_task_name},
    word::Word,
};
use images::Images;
use watch::{Found, Phase};

/// An agent that was asked to end is given so long, as the process engine gives.
pub const STOP_GRACE: Duration = crate::process::STOP_GRACE;

/// Where the engine listens unless it was told otherwise.
pub const HOST_DEFAULT: &str = "unix:///var/run/docker.sock";

/// The engine's own network.
pub const NETWORK_DEFAULT: &str = "bridge";

/// How the engine runs containers.
#[derive(Debug, Clone)]
pub struct DockerSettings {
    /// Whose containers: those of other stages are invisible.
    pub stage: String,
    /// Where the engine listens: `unix:///…`, or `tcp://127.0.0.1:2375`.
    pub host: String,
    /// Folder for `ended/` and `logs/`.
    pub data: PathBuf,
    /// Image of the classes that name none.
    pub image: Option<String>,
    /// When images are fetched.
    pub pull: Pull,
    /// The network that containers are in: a bridge.
    pub network: String,
    /// Who runs the agent in the container, if not the image's own user.
    pub user: Option<String>,
    /// Folder of the runner program in the image, if the image does not say it in its environment.
    pub runner_dir: Option<String>,
    /// Further variables of the daemon that agents and jobs are given, by name.
    pub pass_env: Vec<String>,
    /// Let programs in the container gain rights, as `sudo` does.
    pub allow_sudo: bool,
    /// How long an agent that was asked to end is given.
    pub stop_grace: Duration,
    /// Keep the logs of ended containers.
    pub keep_logs: bool,
    /// Let agents talk more.
    pub debug: bool,
}

impl DockerSettings {
    /// The usual ones.
    pub fn new(stage: impl Into<String>, data: impl Into<PathBuf>) -> Self {
        Self {
            stage: stage.into(),
            host: HOST_DEFAULT.into(),
            data: data.into(),
            image: None,
            pull: Pull::default(),
            network: NETWORK_DEFAULT.into(),
            user: None,
            runner_dir: None,
            pass_env: Vec::new(),
            allow_sudo: false,
            stop_grace: STOP_GRACE,
            keep_logs: false,
            debug: false,
        }
    }
}

/// Whether a text can name an image.
pub fn is_image(text: &str) -> bool {
    images::is_reference(text)
}

/// The engine.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    inner: Arc<Inner>,
    gateway: Option<IpAddr>,
}

#[derive(Debug)]
struct Inner {
    settings: DockerSettings,
    docker: Docker,
    images: Images,
    /// Whether the engine can limit a container's disk.
    limits_disk: AtomicBool,
    ended: Ended,
    words: mpsc::Sender<Word>,
    tasks: Mutex<BTreeMap<TaskId, Arc<Watched>>>,
}

/// What this life knows of a task beside its container.
#[derive(Debug, Default)]
struct Watched {
    /// One launch, removal or report of a task at a time.
    gate: tokio::sync::Mutex<()>,
    /// Whether it was seen running.
    begun: AtomicBool,
    /// Why it was asked to end.
    stopping: Mutex<Option<Arc<str>>>,
    /// Whether its grace runs.
    graced: AtomicBool,
}

impl DockerEngine {
    /// Finds the engine and everything that an earlier life left, watches what lives, reports what has ended. Reports
    /// go to `words`.
    ///
    /// # Errors
    /// No engine answers, its network is not there, or the data folder cannot be written.
    pub async fn start(settings: DockerSettings, words: mpsc::Sender<Word>) -> PortResult<Self> {
        let docker = link::connect(&settings.host)?;
        let nature = link::look(&docker, &settings).await?;
        let dir = settings.data.join("ended");
        let ended = Ended::open(dir.clone()).map_err(|error| disk::failed("make", &dir, &error))?;
        tracing::info!(engine = %settings.host, limits = %nature, "runners are containers");
        let inner = Arc::new(Inner {
            settings,
            docker,
            images: Images::default(),
            limits_disk: AtomicBool::new(nature.limits_disk),
            ended,
            words,
            tasks: Mutex::default(),
        });
        let since = watch::now_s();
        inner.clone().census().await?;
        tokio::spawn(watch::listen(inner.clone(), since));
        Ok(Self { inner, gateway: nature.gateway })
    }

    /// The machine's own address on the containers' network: how they reach it. `None` where that network has none.
    #[must_use]
    pub fn gateway(&self) -> Option<IpAddr> {
        self.gateway
    }
}

impl Inner {
    fn watched(&self, id: &TaskId) -> Arc<Watched> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.entry(id.clone()).or_default().clone()
    }

    /// Forgets a task, unless somebody else is about to do something with it.
    fn forget(&self, id: &TaskId, watched: &Arc<Watched>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and the caller's own.
        if Arc::strong_count(watched) <= 2 {
            tasks.remove(id);
        }
    }

    async fn launch(self: Arc<Self>, id: TaskId, spec: LaunchSpec, claim: ClaimEnv) -> PortResult<TaskId> {
        let watched = self.watched(&id);
        let gate = watched.gate.lock().await;
        let begun = self.begin(&id, &spec, &claim).await;
        if begun.is_ok() && !self.ended.contains(&id) {
            watched.begun.store(true, Ordering::Relaxed);
        } else {
            self.forget(&id, &watched);
        }
        drop(gate);
        begun.map(|()| id)
    }

    /// Creates and starts a container, or finds the one that there is.
    async fn begin(&self, id: &TaskId, spec: &LaunchSpec, claim: &ClaimEnv) -> PortResult<()> {
        if self.ended.contains(id) {
            return Ok(());
        }
        if let Err(refused) = self.create(id, spec, claim).await {
            // Whatever the engine said: if there is one under this name, an earlier call of this launch made it.
            let found = self.inspect(id).await.map_err(|error| PortError::retry(error.message))?;
            match found.map(|found| found.phase) {
                Some(Phase::Created) => {}
                Some(Phase::Running | Phase::Ended(_)) => return Ok(()),
                None => return Err(definite(refused)),
            }
        }
        self.run(id).await
    }

    async fn create(&self, id: &TaskId, spec: &LaunchSpec, claim: &ClaimEnv) -> PortResult<()> {
        let Some(image) = spec.image.as_ref().or(self.settings.image.as_ref()) else {
            let text = "no image: name one with `image` in the class or below [engine]";
            return Err(PortError::new(ErrorKind::Invalid, text));
        };
        let (docker, host) = (&self.docker, &self.settings.host);
        if self.settings.pull == Pull::Always {
            self.images.fetch_newest(docker, host, image).await?;
        }
        match self.create_with(id, image, spec, claim).await {
            Err(error) if link::is_missing_image(&error) => {
                if self.settings.pull == Pull::Never {
                    return Err(images::not_there(image));
                }
                self.images.fetch_missing(docker, host, image).await?;
                self.create_with(id, image, spec, claim).await.map_err(|error| self.told("create", id, &error))
            }
            Err(error) if self.limits_disk.load(Ordering::Relaxed) && link::is_about_disk(&error) => {
                tracing::warn!("runners have no limit of disk: {error}");
                self.limits_disk.store(false, Ordering::Relaxed);
                self.create_with(id, image, spec, claim).await.map_err(|error| self.told("create", id, &error))
            }
            result => result.map_err(|error| self.told("create", id, &error)),
        }
    }

    async fn create_with(
        &self,
        id: &TaskId,
        image: &str,
        spec: &LaunchSpec,
        claim: &ClaimEnv,
    ) -> Result<(), bollard::errors::Error> {
        let limits_disk = self.limits_disk.load(Ordering::Relaxed);
        let body = body::of(&self.settings, limits_disk, image, spec, claim);
        self.docker.create_container(Some(link::named(id)), body).await.map(drop)
    }

    /// Starts a container that was created. What the engine refuses to start is taken away again.
    async fn run(&self, id: &TaskId) -> PortResult<()> {
        let Err(error) = self.docker.start_container(id.as_str(), link::START).await else { return Ok(()) };
        let told = self.told("start", id, &error);
        if refusal::status(&error).is_none() {
            return Err(told);
        }
        // This occurs when the program or the network is not there, or memory is short. With the container gone it is
        // certain that nothing runs; else the same launch is tried again.
        self.remove(id).await.map_err(|error| PortError::retry(error.message))?;
        let kind = if told.kind == ErrorKind::Retry { ErrorKind::Capacity } else { told.kind };
        Err(definite(PortError::new(kind, told.message)))
    }

    async fn remove(&self, id: &TaskId) -> PortResult<()> {
        match self.docker.remove_container(id.as_str(), Some(link::removal())).await {
            Err(error) if !link::is_going(&error) => Err(self.told("remove", id, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn told(&self, doing: &str, id: &TaskId, error: &bollard::errors::Error) -> PortError {
        refusal::told(&self.settings.host, &format!("{doing} the container {id}"), error)
    }
}

/// A refusal after which it is certain that nothing runs under this name: another attempt may be made. What was not
/// found is the image, the network or the program, all of them the operator's.
fn definite(error: PortError) -> PortError {
    match error.kind {
        ErrorKind::NotFound => {
            let text = format!("{}: check the class and [engine] in the configuration", error.message);
            PortError::new(ErrorKind::Invalid, text)
        }
        // The name is taken, and yet nothing is there: a removal is under way.
        ErrorKind::Conflict => PortError::retry(error.message),
        ErrorKind::Retry
        | ErrorKind::RateLimited { .. }
        | ErrorKind::Capacity
        | ErrorKind::Denied
        | ErrorKind::Invalid => error,
    }
}

impl Watched {
    /// Why it was asked to end.
    fn stopping(&self) -> Option<Arc<str>> {
        self.stopping.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes why it is asked to end: the first reason counts.
    fn begin_stopping(&self, why: &str) {
        let mut stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        stopping.get_or_insert_with(|| why.into());
    }
}

#[async_trait]
impl Compute for DockerEngine {
    async fn launch(&self, spec: &LaunchSpec, claim: &ClaimEnv) -> PortResult<TaskId> {
        let id = names::task_id(spec)?;
        // A task of its own: a caller that gives up waiting must not stop it half way.
        let launching = tokio::spawn(self.inner.clone().launch(id, spec.clone(), claim.clone()));
        launching.await.unwrap_or_else(|error| Err(PortError::retry(format!("the launch was cut off: {error}"))))
    }

    async fn stop(&self, task: &TaskId, why: &str) -> PortResult<()> {
        if !is_task_name(task.as_str()) {
            return Ok(());
        }
        watch::stop(self.inner.clone(), task, why).await
    }

    async fn read(&self, task: &TaskId) -> PortResult<Option<Task>> {
        if !is_task_name(task.as_str()) {
            return Ok(None);
        }
        Ok(self.inner.inspect(task).await?.map(Found::into_task))
    }

    async fn list(&self) -> PortResult<Vec<Task>> {
        self.inner.clone().list().await
    }
}
