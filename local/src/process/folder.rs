//! A task's folder and the set of them: everything that survives the daemon.
//!
//! It reads and writes the files of the table in `process`; it starts and stops nothing.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use controller::ports::{PortError, PortResult};
use fleet::{effect::LaunchSpec, event::Task, ids::TaskId};

use super::{program, remove};
use crate::{
    disk::{failed, make_dirs},
    names::{Ended, is_task_name, task_id},
};

/// What the engine writes into `started` where no agent began.
const FENCED: &str = "fenced";

/// What is to be done for a launch.
pub(super) enum Prepared {
    /// Spawn an agent in the folder.
    Spawn,
    /// One began there already, perhaps in an earlier life.
    Running,
    /// It has ended before.
    Ended,
}

/// The folders of all tasks.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    runners: PathBuf,
    ended: Ended,
}

/// The folder of one task.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folders {
    /// Makes the root, sweeps away what was never launched, and lists what is to be watched.
    pub(super) fn open(root: &Path) -> PortResult<(Self, Vec<TaskId>)> {
        let absolute = std::path::absolute(root).map_err(|error| failed("find", root, &error))?;
        let (runners, ended) = (absolute.join("runners"), absolute.join("ended"));
        make_dirs(&runners).map_err(|error| failed("make", &runners, &error))?;
        let ended = Ended::open(ended.clone()).map_err(|error| failed("make", &ended, &error))?;
        let folders = Self { runners, ended };
        let mut open = Vec::new();
        for id in folders.ids().map_err(|error| failed("read", &folders.runners, &error))? {
            let folder = folders.of(&id);
            if folder.is_open() {
                open.push(id);
            } else if folder.path("kept").exists() {
                // This occurs when we were killed after the folder was marked.
                folder.strip();
            } else {
                // This occurs when we were killed while a folder was made, before anything was spawned in it, or while
                // it was taken away.
                folder.remove();
            }
        }
        Ok((folders, open))
    }

    fn ids(&self) -> io::Result<Vec<TaskId>> {
        let entries: io::Result<Vec<OsString>> =
            fs::read_dir(&self.runners)?.map(|entry| entry.map(|entry| entry.file_name())).collect();
        let names = entries?.into_iter().filter_map(|name| name.into_string().ok());
        Ok(names.filter(|name| is_task_name(name)).map(TaskId::from).collect())
    }

    /// The folder of a task, there or not.
    pub(super) fn of(&self, id: &TaskId) -> Folder {
        Folder { path: self.runners.join(id.as_str()) }
    }

    /// All tasks that have not been reported gone.
    pub(super) fn list(&self) -> PortResult<Vec<Task>> {
        let ids = self.ids().map_err(|error| failed("read", &self.runners, &error))?;
        ids.iter().filter_map(|id| self.of(id).read().transpose()).collect()
    }

    /// Whether a launch of this task would copy the runner program: one that was made, or has ended, does not, and must
    /// be answered even while no program is to be had.
    pub(super) fn needs_program(&self, id: &TaskId) -> bool {
        !self.ended.contains(id) && !self.of(id).is_open()
    }

    /// Makes a folder ready for its agent, or says that there was one.
    pub(super) fn prepare(&self, id: &TaskId, spec: &LaunchSpec, program: &Path) -> PortResult<Prepared> {
        let folder = self.of(id);
        if self.ended.contains(id) || folder.path("ended").exists() || folder.path("kept").exists() {
            return Ok(Prepared::Ended);
        }
        // Not by the lock: an agent that is about to take it would be turned away by a look.
        if folder.is_open() && folder.path("started").exists() {
            return Ok(Prepared::Running);
        }
        if !folder.is_open() {
            folder.make(spec, program).map_err(|error| {
                // Nothing was spawned: a definite refusal, and the folder leaves no trace.
                folder.remove();
                failed("make", &folder.path, &error)
            })?;
        }
        Ok(Prepared::Spawn)
    }

    /// Remembers that a task has ended, for launches that are asked for again.
    pub(super) fn remember(&self, id: &TaskId) -> io::Result<()> {
        self.ended.remember(id)
    }
}

