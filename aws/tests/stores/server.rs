//! Servers as child processes: started on a port of their own, killed, started again with what they had on disk.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use sim::http::APP_KEY_PEM;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

/// A server that does not listen by then has failed.
const START_WITHIN: Duration = Duration::from_secs(30);

/// All that were started: what a failed test leaves running ends with this program.
static CHILDREN: Mutex<Vec<Arc<Mutex<Child>>>> = Mutex::new(Vec::new());

/// Ends what still runs.
pub(crate) fn end_all() {
    CHILDREN.lock().unwrap().drain(..).for_each(|child| end(&child));
}

/// Speaks TLS before a server that cannot, as this build of Valkey; where.
pub(crate) async fn in_tls(behind: u16) -> u16 {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(APP_KEY_PEM.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((outside, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Whoever does not like the certificate goes away.
                let Ok(mut outside) = acceptor.accept(outside).await else { return };
                let mut inside = tokio::net::TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    port
}

fn end(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // It may have been killed already.
    let _gone = child.kill();
    let _status = child.wait();
}

/// A child process that listens.
pub(crate) struct Server {
    command: Box<dyn Fn(u16) -> Command + Send + Sync>,
    port: u16,
    child: Arc<Mutex<Child>>,
    _dir: tempfile::TempDir,
}

impl Server {
    /// Valkey, which syncs each write to its disk.
    pub(crate) fn valkey(arguments: &[&str]) -> Self {
        let program = program("TEST_VALKEY_SERVER");
        let dir = tempfile::tempdir().unwrap();
        let (path, more) = (dir.path().to_owned(), arguments.iter().map(ToString::to_string).collect::<Vec<_>>());
        Self::start(dir, move |port| {
            let mut command = Command::new(&program);
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
            command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(&path).args(&more);
            command
        })
    }

    /// Valkey as a cluster of one. The port of the cluster's own talk is named: by itself it would be 10 000 above
    /// the other, which is beyond the last port for a fifth of those that the system hands out.
    pub(crate) fn valkey_cluster() -> Self {
        Self::valkey(&["--cluster-enabled", "yes", "--cluster-port", &free_port().to_string()])
    }

    /// A local AWS. It writes what it has to its disk when it is stopped, and keeps nothing when it is killed.
    pub(crate) fn ministack() -> Self {
        let program = program("TEST_MINISTACK");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        Self::start(dir, move |port| {
            let mut command = Command::new(&program);
            command.env("GATEWAY_PORT", port.to_string()).env("STATE_DIR", &path).current_dir(&path);
            command.env("PERSIST_STATE", "1");
            command
        })
    }

    fn start(dir: tempfile::TempDir, command: impl Fn(u16) -> Command + Send + Sync + 'static) -> Self {
        let port = free_port();
        let child = Arc::new(Mutex::new(spawn(&mut command(port), port)));
        CHILDREN.lock().unwrap().push(child.clone());
        Self { command: Box::new(command), port, child, _dir: dir }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL: nothing is tidied up.
    pub(crate) fn kill(&mut self) {
        end(&self.child);
    }

    /// SIGTERM: connections end in the middle of what is asked, and what was answered is written.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(asked.success() && child.wait().is_ok());
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self) {
        *self.child.lock().unwrap() = spawn(&mut (self.command)(self.port), self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&self.child);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program(variable: &str) -> OsString {
    std::env::var_os(variable).unwrap()
}

fn spawn(command: &mut Command, port: u16) -> Child {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(1)).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "the server ended");
        assert!(began.elapsed() < START_WITHIN, "the server does not listen"); // deadline
        std::thread::yield_now();
    }
    child
}

/// A way to a server on which every so many answers get lost, and the connection with them; its port, and how many were.
pub(crate) async fn lossy(port: u16, one_in: u32) -> (u16, Arc<AtomicU32>) {
    let lost = Arc::new(AtomicU32::new(0));
    let counted = lost.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            if let Ok(server) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                tokio::spawn(carry(caller, server, one_in, lost.clone()));
            }
        }
    });
    (way, counted)
}

async fn carry(caller: tokio::net::TcpStream, server: tokio::net::TcpStream, one_in: u32, lost: Arc<AtomicU32>) {
    let ((mut from_caller, mut to_caller), (mut from_server, mut to_server)) =
        (caller.into_split(), server.into_split());
    let there = async { tokio::io::copy(&mut from_caller, &mut to_server).await.map(drop) };
    let back = async {
        let mut bytes = vec![0; 65_536];
        loop {
            let count = from_server.read(&mut bytes).await?;
            if count == 0 {
                return Ok::<(), std::io::Error>(());
            }
            if fastrand::u32(0..one_in) == 0 {
                lost.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            to_caller.write_all(&bytes[..count]).await?;
        }
    };
    tokio::select! {
        _ = there => {}
        _ = back => {}
    }
}
