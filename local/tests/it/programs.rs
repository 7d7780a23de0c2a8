//! Fetched runner programs: whole or not there, verified, one version after the other, whatever a source does.

use std::{
    io::Write as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::ids::Scope;
use local::programs::{Expected, Programs, Sink, Source};
use sha2::{Digest as _, Sha256};

/// A source whose package is set by the test.
struct Shelf {
    version: Mutex<&'static str>,
    package: Mutex<Vec<u8>>,
    /// Sum that is published instead of the right one.
    sum: Mutex<Option<[u8; 32]>>,
    /// It breaks off after so many bytes.
    breaks: Mutex<Option<usize>>,
    away: Mutex<bool>,
    fetched: AtomicUsize,
}

#[async_trait]
impl Source for Shelf {
    async fn expected(&self, _scope: &Scope) -> PortResult<Expected> {
        if *self.away.lock().unwrap() {
            return Err(PortError::retry("GitHub is away"));
        }
        let sum = Sha256::digest(&*self.package.lock().unwrap()).into();
        let version = (*self.version.lock().unwrap()).to_owned();
        Ok(Expected { file: format!("runner-{version}"), version, sum: self.sum.lock().unwrap().unwrap_or(sum) })
    }

    async fn fetch(&self, _scope: &Scope, _expected: &Expected, sink: &mut Sink<'_>) -> PortResult<()> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        let (package, breaks) = (self.package.lock().unwrap().clone(), *self.breaks.lock().unwrap());
        for piece in package[..breaks.unwrap_or(package.len())].chunks(100) {
            sink(piece)?;
        }
        if breaks.is_some() { Err(PortError::retry("the connection broke")) } else { Ok(()) }
    }
}

/// A package with these files.
fn package(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, text) in files {
        // By hand, because no honest library writes a path that leads outside.
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(text.as_bytes());
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1_024, 0);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).unwrap();
    gz.finish().unwrap()
}

fn shelf(version: &'static str, files: &[(&str, &str)]) -> Arc<Shelf> {
    Arc::new(Shelf {
        version: Mutex::new(version),
        package: Mutex::new(package(files)),
        sum: Mutex::default(),
        breaks: Mutex::default(),
        away: Mutex::default(),
        fetched: AtomicUsize::new(0),
    })
}

fn scope() -> Scope {
    Scope::Org("acme".into())
}

/// Names in the folder of the programs.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("programs")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

const GOOD: &[(&str, &str)] = &[("./run.sh", "#!/bin/sh\n"), ("./bin/Runner.Listener", "x")];

#[tokio::test]
async fn a_program_is_fetched_once_and_found_again() {
    let (dir, shelf) = (tempfile::tempdir().unwrap(), shelf("2.337.0", GOOD));
    for _ in 0..2 {
        let programs = Programs::open(dir.path(), shelf.clone()).unwrap();
        let folder = programs.folder(&scope()).await.unwrap();
        assert!(folder.path.join("run.sh").is_file() && folder.path.join("bin/Runner.Listener").is_file());
    }
    assert_eq!((shelf.fetched.load(Ordering::Relaxed), names(dir.path())), (1, vec!["v2.337.0".to_owned()]));
}

#[tokio::test]
async fn what_breaks_off_or_is_tampered_with_leaves_nothing() {
    let (dir, shelf) = (tempfile::tempdir().unwrap(), shelf("2.337.0", GOOD));
    let programs = Programs::open(dir.path(), shelf.clone()).unwrap();
    *shelf.breaks.lock().unwrap() = Some(50);
    assert_eq!(programs.folder(&scope()).await.unwrap_err().kind, ErrorKind::Retry);
    assert_eq!(names(dir.path()), Vec::<String>::new());
    *shelf.breaks.lock().unwrap() = None;
    // It is fetched again, and then it is right.
    programs.folder(&scope()).await.unwrap();

    let (dir, tampered) = (tempfile::tempdir().unwrap(), self::shelf("2.337.0", GOOD));
    *tampered.sum.lock().unwrap() = Some([7; 32]);
    let programs = Programs::open(dir.path(), tampered).unwrap();
    let error = programs.folder(&scope()).await.unwrap_err();
    assert_eq!((error.kind, names(dir.path())), (ErrorKind::Invalid, Vec::new()));
    assert!(error.message.contains("is not what was published") && error.message.contains("jobs wait"), "{error}");
}

#[tokio::test]
async fn what_is_no_program_or_leads_outside_is_not_unpacked() {
    for (files, word) in
        [(&[("bin/x", "x")][..], "no run.sh"), (&[("run.sh", "x"), ("../outside", "x")][..], "outside of its folder")]
    {
        let dir = tempfile::tempdir().unwrap();
        let programs = Programs::open(dir.path(), shelf("2.337.0", files)).unwrap();
        let error = programs.folder(&scope()).await.unwrap_err();
        assert!(error.message.contains(word), "{error}");
        assert_eq!(names(dir.path()), Vec::<String>::new());
        assert!(!dir.path().join("programs/outside").exists() && !dir.path().join("outside").exists());
    }
}

#[tokio::test]
async fn another_version_takes_the_place_of_the_old_one_once_nobody_copies() {
    let (dir, shelf) = (tempfile::tempdir().unwrap(), shelf("2.336.0", GOOD));
    let programs = Arc::new(Programs::open(dir.path(), shelf.clone()).unwrap());
    let copying = programs.folder(&scope()).await.unwrap();
    *shelf.version.lock().unwrap() = "2.337.0";
    // Another owner is told the new version; its launch waits for the copy that is being made.
    let other = Scope::Org("globex".into());
    let (again, scope) = (programs.clone(), other.clone());
    let newer = tokio::spawn(async move { again.folder(&scope).await.map(|folder| folder.path.clone()) });
    tokio::task::yield_now().await;
    assert!(copying.path.join("run.sh").is_file());
    drop(copying);
    assert!(newer.await.unwrap().unwrap().ends_with("v2.337.0"));
    let mut left = names(dir.path());
    left.sort();
    assert_eq!(left, ["v2.336.0", "v2.337.0"], "the first owner still expects the old one");

    *shelf.version.lock().unwrap() = "2.338.0";
    let programs = Programs::open(dir.path(), shelf).unwrap();
    programs.folder(&other).await.unwrap();
    assert_eq!(names(dir.path()), ["v2.338.0"]);
}

#[tokio::test]
async fn while_github_is_away_the_last_program_serves() {
    let (dir, shelf) = (tempfile::tempdir().unwrap(), shelf("2.337.0", GOOD));
    *shelf.away.lock().unwrap() = true;
    let programs = Programs::open(dir.path(), shelf.clone()).unwrap();
    assert_eq!(programs.folder(&scope()).await.unwrap_err().message, "GitHub is away");
    *shelf.away.lock().unwrap() = false;
    programs.folder(&scope()).await.unwrap();
    *shelf.away.lock().unwrap() = true;
    let programs = Programs::open(dir.path(), shelf).unwrap();
    assert!(programs.folder(&scope()).await.unwrap().path.ends_with("v2.337.0"));
}
