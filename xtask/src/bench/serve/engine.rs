//! A simulated Docker engine: as much of its HTTP interface as the daemon uses, and thousands of containers that are
//! entries of a table. Its clock says when a launch arrives.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Instant,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle};

use super::Measured;

/// Events that a slow listener may be behind.
const EVENTS_MAX: usize = 65_536;

/// A machine that was started.
#[derive(Debug, Clone)]
pub(super) struct Started {
    /// Its container.
    pub(super) container: String,
    /// What it registers with at GitHub.
    pub(super) scope: String,
    /// What its agent would read from its environment.
    pub(super) environment: BTreeMap<String, String>,
    /// When the start was asked for.
    pub(super) at: Instant,
}

impl Started {
    /// A variable of the agent's.
    pub(super) fn variable(&self, name: &str) -> &str {
        self.environment.get(name).map_or("", String::as_str)
    }
}

struct Container {
    labels: Value,
    environment: BTreeMap<String, String>,
    status: &'static str,
}

struct Shared {
    containers: Mutex<BTreeMap<String, Container>>,
    events: broadcast::Sender<String>,
    started: mpsc::Sender<Started>,
}

/// The engine. It ends when this is dropped.
pub(super) struct Engine {
    shared: Arc<Shared>,
    address: String,
    task: JoinHandle<()>,
}

impl Engine {
    /// Listens on a free port; machines that are started come out of the receiver.
    pub(super) async fn open() -> Measured<(Self, mpsc::Receiver<Started>)> {
        let failed = |error| format!("the simulated engine cannot listen: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = format!("tcp://{}", listener.local_addr().map_err(failed)?);
        let (started, machines) = mpsc::channel();
        let shared =
            Arc::new(Shared { containers: Mutex::default(), events: broadcast::Sender::new(EVENTS_MAX), started });
        // Clients call with and without a version in front.
        let routes = routes().nest("/{version}", routes()).with_state(shared.clone());
        let task = tokio::spawn(async move {
            // It ends with the task.
            let _ended = axum::serve(listener, routes).await;
        });
        Ok((Self { shared, address, task }, machines))
    }

    /// Where it listens, as the configuration wants it.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// A machine ends by itself.
    pub(super) fn end(&self, container: &str) {
        self.shared.end(container);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Container>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, action: &str, name: &str) {
        let actor = json!({ "ID": name, "Attributes": { "name": name } });
        let event = json!({ "Type": "container", "Action": action, "Actor": actor, "scope": "local" });
        // Nobody may be listening just now.
        let _unheard = self.events.send(format!("{event}\n"));
    }

    fn end(&self, name: &str) -> bool {
        let running = match self.lock().get_mut(name) {
            Some(container) if container.status == RUNNING => {
                container.status = "exited";
                true
            }
            Some(_) | None => false,
        };
        if running {
            self.say("die", name);
        }
        running
    }
}

fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/info", get(info))
        .route("/networks/{name}", get(network))
        .route("/events", get(events))
        .route("/containers/create", post(create))
        .route("/containers/json", get(list))
        .route("/containers/{name}", delete(remove))
        .route("/containers/{name}/json", get(inspect))
        .route("/containers/{name}/start", post(start))
        .route("/containers/{name}/kill", post(kill))
}

/// Of `/containers/{name}`, behind a version or not.
#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn info() -> Json<Value> {
    Json(json!({ "ServerVersion": "simulated", "Driver": "simulated", "MemoryLimit": true, "PidsLimit": true,
        "CpuCfsQuota": true, "CpuCfsPeriod": true }))
}

async fn network(Path(Named { name }): Path<Named>) -> Json<Value> {
    Json(json!({ "Name": name, "Driver": "bridge", "IPAM": { "Config": [{ "Gateway": "127.0.0.1" }] } }))
}

async fn events(State(shared): State<Arc<Shared>>) -> Body {
    Body::from_stream(stream::unfold(shared.events.subscribe(), |mut events| async move {
        let event = events.recv().await.ok()?;
        Some((Ok::<_, Infallible>(event), events))
    }))
}

async fn create(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
    Json(mut body): Json<Value>,
) -> Response {
    let name = query.get("name").cloned().unwrap_or_default();
    let mut containers = shared.lock();
    if containers.contains_key(&name) {
        let message = format!("Conflict. The container name \"/{name}\" is already in use");
        return refuse(StatusCode::CONFLICT, &message);
    }
    let lines = body["Env"].as_array().into_iter().flatten().filter_map(|line| line.as_str()?.split_once('='));
    let environment = lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    containers.insert(name.clone(), Container { labels: body["Labels"].take(), environment, status: "created" });
    (StatusCode::CREATED, Json(json!({ "Id": name, "Warnings": [] }))).into_response()
}

async fn start(State(shared): State<Arc<Shared>>, Path(Named { name }): Path<Named>) -> Response {
    let at = Instant::now();
    let (environment, scope) = match shared.lock().get_mut(&name) {
        Some(container) => {
            container.status = RUNNING;
            (container.environment.clone(), container.labels[SCOPE].as_str().unwrap_or_default().to_owned())
        }
        None => return missing(&name),
    };
    shared.say("start", &name);
    // The measurement may be over.
    let _unheard = shared.started.send(Started { container: name, scope, environment, at });
    StatusCode::NO_CONTENT.into_response()
}

async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let one = |(name, container): (&String, &Container)| json!({ "Id": name, "Names": [format!("/{name}")], "Labels": container.labels, "State": container.status });
    Json(shared.lock().iter().map(one).collect())
}

async fn inspect(State(shared): State<Arc<Shared>>, Path(Named { name }): Path<Named>) -> Response {
    match shared.lock().get(&name) {
        Some(Container { labels, status, .. }) => Json(json!({
            "Id": name, "Name": format!("/{name}"), "State": { "Status": status, "ExitCode": 0 },
            "Config": { "Labels": labels },
        }))
        .into_response(),
        None => missing(&name),
    }
}

async fn kill(State(shared): State<Arc<Shared>>, Path(Named { name }): Path<Named>) -> Response {
    if shared.end(&name) { StatusCode::NO_CONTENT.into_response() } else { missing(&name) }
}

async fn remove(State(shared): State<Arc<Shared>>, Path(Named { name }): Path<Named>) -> Response {
    if shared.lock().remove(&name).is_none() {
        return missing(&name);
    }
    shared.say("destroy", &name);
    StatusCode::NO_CONTENT.into_response()
}

fn missing(name: &str) -> Response {
    refuse(StatusCode::NOT_FOUND, &format!("No such container: {name}"))
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

/// The status of a container that runs.
const RUNNING: &str = "running";

/// The label with what a machine registers with.
const SCOPE: &str = "self-runners.scope";
