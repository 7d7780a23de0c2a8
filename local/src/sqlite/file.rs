//! The file: who has it, whether it is ours and whole, and its layout.
//!
//! Nothing is written before all of that is known: a file that cannot be used stays as it is.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use controller::ports::{ErrorKind, PortError, PortResult};
use rusqlite::{Connection, OpenFlags};

use super::words;

/// Marks the file as ours: "SRun".
const APPLICATION_ID: i64 = 0x5352_756e;

/// How long SQLite waits for a reader of another process that is just recovering the log.
const BUSY: Duration = Duration::from_secs(5);

/// How often the lock is tried, and the time between: half a second in all.
const LOCK_TRIES: u32 = 25;
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// The layouts, each by the change from the one before. `user_version` counts those that were made. Only append.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE rows (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE TABLE inbox (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
    CREATE TABLE records (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        job INTEGER,
        runner TEXT,
        text TEXT NOT NULL
    );
    CREATE INDEX records_at ON records (at_ms);
    CREATE INDEX records_job ON records (job) WHERE job IS NOT NULL;
    CREATE INDEX records_runner ON records (runner) WHERE runner IS NOT NULL;
"];

/// The lock beside the file, held until this is dropped. The lock's file stays: taking it away would let two lock two.
#[derive(Debug)]
pub(super) struct Held {
    _lock: File,
}

/// Takes the file for this process; makes its folder if there is none.
pub(super) fn hold(path: &Path) -> PortResult<Held> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| words::io(dir, "make the folder", &e))?;
    }
    let at = lock_path(path);
    let failed = |error: io::Error| words::io(&at, "lock", &error);
    let mut lock =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&at).map_err(failed)?;
    match lock_soon(&lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Its number is only for the words.
            let _ = lock.read_to_string(&mut pid);
            return Err(words::taken(path, pid.trim()));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    write_pid(&mut lock).map_err(failed)?;
    Ok(Held { _lock: lock })
}

/// This occurs when the last owner was just starting a program when it ended: until that program has begun it holds the
/// lock too, as a copy of its parent.
fn lock_soon(lock: &File) -> Result<(), TryLockError> {
    for _ in 1..LOCK_TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_AGAIN),
            done @ (Ok(()) | Err(TryLockError::Error(_))) => return done,
        }
    }
    lock.try_lock()
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Opens the file for writing: made if there is none, its layout brought up to date.
pub(super) fn open(path: &Path) -> PortResult<Connection> {
    make(path).map_err(|error| words::io(path, "make the state file", &error))?;
    let failed = |doing: &'static str| move |error: rusqlite::Error| words::failed(path, doing, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(failed("open"))?;
    conn.busy_timeout(BUSY).map_err(failed("open"))?;
    let layout = check(&conn, path)?;
    quick_check(&conn, path)?;
    go_durable(&conn, path)?;
    migrate(&mut conn, layout).map_err(failed("bring up to date"))?;
    Ok(conn)
}

/// Opens the file for a look; nothing is made or changed.
pub(super) fn open_to_read(path: &Path) -> PortResult<Connection> {
    if !path.exists() {
        let text = format!("there is no state file {}: has the daemon ever run with it?", path.display());
        return Err(PortError::new(ErrorKind::NotFound, text));
    }
    let failed = |error: rusqlite::Error| words::failed(path, "open", &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(failed)?;
    conn.busy_timeout(BUSY).map_err(failed)?;
    if check(&conn, path)? < MIGRATIONS.len() {
        let text = format!("the state file {} has an older layout: start the daemon once", path.display());
        return Err(PortError::new(ErrorKind::Invalid, text));
    }
    Ok(conn)
}

/// Makes an empty file that only its owner reads; its -wal and -shm take its mode over.
fn make(path: &Path) -> io::Result<()> {
    let existed = path.exists();
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    if let Some(dir) = path.parent().filter(|dir| !existed && !dir.as_os_str().is_empty()) {
        // A new name is durable when its folder is.
        fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

/// The file's layout, if it is empty or ours.
fn check(conn: &Connection, path: &Path) -> PortResult<usize> {
    let number = |sql: &str| {
        conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|error| words::failed(path, "read", &error))
    };
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let application = number("PRAGMA application_id")?;
    let layout = number("PRAGMA user_version")?;
    if application != APPLICATION_ID && (tables > 0 || application != 0 || layout != 0) {
        return Err(words::foreign(path));
    }
    match usize::try_from(layout) {
        Ok(layout) if layout <= MIGRATIONS.len() => Ok(layout),
        Ok(_) | Err(_) => Err(words::newer(path, layout, MIGRATIONS.len())),
    }
}

/// Finds torn pages before they are built upon.
fn quick_check(conn: &Connection, path: &Path) -> PortResult<()> {
    let found: String = conn
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| words::failed(path, "check", &error))?;
    if found == "ok" { Ok(()) } else { Err(words::damaged(path, &found)) }
}

fn go_durable(conn: &Connection, path: &Path) -> PortResult<()> {
    let failed = |error: rusqlite::Error| words::failed(path, "open", &error);
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let text = format!("{} cannot have a write-ahead log there: put it on a local disk", path.display());
        return Err(PortError::new(ErrorKind::Invalid, text));
    }
    conn.execute_batch("PRAGMA synchronous = FULL").map_err(failed)
}

fn migrate(conn: &mut Connection, from: usize) -> rusqlite::Result<()> {
    for (layout, sql) in (1..).zip(MIGRATIONS).skip(from) {
        let tx = conn.transaction()?;
        tx.execute_batch(sql)?;
        tx.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {layout}"))?;
        tx.commit()?;
    }
    Ok(())
}
