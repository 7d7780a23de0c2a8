//! A command's side of the control socket. Each failure says whether a daemon lives and what to do next.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, time::timeout};

use super::wire::{DrainRequest, Live, Refusal, Said, StopRequest};
use crate::failure::Failure;

/// Asks the daemon of a data folder.
#[derive(Debug)]
pub(crate) struct Client {
    data_dir: PathBuf,
    path: PathBuf,
}

/// Why nobody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreachable {
    /// What is the matter, in words.
    pub(crate) what: String,
    /// What to do.
    pub(crate) next: String,
}

/// Why a wish was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// The daemon says no, in words.
    Refused(String),
    /// It cannot be asked.
    Unreachable(Unreachable),
}

/// What was answered.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Client {
    /// For the daemon of this folder, living or not.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.into(), path: super::path(data_dir) }
    }

    /// Facts about the living daemon.
    pub(crate) fn live(&self) -> Result<Live, Unreachable> {
        let answer = self.call(Method::GET, "/v1/live", Bytes::new())?;
        serde_json::from_slice(&answer.body).map_err(|error| {
            self.odd(&format!("answers in a way that this version does not understand ({}, {error})", answer.status))
        })
    }

    /// Has a runner stopped; what was done, in words.
    pub(crate) fn stop(&self, wish: &StopRequest) -> Result<String, NotDone> {
        self.wish("/v1/stop", wish)
    }

    /// Begins a drain.
    pub(crate) fn drain(&self, wish: &DrainRequest) -> Result<String, NotDone> {
        self.wish("/v1/drain", wish)
    }

    /// Ends a drain.
    pub(crate) fn end_drain(&self, wish: &DrainRequest) -> Result<String, NotDone> {
        self.wish("/v1/drain/end", wish)
    }

    fn wish(&self, path: &str, wish: &impl Serialize) -> Result<String, NotDone> {
        let body = serde_json::to_vec(wish).map_err(|error| self.odd(&format!("cannot be asked: {error}")))?;
        let answer = self.call(Method::POST, path, body.into())?;
        if answer.status == StatusCode::OK {
            let said: Said = self.read(&answer)?;
            return Ok(said.text);
        }
        let refusal: Refusal = self.read(&answer)?;
        Err(NotDone::Refused(refusal.error))
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Unreachable> {
        let status = answer.status;
        serde_json::from_slice(&answer.body)
            .map_err(|_| self.odd(&format!("answers {status}: it is of another version")))
    }

    fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Unreachable> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| self.odd(&format!("cannot be asked: {error}")))?;
        let asked = async { timeout(ANSWER_WITHIN, self.ask(method, path, body)).await };
        runtime.block_on(asked).unwrap_or_else(|_| {
            let seconds = ANSWER_WITHIN.as_secs();
            Err(self.odd(&format!("gives no answer within {seconds} s")))
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Unreachable> {
        let stream = UnixStream::connect(&self.path).await.map_err(|error| self.not_connected(&error))?;
        let broken = |error: &dyn std::fmt::Display| self.odd(&format!("broke off: {error}"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
        // Its failure is the request's.
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header(HOST, "control");
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(body)).map_err(|e| broken(&e))?;
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|e| broken(&e))?;
        Ok(Answer { status, body: body.to_bytes() })
    }

    fn not_connected(&self, error: &io::Error) -> Unreachable {
        let (path, dir) = (self.path.display(), self.data_dir.display());
        let kind = error.kind();
        if kind == io::ErrorKind::NotFound || kind == io::ErrorKind::ConnectionRefused {
            return Unreachable {
                what: format!("no daemon runs with {dir}"),
                next: "start it with `self-runners serve`, or give the right `--config FILE` or `--data DIR`".into(),
            };
        }
        if kind == io::ErrorKind::PermissionDenied {
            return Unreachable {
                what: format!("this user may not use {path}"),
                next: format!("run this as the user that runs the daemon{}", owner(&self.path, &self.data_dir)),
            };
        }
        self.odd(&format!("cannot be reached at {path}: {error}"))
    }

    fn odd(&self, what: &str) -> Unreachable {
        let dir = self.data_dir.display();
        Unreachable { what: format!("the daemon of {dir} {what}"), next: "look at its log, then try again".into() }
    }
}

/// How to become the owner of the first of these that can be looked at.
fn owner(socket: &Path, dir: &Path) -> String {
    let found = fs::metadata(socket).or_else(|_| fs::metadata(dir));
    found.map_or_else(|_| String::new(), |found| format!(": `sudo -u '#{}' self-runners …`", found.uid()))
}

impl From<Unreachable> for NotDone {
    fn from(error: Unreachable) -> Self {
        Self::Unreachable(error)
    }
}

impl From<NotDone> for Failure {
    fn from(error: NotDone) -> Self {
        match error {
            NotDone::Refused(why) => Self::failed(why),
            NotDone::Unreachable(error) => error.into(),
        }
    }
}

impl From<Unreachable> for Failure {
    fn from(error: Unreachable) -> Self {
        Self::failed(format!("{}: {}", error.what, error.next))
    }
}

/// How long the daemon may take to answer: a commit behind a busy disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The rules of a large configuration have some hundred kilobytes.
const ANSWER_BYTES_MAX: usize = 8 * 1_024 * 1_024;
