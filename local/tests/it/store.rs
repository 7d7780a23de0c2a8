//! The contract suites: the plainest store first, then the one on disk.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use controller::{contract, contract::facts, mem::MemStore, ports::Inbox};
use local::sqlite::SqliteStore;

/// A folder that makes new state files as long as it lives.
pub(crate) struct Files {
    dir: tempfile::TempDir,
    made: AtomicU32,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), made: AtomicU32::new(0) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join(format!("{}/state.db", self.made.fetch_add(1, Ordering::Relaxed)))
    }

    async fn make(&self) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open(self.path()).await.unwrap())
    }
}

async fn reopen(store: Arc<SqliteStore>) -> Arc<SqliteStore> {
    let path = store.path().to_owned();
    store.close().await;
    Arc::new(SqliteStore::open(path).await.unwrap())
}

async fn restart(store: Arc<MemStore>) -> Arc<MemStore> {
    store.restart();
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_in_memory_keeps_the_contract() {
    let make = async || Arc::new(MemStore::new());
    contract::store::all(make).await.unwrap();
    contract::store::durable(make, restart).await.unwrap();
    contract::inbox::all(make).await.unwrap();
    contract::inbox::durable(make, restart).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_on_disk_keeps_the_contract() {
    let files = Files::new();
    contract::store::all(|| files.make()).await.unwrap();
    contract::store::durable(|| files.make(), reopen).await.unwrap();
    contract::inbox::all(|| files.make()).await.unwrap();
    contract::inbox::durable(|| files.make(), reopen).await.unwrap();
}

#[tokio::test]
async fn letters_come_oldest_first() {
    let store = Files::new().make().await;
    store.append(&(1..=5).flat_map(facts::queued).collect::<Vec<_>>()).await.unwrap();
    for expected in [vec![1, 2], vec![3, 4, 5], vec![]] {
        let letters = store.take(expected.len()).await.unwrap();
        assert_eq!(letters.iter().map(|letter| letter.receipt).collect::<Vec<u64>>(), expected);
    }
}

#[tokio::test]
async fn letters_whose_taker_is_gone_come_again() {
    let store = Files::new().make().await;
    let mut receipts: Vec<u64> = Vec::new();
    for round in 0..200 {
        store.append(&[facts::queued(round), facts::queued(round + 1_000)].concat()).await.unwrap();
        // A taker that is cancelled before, while or after the thread answers. It may also be answered at once.
        let mut taking = Box::pin(store.take(1));
        receipts.extend(poll_once(taking.as_mut()).into_iter().flat_map(Result::unwrap).map(|letter| letter.receipt));
        (0..fastrand::u32(0..20_000)).for_each(|_| std::hint::spin_loop());
        drop(taking);
        let left = 2 * (round as usize + 1) - receipts.len();
        let mut letters = Vec::new();
        // A give-back of a taker whose answer was still on its way may come a moment later.
        while letters.len() < left {
            letters.extend(store.take(9).await.unwrap().into_iter().map(|letter| letter.receipt));
        }
        receipts.extend(letters);
    }
    assert!(store.take(9).await.unwrap().is_empty(), "a letter came twice");
    receipts.sort_unstable();
    assert_eq!(receipts, (1..=400).collect::<Vec<u64>>());
}

/// One poll, as `select!` would do before another branch wins.
fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    let waker = std::task::Waker::noop();
    match std::pin::Pin::new(&mut future).poll(&mut std::task::Context::from_waker(waker)) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
