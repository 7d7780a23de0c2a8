//! Runner programs that were fetched: one folder a version, from which each runner is given its copy.
//!
//! | in `programs/` | meaning |
//! |---|---|
//! | `<version>/` | fetched, verified and unpacked: whole, because it came there by one rename |
//! | `new/` | being fetched and unpacked; what a crash leaves of it is removed at the next start |
//!
//! Only one daemon works in a data folder (its store keeps a second one out), so the lock is this process's own. A runner
//! that exists has its copy: another version is for new runners only, and the old one goes once nobody copies from it.

mod unpack;

use std::{
    fmt,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::ids::Scope;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};

use crate::disk::failed;

/// Which version is expected is asked again after this time.
const EXPECTED_FOR: Duration = Duration::from_secs(3_600);

/// Largest package. Today's have about 220 MB.
const PACKAGE_MAX_BYTES: u64 = 1_024 * 1_024 * 1_024;

/// Longest version that is believed.
const VERSION_CHARS_MAX: usize = 40;

/// The program that an owner's runners are to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// `2.337.0`.
    pub version: String,
    /// Name of its package, for people.
    pub file: String,
    /// SHA-256 of the package.
    pub sum: [u8; 32],
}

/// Takes a package piece by piece.
pub type Sink<'a> = dyn FnMut(&[u8]) -> PortResult<()> + Send + 'a;

/// Where programs come from.
#[async_trait]
pub trait Source: Send + Sync {
    /// What runners of this scope are expected to run.
    async fn expected(&self, scope: &Scope) -> PortResult<Expected>;

    /// Gives the package to `sink`.
    async fn fetch(&self, scope: &Scope, expected: &Expected, sink: &mut Sink<'_>) -> PortResult<()>;
}

/// The programs of a data folder.
pub struct Programs {
    root: PathBuf,
    source: Arc<dyn Source>,
    /// One fetch at a time; and what was expected last, by scope.
    known: Mutex<Vec<(Scope, Expected, Instant)>>,
    /// Held by those who copy; taken whole by who removes.
    used: Arc<RwLock<()>>,
}

/// A program's folder, which stays as long as this is held.
#[derive(Debug)]
pub struct ProgramFolder {
    /// The folder with `run.sh`.
    pub path: PathBuf,
    _used: OwnedRwLockReadGuard<()>,
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Programs {
    /// Opens the folder, and removes what a crash left half done.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(data_dir: &Path, source: Arc<dyn Source>) -> PortResult<Self> {
        let root = data_dir.join("programs");
        fs::create_dir_all(&root).map_err(|error| failed("make", &root, &error))?;
        let programs = Self { root, source, known: Mutex::default(), used: Arc::default() };
        programs.clear_new()?;
        Ok(programs)
    }

    /// The program for a runner of this scope; fetched first if it is not there.
    ///
    /// # Errors
    /// As the source fails; `Invalid` if the package is not what was published; `Capacity` if the disk is full.
    pub async fn folder(&self, scope: &Scope) -> PortResult<ProgramFolder> {
        let mut known = self.known.lock().await;
        let expected = match known.iter().find(|(whose, _, at)| whose == scope && at.elapsed() < EXPECTED_FOR) {
            Some((_, expected, _)) => expected.clone(),
            None => match self.source.expected(scope).await {
                Ok(expected) => {
                    known.retain(|(whose, _, at)| whose != scope && at.elapsed() < EXPECTED_FOR);
                    known.push((scope.clone(), expected.clone(), Instant::now()));
                    expected
                }
                // GitHub may be away while jobs still come: what is here was verified, and serves.
                Err(error) => return self.newest(&error).await,
            },
        };
        let path = self.path_of(&expected.version)?;
        if !path.is_dir() {
            tracing::info!(file = expected.file, "the runner program is fetched");
            self.install(scope, &expected, &path).await.inspect_err(|_| {
                // Best effort: the next try clears it again.
                let _ = self.clear_new();
            })?;
            tracing::info!(version = expected.version, "the runner program is here, verified");
            self.remove_others(known.iter().map(|(_, expected, _)| expected.version.clone()).collect()).await;
        }
        Ok(ProgramFolder { path, _used: self.used.clone().read_owned().await })
    }

    async fn newest(&self, error: &PortError) -> PortResult<ProgramFolder> {
        let entries = fs::read_dir(&self.root).map_err(|error| failed("read", &self.root, &error))?;
        let here = entries.flatten().map(|entry| entry.path()).filter(|path| path.join("run.sh").is_file());
        let newest = here.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
        let Some(path) = newest else { return Err(error.clone()) };
        tracing::warn!(%error, program = %path.display(), "which runner program is expected is not known: the last one serves");
        Ok(ProgramFolder { path, _used: self.used.clone().read_owned().await })
    }

    fn path_of(&self, version: &str) -> PortResult<PathBuf> {
        let fine = |c: u8| c.is_ascii_alphanumeric() || b".-".contains(&c);
        if version.is_empty()
            || version.len() > VERSION_CHARS_MAX
            || !version.bytes().all(fine)
            || version.starts_with('.')
        {
            return Err(PortError::new(ErrorKind::Invalid, "GitHub names a version of the runner that is none"));
        }
        Ok(self.root.join(format!("v{version}")))
    }

    async fn install(&self, scope: &Scope, expected: &Expected, path: &Path) -> PortResult<()> {
        self.clear_new()?;
        let new = self.new_dir();
        fs::create_dir(&new).map_err(|error| failed("make", &new, &error))?;
        let package = new.join("package");
        self.download(scope, expected, &package).await?;
        let (from, to) = (package, new.join("program"));
        let unpacked = to.clone();
        let done = tokio::task::spawn_blocking(move || unpack::unpack(&from, &unpacked)).await;
        done.unwrap_or_else(|error| Err(PortError::retry(format!("unpacking was cut off: {error}"))))?;
        fs::rename(&to, path).map_err(|error| failed("make", path, &error))?;
        self.clear_new()
    }

    async fn download(&self, scope: &Scope, expected: &Expected, package: &Path) -> PortResult<()> {
        let mut file = File::create(package).map_err(|error| failed("write", package, &error))?;
        let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
        let mut sink = |piece: &[u8]| {
            bytes += piece.len() as u64;
            if bytes > PACKAGE_MAX_BYTES {
                let what =
                    format!("{} has more than {PACKAGE_MAX_BYTES} bytes: it is no runner program", expected.file);
                return Err(PortError::new(ErrorKind::Invalid, what));
            }
            hash.update(piece);
            file.write_all(piece).map_err(|error| failed("write", package, &error))
        };
        self.source.fetch(scope, expected, &mut sink).await?;
        if hash.finalize().as_slice() != expected.sum {
            let what = format!(
                "{} is not what was published: its SHA-256 is another one. It was thrown away; jobs wait, and it is \
                 fetched again later. If that goes on, look who stands between this machine and GitHub",
                expected.file
            );
            return Err(PortError::new(ErrorKind::Invalid, what));
        }
        file.sync_all().map_err(|error| failed("write", package, &error))
    }

    /// Removes the versions that nobody expects any more, once nobody copies from them.
    async fn remove_others(&self, expected: Vec<String>) {
        let _all = self.used.write().await;
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let keep = expected.iter().any(|version| self.path_of(version).is_ok_and(|kept| kept == path));
            if !keep && let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(%error, program = %path.display(), "an old runner program cannot be removed");
            }
        }
    }

    fn new_dir(&self) -> PathBuf {
        self.root.join("new")
    }

    fn clear_new(&self) -> PortResult<()> {
        let new = self.new_dir();
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("clear", &new, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
