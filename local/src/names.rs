//! Names of tasks, and the memory of those that have ended. Both engines of this machine name a task `<runner>.<attempt>`,
//! so one launch has one name, however often it is asked for.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::{effect::LaunchSpec, ids::TaskId};

use crate::disk::make_dirs;

/// The name of a task that has ended is kept so long: longer than any launch is repeated.
const KEEP_NAME: Duration = Duration::from_secs(24 * 3_600);

/// Old names are taken out so often.
const PRUNE_EACH: Duration = Duration::from_secs(3_600);

/// Longest name of a task; file systems take 255.
const NAME_MAX_BYTES: usize = 200;

/// A launch's task.
pub(crate) fn task_id(spec: &LaunchSpec) -> PortResult<TaskId> {
    let name = format!("{}.{}", spec.runner, spec.attempt);
    if is_task_name(&name) {
        return Ok(name.into());
    }
    Err(PortError::new(ErrorKind::Invalid, format!("`{name}` cannot be the name of a task")))
}

/// Whether a text can be a task of ours. Keeps everybody within the engine's folder, and within the paths of its API.
pub(crate) fn is_task_name(name: &str) -> bool {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    let first = name.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric());
    first && name.len() <= NAME_MAX_BYTES && name.bytes().all(fine) && name.contains('.')
}

/// The names of tasks that have ended: an empty file each, so that a launch which is asked for again starts nothing.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    dir: PathBuf,
    /// When old ones were last taken out.
    pruned: Arc<Mutex<SystemTime>>,
}

impl Ended {
    /// Those that a folder remembers.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        make_dirs(&dir)?;
        let ended = Self { dir, pruned: Arc::new(Mutex::new(UNIX_EPOCH)) };
        ended.prune(SystemTime::now());
        Ok(ended)
    }

    /// Whether a task has ended.
    pub(crate) fn contains(&self, id: &TaskId) -> bool {
        self.dir.join(id.as_str()).exists()
    }

    /// Remembers that a task has ended.
    pub(crate) fn remember(&self, id: &TaskId) -> io::Result<()> {
        File::create(self.dir.join(id.as_str()))?;
        self.prune(SystemTime::now());
        Ok(())
    }

    /// Takes old names out, now and then: that looks at each, so it must not be done for each that ends.
    fn prune(&self, now: SystemTime) {
        {
            let mut pruned = self.pruned.lock().unwrap_or_else(PoisonError::into_inner);
            if now.duration_since(*pruned).is_ok_and(|passed| passed < PRUNE_EACH) {
                return;
            }
            *pruned = now;
        }
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten() {
            let made = entry.metadata().and_then(|data| data.modified());
            if made.is_ok_and(|made| now.duration_since(made).is_ok_and(|age| age > KEEP_NAME)) {
                // One that stays is tried again next time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_the_root() {
        for good in ["sr-dev-0abc.1", "a_b.12"] {
            assert!(is_task_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".hidden.1", "-a.1", "a/b.1", "../x.1", "arn:aws:ecs.1", "noattempt", "a?b.1"] {
            assert!(!is_task_name(bad), "{bad}");
        }
    }

    #[test]
    fn what_ended_is_remembered_in_the_next_life() {
        let dir = tempfile::tempdir().unwrap();
        let id = TaskId::from("sr-dev-a.1");
        let open = || Ended::open(dir.path().join("ended")).unwrap();
        assert!(!open().contains(&id));
        open().remember(&id).unwrap();
        assert!(open().contains(&id));
    }

    #[test]
    fn old_names_are_taken_out_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (TaskId::from("sr-dev-a.1"), TaskId::from("sr-dev-b.1"));
        let ended = Ended::open(dir.path().to_owned()).unwrap();
        ended.remember(&old).unwrap();
        let now = SystemTime::now();
        let file = File::options().write(true).open(dir.path().join(old.as_str())).unwrap();
        file.set_modified(now - KEEP_NAME - PRUNE_EACH).unwrap();
        ended.remember(&new).unwrap();
        assert!(ended.contains(&old), "not with each that ends");
        ended.prune(now + 2 * PRUNE_EACH);
        assert!(!ended.contains(&old) && ended.contains(&new));
    }
}
