//! How many commits a second the store takes on this machine's disk, by the number of writers at once:
//! `cargo run --release --package local --example commits [FOLDER]`.
//!
//! Not a test: it measures the disk. Each commit is one runner, one effect and one entry of the log.

use std::{io::Write, path::PathBuf, sync::Arc, time::Instant};

use controller::{
    contract::facts::{self, START_MS},
    ports::{PortResult, Store},
};
use fleet::{runner::RunnerState, view::Decision};
use local::sqlite::SqliteStore;
use tokio::task::JoinSet;

const COMMITS: usize = 4_000;
const WRITERS: [usize; 4] = [1, 8, 64, 256];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for writers in WRITERS {
        let dir = tempfile::tempdir_in(&dir)?;
        let store = Arc::new(SqliteStore::open(dir.path().join("state.db")).await?);
        store.commit(&facts::first(vec![], vec![]), START_MS).await?;
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            tasks.spawn(write(store.clone(), writer, COMMITS / writers));
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let rate = COMMITS as f64 / start.elapsed().as_secs_f64();
        writeln!(std::io::stdout(), "{writers:>4} writers: {rate:.0} commits/s")?;
        store.close().await;
    }
    Ok(())
}

async fn write(store: Arc<SqliteStore>, writer: usize, commits: usize) -> PortResult<()> {
    for n in 0..commits {
        let name = format!("sr-dev-{writer}x{n}");
        let runner = facts::runner(&name, RunnerState::Reserved);
        let records = vec![facts::record(START_MS, None, Some(&name), "a runner is to be launched")];
        let effects = vec![(facts::stop(&name), START_MS)];
        let decision = Decision { records, effects, ..facts::next(vec![], vec![runner]) };
        store.commit(&decision, START_MS).await?;
    }
    Ok(())
}