impl Folder {
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.path
    }

    /// Whether it is launched and not reported gone.
    pub(super) fn is_open(&self) -> bool {
        self.path("launch.json").exists() && !self.path("kept").exists()
    }

    fn make(&self, spec: &LaunchSpec, program: &Path) -> io::Result<()> {
        for dir in [self.path.clone(), self.path("home"), self.path("tmp")] {
            make_dirs(&dir)?;
        }
        program::copy(program, &self.path("runner"))?;
        self.write("launch.json", &serde_json::to_string_pretty(spec)?)
    }

    /// A whole file or none.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let draft = self.path(&format!("{name}.new"));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, self.path(name))
    }

    /// The machine as its folder shows it. It counts as running until nothing of it lives.
    pub(super) fn read(&self) -> PortResult<Option<Task>> {
        // The end before the launch: when the folder is taken away the launch goes first, so whoever still finds that
        // has seen the end, too.
        let stopped = self.text("ended")?.map(Into::into);
        let Some(text) = self.text("launch.json")? else { return Ok(None) };
        if self.path("kept").exists() {
            return Ok(None);
        }
        let spec: LaunchSpec = serde_json::from_str(&text).map_err(|error| {
            let at = self.path("launch.json");
            PortError::retry(format!("{} cannot be read: {error}: was it written by a newer version?", at.display()))
        })?;
        Ok(Some(Task {
            id: task_id(&spec)?,
            runner: spec.runner,
            attempt: spec.attempt,
            pool: spec.pool,
            repo: spec.repo,
            created_ms: spec.created_ms,
            stopped,
        }))
    }

    /// A file's text; `None` if there is none (any more).
    pub(super) fn text(&self, name: &str) -> PortResult<Option<String>> {
        match fs::read_to_string(self.path(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &self.path(name), &error)),
        }
    }

    /// Process and start time of the agent that began here.
    pub(super) fn agent(&self) -> Option<(i32, u64)> {
        let text = self.text("started").ok()??;
        let (pid, start) = text.trim().split_once(' ')?;
        Some((pid.parse().ok()?, start.parse().ok()?))
    }

    /// Whether the engine closed it to agents.
    pub(super) fn is_fenced(&self) -> bool {
        self.text("started").is_ok_and(|text| text.as_deref() == Some(FENCED))
    }

    /// Whether somebody holds the lock. Shared, so that two who look do not see each other; and only where an agent has
    /// begun, as below.
    pub(super) fn is_locked(&self) -> bool {
        let Ok(lock) = File::open(self.path("lock")) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Waits until nobody holds the lock. Blocks. Only where an agent has begun: the shared lock that it ends with would
    /// turn away one that is about to.
    pub(super) fn wait_unlocked(&self) -> io::Result<()> {
        match File::open(self.path("lock")) {
            Ok(lock) => lock.lock_shared(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Closes the folder to agents for ever; `false`: one has begun. With the lock in hand nobody else can be between
    /// taking it and writing `started`.
    pub(super) fn fence(&self) -> io::Result<bool> {
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.path("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let draft = self.path("started.fence");
        fs::write(&draft, FENCED)?;
        let fenced = fs::hard_link(&draft, self.path("started"));
        fs::remove_file(&draft)?;
        match fenced {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the folder away, except its logs where they are kept.
    pub(super) fn clear(&self, keep: bool) {
        if !keep {
            return self.remove();
        }
        let marked = self.write("kept", "");
        self.strip();
        if let Err(error) = marked {
            tracing::warn!("cannot mark {} as reported: {error}", self.path.display());
        }
    }

    /// Takes away what a runner worked with; its logs stay.
    fn strip(&self) {
        // Those of the runner program too.
        let _ = fs::rename(self.path("runner/_diag"), self.path("diag"));
        for part in ["runner", "home", "tmp"] {
            if let Err(error) = remove::tree(&self.path(part)) {
                tracing::warn!("cannot take {} away: {error}; remove it by hand", self.path(part).display());
            }
        }
    }

    /// Takes the folder away.
    pub(super) fn remove(&self) {
        // The launch goes first: killed half way, we must not take the rest for a machine that is about to be started.
        let _ = fs::remove_file(self.path("launch.json"));
        if let Err(error) = remove::tree(&self.path) {
            // This occurs when a job made files as another user (sudo, a container). They cannot be ours to delete.
            tracing::warn!("cannot take {} away: {error}; remove it by hand", self.path.display());
            let _ = self.write("kept", "");
        }
    }
}
