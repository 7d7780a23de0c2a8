//! Valkey.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use aws::valkey::{ServerUrl, ValkeyStore};
use controller::{
    contract,
    ports::{ErrorKind, PortResult, Scan, Secret, Store},
};
use fleet::view::Keys;
use libtest_mimic::Trial;
use sim::swarm::beside::Beside;

use crate::{
    server::{Server, in_tls, lossy},
    stories::{Still, play_lives, play_loss, play_mixed},
    trial, views, workers,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("valkey::it_keeps_the_contract", it_keeps_the_contract),
        trial("valkey::a_cluster_keeps_the_contract", a_cluster_keeps_the_contract),
        trial("valkey::eight_workers_lose_nothing", eight_workers_lose_nothing),
        trial("valkey::a_killed_server_comes_back_with_all", a_killed_server_comes_back_with_all),
        trial("valkey::lost_answers_lose_nothing", lost_answers_lose_nothing),
        trial("valkey::it_answers_as_the_core's_tables_do", it_answers_as_the_cores_tables_do),
        trial("valkey::what_a_job_costs", what_a_job_costs),
        trial("valkey::what_a_view_costs", what_a_view_costs),
        trial("valkey::what_is_wrong_is_told", what_is_wrong_is_told),
        trial("valkey::a_wrong_password_is_told_and_not_shown", a_wrong_password_is_told_and_not_shown),
        trial("valkey::it_speaks_tls", it_speaks_tls),
        trial("valkey::a_password_is_read_again_when_it_is_refused", a_password_is_read_again_when_it_is_refused),
    ]
}

fn url(server: &Server) -> String {
    format!("valkey://127.0.0.1:{}", server.port())
}

async fn open(server: &Server) -> Arc<ValkeyStore> {
    Arc::new(ValkeyStore::open(&url(server), "dev").await.unwrap())
}

/// A command that the store has no use for.
fn run(server: &Server, command: &[&str]) {
    let mut link = redis::Client::open(url(server)).unwrap().get_connection().unwrap();
    redis::cmd(command[0]).arg(&command[1..]).exec(&mut link).unwrap();
}

async fn keeps_the_contract(server: &Server) {
    let stages = AtomicU32::new(0);
    let last = async || {
        let stage = format!("s{}", stages.load(Ordering::Relaxed));
        Arc::new(ValkeyStore::open(&url(server), &stage).await.unwrap())
    };
    let make = async || {
        stages.fetch_add(1, Ordering::Relaxed);
        last().await
    };
    contract::store::all(make).await.unwrap();
    contract::store::durable(make, async |_| last().await).await.unwrap();
}

async fn it_keeps_the_contract() {
    keeps_the_contract(&Server::valkey(&[])).await;
}

async fn a_cluster_keeps_the_contract() {
    let server = Server::valkey_cluster();
    run(&server, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let mut link = redis::Client::open(url(&server)).unwrap().get_connection().unwrap();
    let is_up = |text: String| text.contains("cluster_state:ok");
    while !is_up(redis::cmd("CLUSTER").arg("INFO").query(&mut link).unwrap()) {
        std::thread::yield_now();
    }
    keeps_the_contract(&server).await;
}

async fn eight_workers_lose_nothing() {
    let server = Server::valkey(&[]);
    workers::work(64, async || open(&server).await as Arc<dyn Store>, async |_| {}).await;
}

async fn a_killed_server_comes_back_with_all() {
    let mut server = Server::valkey(&[]);
    let url = url(&server);
    let open = async || Arc::new(ValkeyStore::open(&url, "dev").await.unwrap()) as Arc<dyn Store>;
    let world = workers::work(64, open, async |world| {
        for ended in [8, 24, 40] {
            workers::until_ended(&world, ended).await;
            server.kill();
            server.restart();
        }
    })
    .await;
    assert!(world.unknown.load(Ordering::SeqCst) > 0, "nobody noticed");
}

async fn lost_answers_lose_nothing() {
    let server = Server::valkey(&[]);
    let url = format!("valkey://127.0.0.1:{}", lossy(server.port(), 50).await.0);
    let open = async || loop {
        if let Ok(store) = ValkeyStore::open(&url, "dev").await {
            return Arc::new(store) as Arc<dyn Store>;
        }
    };
    let world = workers::work(48, open, async |_| {}).await;
    assert!(world.unknown.load(Ordering::SeqCst) > 0, "no answer was lost");
}

/// A second store that is emptied with the command for that.
async fn beside(server: &Server) -> (Arc<Still>, Beside) {
    run(server, &["FLUSHALL"]);
    let store = open(server).await;
    let (still, url) = (Still::new(store.clone(), move || store.usage()), url(server));
    let clear = move || {
        let mut link = redis::Client::open(url.as_str()).unwrap().get_connection().unwrap();
        redis::cmd("FLUSHALL").exec(&mut link).unwrap();
        // A server that was started anew does not know the script either.
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut link).unwrap();
    };
    (still.clone(), Beside { store: still, clear: Arc::new(clear) })
}

