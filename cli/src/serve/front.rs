//! The daemon's HTTP face: hello, health, webhooks, agents. Routes and shared state only.
//!
//! | module | what it holds |
//! |---|---|
//! | `server`, `seats` | connections: how many there are, which are cut off |
//! | `body` | a request's body, bounded in size, time and in all |
//! | `webhook`, `heard` | deliveries; which of them tell nothing new |
//! | `agents` | claims and reports |
//! | `complaints` | refusals in the log, so many and no more |

mod agents;
mod body;
mod complaints;
mod heard;
mod seats;
pub(super) mod server;
mod strangers;
mod webhook;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use controller::{
    ports::{Inbox, Secret},
    service::Controller,
};
use fleet::{
    job::Job,
    wire::{CLAIM_PATH, REPORT_PATH},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::{body::Room, complaints::Complaints, heard::Heard, strangers::Strangers};
use super::{
    vitals::{self, Vitals},
    writable::Writable,
};

/// What the routes share.
pub(crate) struct Front {
    /// Decides.
    pub(crate) controller: Arc<Controller>,
    /// Where webhooks go before they are answered.
    pub(crate) inbox: Arc<dyn Inbox>,
    /// Asked by `/readyz`.
    writable: Arc<Writable>,
    /// Tells the worker that something was appended.
    pub(crate) arrived: Arc<Notify>,
    /// Set when the daemon is asked to end.
    pub(crate) ending: AtomicBool,
    /// The webhook's secrets.
    webhook_secrets: Vec<Secret>,
    room: Room,
    heard: Heard,
    complaints: Complaints,
    strangers: Strangers,
    vitals: Arc<Vitals>,
}

impl Front {
    /// A face that nobody has talked to yet.
    pub(crate) fn new(
        controller: Arc<Controller>,
        inbox: Arc<dyn Inbox>,
        writable: Arc<Writable>,
        webhook_secrets: Vec<Secret>,
        vitals: Arc<Vitals>,
    ) -> Self {
        Self {
            controller,
            inbox,
            writable,
            arrived: Arc::new(Notify::new()),
            ending: AtomicBool::new(false),
            webhook_secrets,
            room: Room::default(),
            heard: Heard::default(),
            complaints: Complaints::default(),
            strangers: Strangers::default(),
            vitals,
        }
    }

    /// What rows know of jobs is known: a delivery that says the same is a duplicate after a restart too.
    pub(crate) fn remember(&self, jobs: &[Job]) {
        self.heard.learn(jobs);
    }
}

/// The routes.
pub(crate) fn router(front: Arc<Front>) -> Router {
    let counted = from_fn_with_state(front.vitals.clone(), vitals::count);
    Router::new()
        .route("/", get(hello))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/webhook", post(webhook::receive).layer(counted.clone()))
        // Typed into GitHub's form like this it would be a webhook that always fails.
        .route("/webhook/", post(webhook::receive).layer(counted))
        .route(CLAIM_PATH, post(agents::claim))
        .route(REPORT_PATH, post(agents::report))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(front)
}

/// What containers may ask: claims and reports of their agents, nothing else.
pub(crate) fn agents_router(front: Arc<Front>) -> Router {
    Router::new()
        .route(CLAIM_PATH, post(agents::claim))
        .route(REPORT_PATH, post(agents::report))
        .fallback(for_agents)
        .method_not_allowed_fallback(wrong_method)
        .with_state(front)
}

/// A JSON object as answer.
fn answer(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}

/// An error as answer: what is wrong, in words.
fn refuse(status: StatusCode, why: &str) -> Response {
    answer(status, json!({ "error": why }))
}

/// 503: the other side keeps it and comes again.
fn unavailable(why: &str) -> Response {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static(RETRY_AFTER_S));
    response
}

async fn hello() -> Response {
    answer(StatusCode::OK, json!({ "name": "self-runners", "version": env!("CARGO_PKG_VERSION") }))
}

async fn healthy() -> Response {
    answer(StatusCode::OK, json!({ "status": "alive" }))
}

async fn ready(State(front): State<Arc<Front>>) -> Response {
    if front.ending.load(Ordering::Relaxed) {
        return unavailable("the daemon is ending");
    }
    match front.writable.trouble().await {
        None => answer(StatusCode::OK, json!({ "status": "ready" })),
        // Strangers ask, too, and the words name folders of this machine.
        Some(_) => unavailable("the store cannot be written; `self-runners status` and the log say why"),
    }
}

async fn unknown() -> Response {
    refuse(StatusCode::NOT_FOUND, "no such path; there are /, /healthz, /readyz, /webhook and /agent/v1/*")
}

async fn for_agents() -> Response {
    refuse(StatusCode::NOT_FOUND, "here is /agent/v1/* only")
}

async fn wrong_method() -> Response {
    refuse(StatusCode::METHOD_NOT_ALLOWED, "wrong method: POST to /webhook and /agent/v1/*, GET the others")
}

/// Seconds after which it may work again.
const RETRY_AFTER_S: &str = "1";
