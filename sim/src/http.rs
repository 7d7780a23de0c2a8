//! The simulated GitHub behind HTTP, in real time: what the real clients, the real daemon and the stand-in runner talk
//! to.
//!
//! REST as documented (FACTS §2), signed webhooks (FACTS §1), and the stand-in runner's private broker
//! ([`crate::standin::wire`]). All rules are [`crate::hub::Hub`]'s; here they only get a clock and a transport. It
//! listens on the loopback address unless told otherwise.
//!
//! | module | what it holds |
//! |---|---|
//! | [`handle`] | what tests and demonstrations do in-process |
//! | [`world`] | the shared state and its one lock |
//! | [`flows`] | workflows: which job is next |
//! | `ask` | one request: parameters, lock, rate-limit headers, ETag, GitHub's error shape |
//! | `gate` | authorization and distance, before anything else |
//! | `runners`, `jobs`, `hooks`, `owners`, `apps`, `pages` | the REST operations by subject |
//! | `words` | whether an App's own word (JWT) is good |
//! | `setup` | registering an App from a manifest |
//! | `broker`, `jit` | the runner's side |
//! | `webhooks`, `post` | sending deliveries when the hub says so |

pub mod flows;
pub mod handle;
pub mod world;

mod apps;
mod ask;
mod broker;
mod gate;
mod hooks;
mod jit;
mod jobs;
mod owners;
mod pages;
mod post;
mod runners;
mod setup;
mod webhooks;
mod words;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::world::{Shared, World};
use crate::hub::Hub;

pub use self::handle::{FlowId, Handle};
pub use self::webhooks::signature;

/// The private key of the simulated GitHub App, in PEM as GitHub gives it. It is nobody else's and opens nothing.
pub const APP_KEY_PEM: &str = include_str!("http/app_key.pem");

/// How the face is to be.
#[derive(Clone)]
pub struct Options {
    /// The token that REST wants; never printed.
    pub token: String,
    /// Where webhooks go; can be set later ([`Handle::send_webhooks_to`]).
    pub webhook_url: Option<String>,
    /// What webhooks are signed with; never printed.
    pub webhook_secret: String,
    /// Whether webhooks are form-encoded instead of JSON.
    pub webhook_form: bool,
    /// How far away it is: added to each REST answer, milliseconds. GitHub is about 150 away.
    pub latency_ms: u64,
    /// The address: that of loopback, unless containers must reach it too.
    pub address: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The stand-in runner as a package, to be downloaded as the official one. Without it the releases name files that
    /// are not there.
    pub package: Option<Arc<[u8]>>,
}

impl Options {
    /// Nearby, on a free port, without a webhook.
    pub fn new(token: &str, webhook_secret: &str) -> Self {
        Self {
            token: token.to_owned(),
            webhook_url: None,
            webhook_secret: webhook_secret.to_owned(),
            webhook_form: false,
            latency_ms: 0,
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            package: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("webhook_url", &self.webhook_url).finish_non_exhaustive()
    }
}

/// A running face. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    handle: Handle,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// What to steer it with.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, of REST, of pages and of the broker: `http://127.0.0.1:1234`.
    pub fn url(&self) -> &str {
        self.handle.url()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Starts the face of a world, within a Tokio runtime.
///
/// The hub's runners must say that they live from now on, and notes of all that happens are kept.
///
/// # Errors
/// The port cannot be listened on.
pub async fn serve(hub: Hub, options: Options) -> io::Result<Server> {
    serve_beside(hub, options, |_| Router::new()).await
}

/// The same, with further routes that no token guards: what a person steers it with from outside.
///
/// # Errors
/// The port cannot be listened on.
pub async fn serve_beside(mut hub: Hub, options: Options, beside: impl FnOnce(Handle) -> Router) -> io::Result<Server> {
    let listener = TcpListener::bind((options.address, options.port)).await?;
    let address = listener.local_addr()?;
    hub.times.assume_heartbeats = false;
    hub.keep_notes();
    let shared = Arc::new(Shared::new(World::new(hub, &options), options, format!("http://{address}")));
    let app = routes().with_state(shared.clone()).layer(gate::layer(shared.clone()));
    let app = beside(Handle::new(shared.clone())).fallback_service(app);
    let served = async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the simulated GitHub no longer listens");
        }
    };
    let tasks = vec![tokio::spawn(served), tokio::spawn(webhooks::pump(shared.clone()))];
    Ok(Server { handle: Handle::new(shared), address, tasks })
}

fn routes() -> Router<Arc<Shared>> {
    let repo = runners::routes().merge(jobs::routes()).merge(hooks::routes());
    let repo = repo.merge(owners::of_repo()).merge(apps::of_repo());
    let org = runners::routes().merge(hooks::routes()).merge(owners::of_org()).merge(apps::of_org());
    Router::new()
        .nest("/repos/{owner}/{repo}", repo)
        .nest("/orgs/{org}", org)
        .nest("/app", hooks::of_app().merge(apps::of_app()))
        .merge(owners::accounts())
        .merge(apps::accounts())
        .merge(setup::routes())
        .merge(pages::routes())
        .merge(runners::packages())
        .merge(broker::routes())
        .fallback(ask::no_such_route)
}
