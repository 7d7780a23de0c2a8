//! The engine of one machine: each runner is a process group with a folder of its own.
//!
//! | file in `runners/<runner>.<attempt>/` | written by | meaning |
//! |---|---|---|
//! | `launch.json` | engine | it is (or is about to be) launched; the launch itself, so the inventory is read from disk alone |
//! | `lock` | agent | locked for as long as the agent lives |
//! | `started` | agent, or the engine's fence | an agent began here: none ever will again |
//! | `agent.log` | agent | what it and its runner print |
//! | `runner/`, `home/`, `tmp/` | engine | the runner program, `HOME` and `TMPDIR`, for this task alone |
//! | `cgroup` | engine | path of its control group, where there is one |
//! | `ended` | engine | nothing of it lives any more, and why |
//! | `kept` | engine | reported; only its logs stay |
//!
//! One (runner, attempt) never runs twice. The crash windows of a launch, and what comes after each:
//!
//! 1. killed before `launch.json` is complete: nothing was spawned. The next life sweeps the folder away, the stored
//!    effect launches again;
//! 2. killed after `launch.json`, before the spawn: nobody holds `lock`, nobody wrote `started`. The repeated launch
//!    spawns; if none comes in [`UNBORN_GRACE`], the engine fences the folder by taking both itself;
//! 3. killed after the spawn, before the answer: the repeated launch finds `started` and answers with the same task.
//!    If the agent has not come so far, a second one is spawned: both reach for `lock`, one gets it, the other exits
//!    with 75 without doing anything;
//! 4. killed after the end, before its report was stored: `ended` is on disk and is reported again;
//! 5. asked again after the folder is gone: its name in `ended/` answers, nothing is spawned.
//!
//! The claim token is in the agent's environment only: never in a file, an argument or a log. This engine keeps jobs
//! apart by folders, not by users: a job can read what the daemon's user can.

mod cgroup;
mod folder;
mod program;
mod remove;
mod spawn;
mod tree;
mod watch;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use controller::ports::{ClaimEnv, Compute, ErrorKind, PortError, PortResult};
use fleet::{effect::LaunchSpec, event::Task, ids::TaskId};
use rustix::fd::OwnedFd;
use tokio::sync::{Notify, mpsc};

use cgroup::Cgroups;
use folder::{Folders, Prepared};

use crate::{
    names::{self, is_task_name},
    programs::{ProgramFolder, Programs},
    word::Word,
};

/// An agent that was asked to end is given so long, as ECS and Docker are set to give.
pub const STOP_GRACE: Duration = Duration::from_secs(15);

/// A launch that an earlier life of the daemon left half done is expected to be repeated within this time.
pub const UNBORN_GRACE: Duration = Duration::from_secs(60);

/// How the engine runs agents.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// Folder of the engine: `runners/` and `ended/` are made in it.
    pub root: PathBuf,
    /// The agent's program.
    pub program: PathBuf,
    /// Its arguments. Never a secret: anybody on the machine can read them.
    pub args: Vec<String>,
    /// Folder of the runner program (`run.sh`); each task is given its own copy.
    pub runner_dir: PathBuf,
    /// Where the runner program comes from instead, if it is fetched.
    pub programs: Option<Arc<Programs>>,
    /// Further variables of the daemon that agents and jobs are given, by name.
    pub pass_env: Vec<String>,
    /// How long an agent that was asked to end is given.
    pub stop_grace: Duration,
    /// How long a half-done launch of an earlier life is waited for.
    pub unborn_grace: Duration,
    /// Keep the logs of ended tasks.
    pub keep: bool,
    /// Let agents talk more.
    pub debug: bool,
}

impl ProcessSettings {
    /// The usual ones.
    pub fn new(root: impl Into<PathBuf>, program: impl Into<PathBuf>, runner_dir: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            program: program.into(),
            args: vec!["agent".into()],
            runner_dir: runner_dir.into(),
            programs: None,
            pass_env: Vec::new(),
            stop_grace: STOP_GRACE,
            unborn_grace: UNBORN_GRACE,
            keep: false,
            debug: false,
        }
    }
}

/// The engine.
#[derive(Debug, Clone)]
pub struct ProcessEngine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: ProcessSettings,
    folders: Folders,
    cgroups: Cgroups,
    words: mpsc::Sender<Word>,
    tasks: Mutex<BTreeMap<TaskId, Arc<Watched>>>,
}

/// What this life knows of a task beside its folder.
#[derive(Debug, Default)]
struct Watched {
    /// One launch, stop or fence of a task at a time.
    gate: tokio::sync::Mutex<()>,
    /// The agent's process, once it is known.
    agent: Mutex<Option<Arc<OwnedFd>>>,
    /// Why it was asked to end; `Some` as long as the grace runs.
    stopping: Mutex<Option<Arc<str>>>,
    /// Its state has changed: look again.
    changed: Notify,
}