async fn it_answers_as_the_cores_tables_do() {
    let server = Server::valkey(&[]);
    for play in [play_mixed, play_loss] {
        let (_, beside) = beside(&server).await;
        tokio::task::spawn_blocking(move || play(beside)).await.unwrap();
    }
}

async fn what_a_job_costs() {
    const JOBS: usize = 40;
    let server = Server::valkey(&[]);
    let (still, beside) = beside(&server).await;
    tokio::task::spawn_blocking(move || play_lives(beside, JOBS)).await.unwrap();
    let _all = still.tell("Valkey", JOBS);
}

async fn what_a_view_costs() {
    let server = Server::valkey(&[]);
    let store = open(&server).await;
    views::tell("Valkey", &*store, || store.usage()).await;
}

async fn what_is_wrong_is_told() {
    let mut server = Server::valkey(&[]);
    let store = open(&server).await;
    let address = format!("127.0.0.1:{}", server.port());
    // A row that is damaged.
    run(&server, &["HSET", "{self-runners:dev}:pool", "web", "7:{}"]);
    let error = store.load(&Keys::default(), 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("row pool/web") && error.message.contains(&address), "{error}");
    // A key of another program.
    run(&server, &["DEL", "{self-runners:dev}:pool"]);
    run(&server, &["SET", "{self-runners:dev}:pool", "1"]);
    let error = store.load(&Keys::default(), 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("another program uses its keys"), "{error}");
    run(&server, &["DEL", "{self-runners:dev}:pool"]);
    // Nobody is there; then somebody.
    server.kill();
    let error = store.load(&Keys::default(), 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains(&address) && error.message.contains("is it up"), "{error}");
    server.restart();
    // It says that it still reads its file.
    let scan = loop {
        match store.scan().await {
            Err(error) if error.kind == ErrorKind::Retry => tokio::task::yield_now().await,
            other => break other.unwrap(),
        }
    };
    assert_eq!(scan, Scan::default());
    // A server without TLS.
    let error = ValkeyStore::open(&format!("valkeys://{address}"), "dev").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry, "{error}");
}

async fn a_wrong_password_is_told_and_not_shown() {
    let server = Server::valkey(&["--requirepass", "right-s3cr3t"]);
    for login in ["", ":wrong-s3cr3t@", "ada:wrong-s3cr3t@"] {
        let url = format!("valkey://{login}127.0.0.1:{}", server.port());
        let error = ValkeyStore::open(&url, "dev").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(error.message.contains("refuses user and password") && !error.message.contains("s3cr3t"), "{error}");
    }
    let store = ValkeyStore::open(&format!("valkey://:right-s3cr3t@127.0.0.1:{}", server.port()), "dev").await.unwrap();
    assert_eq!(store.scan().await.unwrap(), Scan::default());
    assert!(!format!("{store:?}").contains("s3cr3t"), "{store:?}");
}

/// A certificate that nobody vouches for is refused, unless the URL says that this does not matter, as no configuration
/// can.
async fn it_speaks_tls() {
    let server = Server::valkey(&[]);
    let port = in_tls(server.port()).await;
    let store = ValkeyStore::open(&format!("valkeys://127.0.0.1:{port}/#insecure"), "dev").await.unwrap();
    assert!(store.lease("sweep", &"a".into(), 1, 2_000).await.unwrap());
    assert!(!store.lease("sweep", &"b".into(), 2, 2_000).await.unwrap());
    let error = ValkeyStore::open(&format!("valkeys://127.0.0.1:{port}"), "dev").await.unwrap_err();
    assert!(error.message.contains("certificate"), "{error}");
}

/// A secret with the server's password, which is changed.
#[derive(Debug)]
struct Changed {
    port: u16,
    passwords: [&'static str; 2],
    reads: AtomicU32,
}

#[async_trait]
impl ServerUrl for Changed {
    async fn current(&self) -> PortResult<Secret> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed).min(1);
        Ok(Secret::new(format!("valkey://:{}@127.0.0.1:{}", self.passwords[read as usize], self.port)))
    }

    async fn again(&self) -> PortResult<Option<Secret>> {
        self.current().await.map(Some)
    }
}

async fn a_password_is_read_again_when_it_is_refused() {
    let server = Server::valkey(&["--requirepass", "first-s3cr3t"]);
    let url = Arc::new(Changed { port: server.port(), passwords: ["first-s3cr3t", "second-s3cr3t"], reads: 0.into() });
    let store = ValkeyStore::open_by(url.clone(), "dev").await.unwrap();
    assert_eq!((store.scan().await.unwrap(), url.reads.load(Ordering::Relaxed)), (Scan::default(), 1));
    let client = redis::Client::open(format!("valkey://:first-s3cr3t@127.0.0.1:{}", server.port())).unwrap();
    let mut link = client.get_connection().unwrap();
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "second-s3cr3t"]).exec(&mut link).unwrap();
    redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).exec(&mut link).unwrap();
    assert_eq!((store.scan().await.unwrap(), url.reads.load(Ordering::Relaxed)), (Scan::default(), 2));
}
