//! Deaths and full disks: this test runs itself as the daemon that dies.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use controller::{
    contract::facts::{self, START_MS},
    ports::{ErrorKind, Inbox, Store},
};
use fleet::{job::JobState, view::Decision};
use local::sqlite::SqliteStore;
use tokio::task::JoinSet;

use crate::store::Files;

const FILE: &str = "TEST_STATE_FILE";
const FROM: &str = "TEST_FROM_JOB";
const ROUNDS: u64 = 30;
const WRITERS: u64 = 4;
const JOBS_A_ROUND: u64 = 1_000_000;

/// Turns of a spinning processor until the kill: some milliseconds.
const MOMENT_MAX: u32 = 300_000;

/// Bytes that a full disk takes, in the blocks of `ulimit -f`.
const FULL_DISK_BLOCKS: &str = "300";

fn child(test: &str, file: &Path, from: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(FILE, file).env(FROM, from.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn told(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// Commits jobs for ever and says which were acknowledged. Does nothing unless the test below runs it as its child.
#[tokio::test]
async fn child_that_commits() {
    let Ok(file) = std::env::var(FILE) else { return };
    let store = std::sync::Arc::new(SqliteStore::open(PathBuf::from(file)).await.unwrap());
    let from: u64 = told(FROM).parse().unwrap();
    // The pool is there already in later rounds.
    let _ = store.commit(&facts::first(vec![], vec![]), START_MS).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for id in (from + writer..).step_by(WRITERS as usize) {
                let effects = vec![(facts::stop(&id.to_string()), START_MS)];
                let decision = Decision { effects, ..facts::next(facts::job(id, JobState::Queued), vec![]) };
                store.commit(&decision, START_MS).await.unwrap();
                store.append(&facts::queued(id)).await.unwrap();
                writeln!(std::io::stdout(), "acknowledged {id}").unwrap();
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_every_kill() {
    let files = Files::new();
    let path = files.path();
    let mut acknowledged = Vec::new();
    for round in 1..=ROUNDS {
        let mut daemon = child("store_crash::child_that_commits", &path, round * JOBS_A_ROUND).spawn().unwrap();
        let wanted = fastrand::usize(1..40);
        acknowledged.extend(kill_after(&mut daemon, wanted));
        let store = SqliteStore::open(&path).await.unwrap();
        let scan = store.scan().await.unwrap();
        let letters = store.take(usize::MAX).await.unwrap();
        for id in &acknowledged {
            assert!(scan.open_jobs.iter().any(|job| job.facts.id.0 == *id), "round {round}: job {id} is lost");
            let effect = format!("stop/{id}");
            assert!(scan.effects.iter().any(|(found, _)| found.as_str() == effect), "round {round}: {effect} is lost");
        }
        assert!(letters.len() >= acknowledged.len(), "round {round}: letters are lost");
        store.close().await;
    }
    assert!(acknowledged.len() as u64 >= ROUNDS, "the children hardly ran");
}

/// Kills it at some moment after so many acknowledgements; all that it managed to say.
fn kill_after(daemon: &mut Child, wanted: usize) -> Vec<u64> {
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| line.rsplit_once("acknowledged ").and_then(|(_, id)| id.parse().ok());
    let mut ids: Vec<u64> = lines.by_ref().filter_map(number).take(wanted).collect();
    (0..fastrand::u32(0..MOMENT_MAX)).for_each(|_| std::hint::spin_loop());
    daemon.kill().unwrap();
    ids.extend(lines.filter_map(number));
    daemon.wait().unwrap();
    ids
}

/// Fills a small disk, sees the refusal, gets more room, goes on. Does nothing unless the test below runs it as its child.
#[tokio::test]
async fn child_on_a_full_disk() {
    let Ok(file) = std::env::var(FILE) else { return };
    let store = SqliteStore::open(PathBuf::from(file)).await.unwrap();
    store.commit(&facts::first(vec![], vec![]), START_MS).await.unwrap();
    let mut ids = 1..;
    let commit = async |id| store.commit(&facts::next(facts::job(id, JobState::Queued), vec![]), START_MS).await;
    let (refused, error) = loop {
        let id = ids.next().unwrap();
        if let Err(error) = commit(id).await {
            break (id, error);
        }
    };
    assert_eq!(error.kind, ErrorKind::Retry, "{error}");
    assert!(error.message.contains("nothing that was acknowledged is lost"), "{error}");
    assert_eq!(store.scan().await.unwrap().open_jobs.len() as u64, refused - 1, "a refused commit is shown");
    assert_eq!(commit(refused).await.unwrap_err().kind, ErrorKind::Retry, "the disk is still full");
    let free = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, free).unwrap();
    commit(refused).await.unwrap();
    println!("acknowledged {refused}");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_passes() {
    let files = Files::new();
    let path = files.path();
    SqliteStore::open(&path).await.unwrap().close().await;
    let inner = child("store_crash::child_on_a_full_disk", &path, 1);
    let mut shell = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -S -f {FULL_DISK_BLOCKS}; exec \"$0\" \"$@\"");
    shell.arg("-c").arg(script).arg(inner.get_program()).args(inner.get_args());
    shell.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let output = shell.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let last: u64 = text.lines().find_map(|line| line.rsplit_once("acknowledged ")?.1.parse().ok()).unwrap();
    let scan = SqliteStore::open(&path).await.unwrap().scan().await.unwrap();
    assert_eq!(scan.open_jobs.len() as u64, last);
}
