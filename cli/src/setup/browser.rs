//! The page on this machine and the way back from GitHub.
//!
//! It listens on 127.0.0.1 at an address that nobody can guess, answers only under its own name (so that no other site's
//! name can be made to mean it), and takes one code, once, from whoever brings the state that only its page had.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
    routing::get,
};
use github::manifest::{Manifest, Registered};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::pages;
use crate::{failure::Failure, serve::secrets::new_key};

/// What the page offers to register.
pub(super) struct Offer {
    /// The organisation; `None`: a person's own account.
    pub(super) owner: Option<String>,
    /// GitHub's pages.
    pub(super) web_url: String,
    /// Where the manifest is posted to.
    pub(super) action: String,
    /// It.
    pub(super) manifest: Manifest,
}

/// What came of it.
type Outcome = Result<Registered, String>;

/// The page and its server. It ends when this is dropped.
pub(super) struct Browser {
    address: SocketAddr,
    ticket: String,
    state: String,
    desk: Arc<Desk>,
    codes: mpsc::Receiver<(String, oneshot::Sender<Outcome>)>,
    answer: Option<oneshot::Sender<Outcome>>,
    end: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

/// What the handlers share.
struct Desk {
    hosts: [String; 2],
    offer: Mutex<Option<Offer>>,
    /// Good once.
    state: Mutex<Option<String>>,
    codes: mpsc::Sender<(String, oneshot::Sender<Outcome>)>,
}

/// What GitHub brings back.
#[derive(Deserialize)]
struct Back {
    code: Option<String>,
    state: Option<String>,
}

impl Browser {
    /// Opens the port.
    pub(super) async fn open(port: u16) -> Result<Self, Failure> {
        let cannot =
            |error| Failure::failed(format!("cannot listen on 127.0.0.1:{port}: {error}; choose another `--port`"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let random = || new_key().map_err(|error| Failure::failed(format!("no random numbers: {error}")));
        let (ticket, state) = (random()?, random()?);
        let (sender, codes) = mpsc::channel(1);
        let desk = Arc::new(Desk {
            hosts: [address.to_string(), format!("localhost:{}", address.port())],
            offer: Mutex::new(None),
            state: Mutex::new(Some(state.clone())),
            codes: sender,
        });
        let (end, ends) = oneshot::channel::<()>();
        let served = axum::serve(listener, routes(&ticket).with_state(desk.clone())).with_graceful_shutdown(async {
            // Also when the other half is dropped.
            let _asked = ends.await;
        });
        let server = tokio::spawn(async move {
            // Without it nobody comes back, which is noticed.
            let _ended = served.await;
        });
        Ok(Self { address, ticket, state, desk, codes, answer: None, end: Some(end), server })
    }

    /// What the page shows from now on.
    pub(super) fn offer(&mut self, offer: Offer) {
        *lock(&self.desk.offer) = Some(offer);
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    pub(super) fn page(&self) -> String {
        format!("http://{}/{}", self.address, self.ticket)
    }

    pub(super) fn way_back(&self) -> String {
        format!("{}/done", self.page())
    }

    /// Waits for the code.
    pub(super) async fn code(&mut self) -> Result<String, Failure> {
        let (code, answer) = self.codes.recv().await.ok_or_else(|| Failure::failed("the page is gone: begin again"))?;
        self.answer = Some(answer);
        Ok(code)
    }

    /// Shows what came of it, and ends when that was sent.
    pub(super) async fn end(&mut self, outcome: Outcome) {
        if let Some(answer) = self.answer.take() {
            // A browser that went away does not see it; the terminal tells it too.
            let _unseen = answer.send(outcome);
        }
        drop(self.end.take());
        let _slow = tokio::time::timeout(ENDING, &mut self.server).await; // deadline
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn routes(ticket: &str) -> Router<Arc<Desk>> {
    Router::new()
        .route(&format!("/{ticket}"), get(front))
        .route(&format!("/{ticket}/done"), get(back))
        .fallback(nothing)
}

async fn nothing() -> Response {
    page(StatusCode::NOT_FOUND, pages::message("Nothing is here", "Open the page that the terminal names."), None)
}

async fn front(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    if !desk.is_called_right(&headers) {
        return nothing().await;
    }
    let offer = lock(&desk.offer);
    match offer.as_ref() {
        Some(offer) => page(StatusCode::OK, pages::offer(offer), Some(&offer.web_url)),
        None => page(StatusCode::NOT_FOUND, pages::message("Nothing is here", "Begin again."), None),
    }
}

async fn back(State(desk): State<Arc<Desk>>, headers: HeaderMap, Query(back): Query<Back>) -> Response {
    let refused = |why: &str| page(StatusCode::BAD_REQUEST, pages::message("Not taken", why), None);
    if !desk.is_called_right(&headers) {
        return nothing().await;
    }
    let Some(code) = back.code.filter(|code| !code.is_empty()) else {
        return refused("GitHub sent no code. Go back and try again.");
    };
    {
        let mut state = lock(&desk.state);
        if state.is_none() || back.state != *state {
            return refused(
                "This was not begun by the page of this terminal, or it was done already. Begin again there.",
            );
        }
        *state = None;
    }
    let (answer, outcome) = oneshot::channel();
    if desk.codes.send((code, answer)).await.is_err() {
        return refused("Nobody waits for it any more. Begin again.");
    }
    match outcome.await {
        Ok(Ok(app)) => page(StatusCode::OK, pages::done(&app), None),
        Ok(Err(why)) => page(StatusCode::BAD_GATEWAY, pages::message("That did not work", &why), None),
        Err(_) => refused("The program has ended. Look at its terminal."),
    }
}

impl Desk {
    fn is_called_right(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| self.hosts.iter().any(|own| own == host))
    }
}

/// A page that may load nothing, be kept nowhere, and post to GitHub only.
fn page(status: StatusCode, html: String, posts_to: Option<&str>) -> Response {
    let form = posts_to.unwrap_or_default();
    let policy =
        format!("default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {form}; frame-ancestors 'none'");
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".into()),
        (header::REFERRER_POLICY, "no-referrer".into()),
    ];
    (status, headers, Html(html)).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the last page may take.
const ENDING: Duration = Duration::from_secs(5);