impl ProcessEngine {
    /// Finds everything that an earlier life left, watches what lives, reports what has ended. Reports go to `words`.
    ///
    /// # Errors
    /// The root cannot be made or read.
    pub async fn start(settings: ProcessSettings, words: mpsc::Sender<Word>) -> PortResult<Self> {
        let root = settings.root.clone();
        let (folders, found) = blocking(move || Folders::open(&root)).await?;
        let inner = Inner { settings, folders, cgroups: Cgroups::detect(), words, tasks: Mutex::default() };
        tracing::info!(limits = %inner.cgroups, "runners are processes of this machine");
        let engine = Self { inner: Arc::new(inner) };
        for id in found {
            engine.inner.watched(&id);
            tokio::spawn(watch::adopted(engine.inner.clone(), id));
        }
        Ok(engine)
    }
}

impl Inner {
    fn watched(&self, id: &TaskId) -> Arc<Watched> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.entry(id.clone()).or_default().clone()
    }

    fn forget(&self, id: &TaskId) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    async fn launch(self: Arc<Self>, id: TaskId, spec: LaunchSpec, claim: ClaimEnv) -> PortResult<TaskId> {
        let watched = self.watched(&id);
        let _gate = watched.gate.lock().await;
        if watched.agent().is_some() {
            return Ok(id);
        }
        let (inner, at, tags) = (self.clone(), id.clone(), spec.clone());
        let program = self.program(&id, &spec).await?;
        let prepared = blocking(move || {
            let from = program.as_ref().map_or(&inner.settings.runner_dir, |program| &program.path);
            inner.folders.prepare(&at, &tags, from)
        })
        .await;
        match prepared {
            Ok(Prepared::Spawn) => self.clone().spawn(&id, &watched, spec, claim).await.map(|()| id),
            Ok(Prepared::Running) => Ok(id),
            Ok(Prepared::Ended) => {
                self.forget(&id);
                Ok(id)
            }
            Err(error) => {
                self.forget(&id);
                Err(error)
            }
        }
    }

    /// The program that was fetched for a runner; held until the runner has its copy.
    async fn program(&self, id: &TaskId, spec: &LaunchSpec) -> PortResult<Option<ProgramFolder>> {
        match &self.settings.programs {
            Some(programs) if self.folders.needs_program(id) => programs.folder(&spec.pool.scope).await.map(Some),
            Some(_) | None => Ok(None),
        }
    }

    async fn spawn(
        self: Arc<Self>,
        id: &TaskId,
        watched: &Arc<Watched>,
        spec: LaunchSpec,
        claim: ClaimEnv,
    ) -> PortResult<()> {
        let (inner, dir) = (self.clone(), self.folders.of(id));
        let spawned = blocking(move || spawn::agent(&inner.settings, &inner.cgroups, &dir, &spec, &claim)).await;
        match spawned {
            Ok((child, pidfd)) => {
                watched.set_agent(pidfd);
                tokio::spawn(watch::child(self.clone(), id.clone(), child));
                Ok(())
            }
            Err(error) => {
                // Nothing of this life runs; the fence makes sure that nothing of an earlier one does either.
                let dir = self.folders.of(id);
                if dir.fence().unwrap_or(false) {
                    dir.remove();
                    self.forget(id);
                    watched.changed.notify_one();
                }
                Err(error)
            }
        }
    }
}

impl Watched {
    fn agent(&self) -> Option<Arc<OwnedFd>> {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_agent(&self, pidfd: Option<OwnedFd>) {
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = pidfd.map(Arc::new);
    }

    /// Why it was asked to end.
    fn stopping(&self) -> Option<Arc<str>> {
        self.stopping.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that it is asked to end; whether it was not before.
    fn begin_stopping(&self, why: &str) -> bool {
        let mut stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let first = stopping.is_none();
        stopping.get_or_insert_with(|| why.into());
        first
    }
}

#[async_trait]
impl Compute for ProcessEngine {
    async fn launch(&self, spec: &LaunchSpec, claim: &ClaimEnv) -> PortResult<TaskId> {
        let id = names::task_id(spec)?;
        // A task of its own: a caller that gives up waiting must not stop it half way.
        let launching = tokio::spawn(self.inner.clone().launch(id, spec.clone(), claim.clone()));
        launching.await.unwrap_or_else(|error| Err(PortError::retry(format!("the launch was cut off: {error}"))))
    }

    async fn stop(&self, task: &TaskId, why: &str) -> PortResult<()> {
        if !is_task_name(task.as_str()) || !self.inner.folders.of(task).is_open() {
            return Ok(());
        }
        watch::stop(self.inner.clone(), task, why).await
    }

    async fn read(&self, task: &TaskId) -> PortResult<Option<Task>> {
        if !is_task_name(task.as_str()) {
            return Ok(None);
        }
        let dir = self.inner.folders.of(task);
        blocking(move || dir.read()).await
    }

    async fn list(&self) -> PortResult<Vec<Task>> {
        let folders = self.inner.folders.clone();
        blocking(move || folders.list()).await
    }
}

/// Runs what may wait for the disk beside the event loop.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> PortResult<T> + Send + 'static) -> PortResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(PortError::new(ErrorKind::Retry, format!("cut off: {error}"))))
}
