//! The HTTP face of the simulated ECS, AWS JSON 1.1, in this machine's time. It asks for no credentials.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::model::Happening;
use super::{Answer, Ecs};
use crate::http::world::now_ms;

/// Before an operation's name in its header.
const TARGET: &str = "AmazonEC2ContainerServiceV20141113.";
/// The protocol.
const JSON: &str = "application/x-amz-json-1.1";
/// Longest wait for something that happens by itself.
const LONGEST_WAIT_MS: u64 = 1_000;

#[derive(Debug)]
struct World {
    ecs: Ecs,
    events: Vec<mpsc::UnboundedSender<Value>>,
    happenings: Vec<mpsc::UnboundedSender<Happening>>,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    changed: Notify,
}

/// Steers a running simulated ECS. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Does something with it, at this time.
    pub fn with<T>(&self, work: impl FnOnce(&mut Ecs, u64) -> T) -> T {
        let result = self.act(work);
        self.shared.changed.notify_one();
        result
    }

    fn act<T>(&self, work: impl FnOnce(&mut Ecs, u64) -> T) -> T {
        let mut world = self.lock();
        let now_ms = now_ms();
        world.ecs.tick(now_ms);
        let result = work(&mut world.ecs, now_ms);
        world.ecs.tick(now_ms);
        deliver(&mut world, now_ms);
        result
    }

    /// Looks at it.
    pub fn look<T>(&self, look: impl FnOnce(&Ecs) -> T) -> T {
        look(&self.lock().ecs)
    }

    /// The task events from now on, as EventBridge delivers them.
    pub fn events(&self) -> mpsc::UnboundedReceiver<Value> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().events.push(sender);
        receiver
    }

    /// What happens to containers from now on.
    pub fn happenings(&self) -> mpsc::UnboundedReceiver<Happening> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().happenings.push(sender);
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn deliver(world: &mut World, now_ms: u64) {
    for event in world.ecs.take_events(now_ms) {
        world.events.retain(|to| to.send(event.clone()).is_ok());
    }
    for happening in world.ecs.take_happenings() {
        world.happenings.retain(|to| to.send(happening.clone()).is_ok());
    }
}

/// A running face. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    handle: Handle,
    url: String,
    tasks: [JoinHandle<()>; 2],
}

impl Server {
    /// What to steer it with.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where it listens: `http://127.0.0.1:1234`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Starts the face on a free port of the loopback address, within a Tokio runtime.
///
/// # Errors
/// No port can be listened on.
pub async fn serve(ecs: Ecs) -> io::Result<Server> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let world = World { ecs, events: Vec::new(), happenings: Vec::new() };
    let handle = Handle { shared: Arc::new(Shared { world: Mutex::new(world), changed: Notify::new() }) };
    let app = Router::new().route("/", post(answer)).with_state(handle.clone());
    let served = async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the simulated ECS no longer listens");
        }
    };
    let tasks = [tokio::spawn(served), tokio::spawn(pump(handle.clone()))];
    Ok(Server { handle, url, tasks })
}

/// Lets time pass.
async fn pump(handle: Handle) {
    loop {
        handle.act(|_, _| ());
        let next_ms = handle.look(Ecs::next_event_ms);
        let wait_ms = next_ms.map_or(LONGEST_WAIT_MS, |at_ms| at_ms.saturating_sub(now_ms()).clamp(1, LONGEST_WAIT_MS));
        tokio::select! {
            () = sleep(Duration::from_millis(wait_ms)) => {}
            () = handle.shared.changed.notified() => {}
        }
    }
}

async fn answer(State(handle): State<Handle>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix(TARGET).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    match handle.with(|ecs, now_ms| ecs.call(now_ms, operation, &body)) {
        Answer::Done(value) => json(StatusCode::OK, &value),
        Answer::Refused(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            json(status, &refusal.body())
        }
        Answer::Silence => std::future::pending().await,
    }
}

fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}
