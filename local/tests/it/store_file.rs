//! The file: who has it, what is refused, what is left alone.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use controller::{
    contract::facts::{self, START_MS},
    ports::{About, ErrorKind, Inbox, PortError, Store},
};
use fleet::{job::JobState, view::Decision};
use local::sqlite::{SqliteReader, SqliteStore};
use rusqlite::Connection;

use crate::store::Files;

async fn refused(path: &Path) -> PortError {
    SqliteStore::open(path).await.expect_err("it should be refused")
}

/// A file with one job in it, closed.
async fn filled(path: &Path) {
    let store = SqliteStore::open(path).await.unwrap();
    let records = vec![facts::record(START_MS, Some(1), None, "a job is queued")];
    let decision = Decision { records, ..facts::first(facts::job(1, JobState::Queued), vec![]) };
    store.commit(&decision, START_MS).await.unwrap();
    store.append(&facts::queued(2)).await.unwrap();
    store.close().await;
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_its_owner_reads_it() {
    let path = Files::new().path();
    let _dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(&facts::first(vec![], vec![]), START_MS).await.unwrap();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in ["state.db", "state.db-wal", "state.db-shm", "state.db.lock"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_second_owner_is_told_who_has_it() {
    let files = Files::new();
    let path = files.path();
    let store = SqliteStore::open(&path).await.unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains(&format!("process {} has the state file", std::process::id())), "{error}");
    store.close().await;
    assert!(store.scan().await.is_err(), "a closed store answers");
    SqliteStore::open(&path).await.unwrap();
}

#[tokio::test]
async fn damaged_files_are_refused_and_left_alone() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage, &str); 4] = [
        ("not a database", |path| fs::write(path, "hello, this is no database at all".repeat(99)).unwrap(), "move it"),
        ("a torn page", tear, "move it"),
        ("an unreadable row", |path| sql(path, "UPDATE rows SET body = '{\"v\":1}' WHERE kind = 'job'"), "job/1"),
        (
            "a row of a newer version",
            |path| sql(path, "UPDATE rows SET body = '{\"v\":99}' WHERE kind = 'job'"),
            "schema 99",
        ),
    ];
    let files = Files::new();
    for (name, damage, words) in damages {
        let path = files.path();
        filled(&path).await;
        damage(&path);
        let before = fs::read(&path).unwrap();
        let error = refused(&path).await;
        assert_eq!(error.kind, ErrorKind::Invalid, "{name}: {error}");
        assert!(error.message.contains(words) && error.message.contains("adopted"), "{name}: {error}");
        assert!(fs::read(&path).unwrap() == before, "{name}: the file was changed");
    }
}

fn tear(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.len() - 4096 * 3;
    bytes[last..].fill(0x5a);
    fs::write(path, bytes).unwrap();
}

/// A bit that flips anywhere is either harmless or told as damage; it never ends the program or changes the file.
#[tokio::test]
async fn a_flipped_byte_is_harmless_or_told() {
    let files = Files::new();
    let whole = files.path();
    filled(&whole).await;
    let bytes = fs::read(&whole).unwrap();
    let (mut rng, mut told) = (fastrand::Rng::with_seed(7), 0);
    for _ in 0..FLIPS {
        let path = files.path();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut damaged = bytes.clone();
        let at = rng.usize(0..damaged.len());
        damaged[at] ^= rng.u8(1..);
        fs::write(&path, &damaged).unwrap();
        let Err(error) = SqliteStore::open(&path).await else { continue };
        told += 1;
        let foreign = error.message.contains("another program");
        assert!(error.message.contains("aside and start again") || foreign, "byte {at}: {error}");
        assert!(fs::read(&path).unwrap() == damaged, "byte {at}: the file was changed");
    }
    assert!(told > 0, "no flip was noticed");
}

const FLIPS: usize = 300;

fn sql(path: &Path, statement: &str) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(statement).unwrap();
}

#[tokio::test]
async fn files_of_newer_versions_and_other_programs_are_refused() {
    let files = Files::new();
    let path = files.path();
    filled(&path).await;
    sql(&path, "PRAGMA user_version = 7");
    let error = refused(&path).await;
    assert!(error.message.contains("layout 7") && error.message.contains("up to 1"), "{error}");

    let path = files.path();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    sql(&path, "CREATE TABLE bookmarks (url TEXT)");
    let error = refused(&path).await;
    assert!(error.message.contains("another program"), "{error}");
}

#[tokio::test]
async fn other_processes_look_without_taking_it() {
    let files = Files::new();
    let path = files.path();
    assert_eq!(SqliteReader::open(&path).unwrap_err().kind, ErrorKind::NotFound);
    filled(&path).await;
    check_reader(&path);
    let store = SqliteStore::open(&path).await.unwrap();
    check_reader(&path);
    store.append(&facts::queued(3)).await.unwrap();
    assert_eq!(SqliteReader::open(&path).unwrap().letters().unwrap(), 2);
}

fn check_reader(path: &Path) {
    let reader = SqliteReader::open(path).unwrap();
    assert_eq!(reader.scan().unwrap().open_jobs.len(), 1);
    assert_eq!(reader.records(&About::Job(fleet::ids::JobId(1)), 9).unwrap().len(), 1);
}

#[tokio::test]
async fn a_copy_taken_at_any_moment_has_every_acknowledged_commit() {
    let files = Files::new();
    let path = files.path();
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(&facts::first(vec![], vec![]), START_MS).await.unwrap();
    for id in 1..=20 {
        store.commit(&facts::next(facts::job(id, JobState::Queued), vec![]), START_MS).await.unwrap();
        let copy = copy_of(&path, &files.path());
        let scan = SqliteStore::open(&copy).await.unwrap().scan().await.unwrap();
        assert_eq!(scan.open_jobs.len() as u64, id);
    }
}

/// What a machine that lost its power would find.
fn copy_of(path: &Path, to: &Path) -> PathBuf {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    for end in ["", "-wal"] {
        let with_end = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        fs::copy(with_end(path), with_end(to)).unwrap();
    }
    to.into()
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stays_and_stops_nothing() {
    let files = Files::new();
    let path = files.path();
    filled(&path).await;
    sql(&path, "INSERT INTO inbox (body) VALUES ('{\"from_the_future\":1}')");
    let store = SqliteStore::open(&path).await.unwrap();
    store.append(&facts::queued(3)).await.unwrap();
    assert_eq!(store.take(9).await.unwrap().len(), 2);
    assert_eq!(SqliteReader::open(&path).unwrap().letters().unwrap(), 3);
}
