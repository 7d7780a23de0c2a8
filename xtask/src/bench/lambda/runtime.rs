//! The Lambda Runtime API for one process: hands out calls, takes answers.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use super::Measured;

/// What a function said to a call.
pub(super) struct Answer {
    /// Whether it is no error of the function.
    pub(super) well: bool,
    pub(super) body: Bytes,
    pub(super) at: Instant,
}

/// What a call may take: the time that Lambda gives these functions.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

struct Shared {
    calls: Mutex<mpsc::UnboundedReceiver<String>>,
    answers: mpsc::UnboundedSender<Answer>,
}

/// The API. It ends when this is dropped.
pub(super) struct Runtime {
    address: String,
    calls: mpsc::UnboundedSender<String>,
    answers: mpsc::UnboundedReceiver<Answer>,
    served: JoinHandle<()>,
}

impl Runtime {
    /// Listens, within a Tokio runtime.
    pub(super) fn begin() -> Measured<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?.to_string();
        let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
        let (calls, to_hand_out) = mpsc::unbounded_channel();
        let (taken, answers) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { calls: Mutex::new(to_hand_out), answers: taken });
        let app = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(shared);
        let served = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
        Ok(Self { address, calls, answers, served })
    }

    /// What `AWS_LAMBDA_RUNTIME_API` says.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Hands out a call when the function asks for the next one.
    pub(super) fn call(&self, payload: String) {
        // The other end lives as long as this.
        let _sent = self.calls.send(payload);
    }

    /// Waits for the answer.
    pub(super) async fn answer(&mut self) -> Measured<Answer> {
        let answer = tokio::time::timeout(CALL_TIMEOUT, self.answers.recv()).await; // deadline
        answer.ok().flatten().ok_or_else(|| "the function does not answer".to_owned())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let Some(payload) = shared.calls.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + CALL_TIMEOUT;
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:123456789012:function:f".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, payload).into_response()
}

async fn response(State(shared): State<Arc<Shared>>, Path(_id): Path<String>, body: Bytes) -> StatusCode {
    answered(&shared, true, body)
}

async fn error(State(shared): State<Arc<Shared>>, Path(_id): Path<String>, body: Bytes) -> StatusCode {
    answered(&shared, false, body)
}

async fn init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    answered(&shared, false, body)
}

fn answered(shared: &Shared, well: bool, body: Bytes) -> StatusCode {
    let _taken = shared.answers.send(Answer { well, body, at: Instant::now() });
    StatusCode::ACCEPTED
}
