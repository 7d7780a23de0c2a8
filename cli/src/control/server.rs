//! The daemon's side of the control socket.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use controller::service::Controller;
use fleet::{
    drain::Extent,
    event::{Event, Outcome},
    runner::RunnerInput,
};
use tokio::net::{UnixListener, UnixStream, unix::SocketAddr};
use tracing::{info, warn};

use super::wire::{DrainRequest, Live, Refusal, Said, StopRequest};
use crate::{
    failure::Failure,
    serve::{Vitals, Writable},
};

/// What the routes share.
pub(crate) struct Control {
    /// Decides.
    pub(crate) controller: Arc<Controller>,
    /// What no row holds.
    pub(crate) vitals: Arc<Vitals>,
    /// Whether the store can be written.
    pub(crate) writable: Arc<Writable>,
}

/// The bound socket; its file goes with it.
pub(crate) struct Server {
    path: PathBuf,
    listener: UnixListener,
}

impl Server {
    /// Binds the socket. The caller has the store, so a socket that is there belongs to a daemon that is dead.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, Failure> {
        let path = super::path(data_dir);
        let bytes = path.as_os_str().len();
        if bytes > PATH_BYTES_MAX {
            return Err(Failure::usage(format!(
                "the control socket {} would have {bytes} bytes in its path, {PATH_BYTES_MAX} are possible: \
                 choose a shorter data folder with `--data DIR`",
                path.display()
            )));
        }
        let cannot = |error: io::Error| {
            let (path, dir) = (path.display(), data_dir.display());
            Failure::failed(format!("cannot make the control socket {path}: {error}; can this user write to {dir}?"))
        };
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.file_type().is_socket()) {
            let path = path.display();
            return Err(Failure::failed(format!("{path} is no socket: move it away and start again")));
        }
        let listener = bind(&path).map_err(cannot)?;
        Ok(Self { path, listener })
    }

    /// Serves for ever.
    pub(crate) async fn serve(self, control: Control) {
        let Self { path, listener } = self;
        let _goes = Remover(path);
        if let Err(error) = axum::serve(Own(listener), router(Arc::new(control))).await {
            warn!(%error, "the control socket ended");
        }
    }
}

/// Under another name first: under its own it is never there with a mode that lets others in.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let unready = path.with_extension("new");
    match fs::remove_file(&unready) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&unready)?;
    fs::set_permissions(&unready, Permissions::from_mode(SOCKET_MODE))?;
    fs::rename(&unready, path)?;
    Ok(listener)
}

/// Takes the file away when the daemon ends: who asks then is told at once that nobody is there.
struct Remover(PathBuf);

impl Drop for Remover {
    fn drop(&mut self) {
        // It may have been taken away by somebody else.
        let _gone = fs::remove_file(&self.0);
    }
}

/// Only the user that runs the daemon, and root, whatever became of the file's mode.
struct Own(UnixListener);

impl axum::serve::Listener for Own {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
            match stream.peer_cred().map(|peer| peer.uid()) {
                Ok(uid) if uid == 0 || uid == rustix::process::geteuid().as_raw() => return (stream, address),
                Ok(uid) => warn!(uid, "another user's call of the control socket was cut off"),
                Err(error) => warn!(%error, "a call of the control socket was cut off: whose it is cannot be told"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/v1/live", get(live))
        .route("/v1/stop", post(stop))
        .route("/v1/drain", post(drain))
        .route("/v1/drain/end", post(end_drain))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(control)
}

async fn live(State(control): State<Arc<Control>>) -> Json<Live> {
    let vitals = &control.vitals;
    Json(Live {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        url: vitals.url.clone(),
        started_ms: vitals.started_ms,
        webhooks: vitals.webhooks(),
        sweep: control.controller.last_sweep(),
        sweep_interval_ms: vitals.sweep_interval_ms,
        polling: vitals.polls.then(|| control.controller.outlook()),
        policy: (*control.controller.policy()).clone(),
        store_trouble: control.writable.trouble().await,
    })
}

async fn stop(State(control): State<Arc<Control>>, Json(wish): Json<StopRequest>) -> Response {
    let by = words(&wish.by);
    info!(runner.name = wish.runner, force = wish.force, %by, "a person stops a runner");
    let input = if wish.force { RunnerInput::Stop { by } } else { RunnerInput::StopIdle { by } };
    control.handle(Event::Runner { runner: wish.runner.into(), input }).await
}

async fn drain(State(control): State<Arc<Control>>, Json(wish): Json<DrainRequest>) -> Response {
    let (extent, by) = (extent(wish.class), words(&wish.by));
    info!(?extent, %by, "a person drains");
    control.handle(Event::Drain { extent, by }).await
}

async fn end_drain(State(control): State<Arc<Control>>, Json(wish): Json<DrainRequest>) -> Response {
    let (extent, by) = (extent(wish.class), words(&wish.by));
    info!(?extent, %by, "a person lifts a drain");
    control.handle(Event::EndDrain { extent, by }).await
}

impl Control {
    async fn handle(&self, event: Event) -> Response {
        match self.controller.handle(&[event]).await.map(|mut outcomes| outcomes.pop()) {
            Ok(Some(Outcome::Accepted(text))) => Json(Said { text }).into_response(),
            Ok(Some(Outcome::Refused(why))) => refuse(StatusCode::CONFLICT, &why),
            Ok(Some(Outcome::Unknown)) => refuse(StatusCode::NOT_FOUND, "no such runner is known here"),
            Ok(_) => refuse(StatusCode::CONFLICT, "that changes nothing"),
            Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.message),
        }
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(Refusal { error: why.into() })).into_response()
}

fn extent(class: Option<String>) -> Extent {
    class.map_or(Extent::Fleet, |name| Extent::Class(name.into()))
}

/// What a person said of himself, made fit for one line of a log.
fn words(text: &str) -> Arc<str> {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX).collect();
    let plain = plain.trim();
    if plain.is_empty() { "an operator".into() } else { plain.into() }
}

/// Only the owner connects.
const SOCKET_MODE: u32 = 0o600;

/// Linux's `sun_path` has 108 bytes, the last of them zero.
const PATH_BYTES_MAX: usize = 107;

/// A wish has some hundred bytes.
const BODY_BYTES_MAX: usize = 16 * 1_024;

/// Longest name with its reason.
const WORDS_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_daemons_socket_is_replaced_and_only_its_owner_connects() {
        let dir = tempfile::tempdir().unwrap();
        let first = Server::open(dir.path()).unwrap();
        drop(first.listener);
        let path = super::super::path(dir.path());
        assert!(UnixStream::connect(&path).await.is_err(), "nobody listens");
        let second = Server::open(dir.path()).unwrap();
        UnixStream::connect(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(second);
    }

    #[tokio::test]
    async fn what_cannot_be_a_socket_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("d".repeat(100));
        let error = Server::open(&long).err().unwrap();
        assert!(error.code() == 2 && error.to_string().contains("107 are possible"), "{error}");
        fs::write(dir.path().join("control.sock"), "somebody's").unwrap();
        let error = Server::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("is no socket"), "{error}");
        let error = Server::open(&dir.path().join("nowhere")).err().unwrap().to_string();
        assert!(error.contains("can this user write to"), "{error}");
    }

    #[test]
    fn a_persons_words_are_one_short_line() {
        assert_eq!(&*words(" ada\n\x1b[31m(why)"), "ada[31m(why)");
        assert_eq!(&*words("\n"), "an operator");
        assert_eq!(words(&"x".repeat(1_000)).len(), WORDS_CHARS_MAX);
    }
}
