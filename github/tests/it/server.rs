//! A server that answers from a script. Each request must be a row of the contract, with no query parameter and no
//! body field beside the declared ones; what it was sent is kept for the test to look at.
//!
//! It has no state and knows nothing of runners: the simulated GitHub is elsewhere.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode, Uri},
};
use controller::ports::{Clock, PortResult, Secret};
use fleet::decide::Moment;
use github::{
    Client, Settings, StaticToken, TokenSource,
    contract::{CALLS, Call, Credential, Method},
};
use serde_json::Value;
use tokio::net::TcpListener;

/// What the clock of the tests says, milliseconds.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

/// The token of the tests.
pub(crate) const TOKEN: &str = "ghp_neverShown";

const BODY_MAX_BYTES: usize = 1 << 20;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) operation: &'static str,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
    pub(crate) headers: HeaderMap,
}

/// An answer to be given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    operation: &'static str,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    silent: bool,
    anonymous: bool,
}

/// The answer to the next request of this operation.
pub(crate) fn reply(operation: &'static str, status: u16, body: &Value) -> Reply {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    Reply { operation, status, body, ..Reply::default() }
}

impl Reply {
    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(crate) fn raw(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// The request must come without a token.
    pub(crate) fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// No answer at all.
    pub(crate) fn silent(mut self) -> Self {
        self.silent = true;
        self
    }
}

#[derive(Debug, Default)]
struct Script {
    base: String,
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
    faults: Vec<String>,
}

/// The server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    script: Arc<Mutex<Script>>,
    address: String,
}

impl Server {
    /// Starts one that gives these answers in this order.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::below("", replies).await
    }

    /// The same with its API below a path, as GitHub Enterprise has it.
    pub(crate) async fn below(base: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = replies.into_iter().collect();
        let script = Arc::new(Mutex::new(Script { base: base.into(), replies, ..Script::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}{base}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { script, address }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            base_url: self.address.clone(),
            releases_url: Some(self.address.clone()),
            hook_url: Some("https://hooks.test/github".into()),
            ..Settings::default()
        }
    }

    /// A client of it with the usual token.
    pub(crate) fn client(&self) -> Client {
        self.client_with(self.settings(), StaticToken::new(format!("{TOKEN}\n")))
    }

    pub(crate) fn client_with(&self, settings: Settings, tokens: impl TokenSource + 'static) -> Client {
        Client::new(settings, Arc::new(tokens), clock()).unwrap()
    }

    /// How many requests came.
    pub(crate) fn seen(&self) -> usize {
        self.script().seen.len()
    }

    /// What was sent, after all answers were given. Fails if a request was outside the contract.
    pub(crate) fn finish(self) -> Vec<Seen> {
        let mut script = self.script();
        assert_eq!(script.faults, Vec::<String>::new(), "requests outside the contract");
        let left: Vec<_> = script.replies.iter().map(|reply| reply.operation).collect();
        assert_eq!(left, Vec::<&str>::new(), "answers that nobody asked for");
        std::mem::take(&mut script.seen)
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX_BYTES).await.unwrap();
    let reply = {
        let mut script = script.lock().unwrap();
        match check(&script, parts.method.as_str(), &parts.uri, &parts.headers, &body) {
            Ok(seen) => script.next(seen),
            Err(fault) => {
                script.faults.push(fault);
                None
            }
        }
    };
    let Some(reply) = reply else {
        return Response::builder().status(StatusCode::NOT_IMPLEMENTED).body(Body::empty()).unwrap();
    };
    if reply.silent {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(reply.status);
    // The clocks agree unless a test says otherwise.
    if !reply.headers.iter().any(|(name, _)| *name == "date") {
        response = response.header("date", http_date(NOW_MS));
    }
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}

impl Script {
    fn next(&mut self, seen: Seen) -> Option<Reply> {
        let expected = self.replies.pop_front();
        let fits = expected.as_ref().is_some_and(|reply| reply.operation == seen.operation);
        if !fits {
            let expected = expected.as_ref().map(|reply| reply.operation);
            self.faults.push(format!("{} came where {expected:?} was expected", seen.operation));
        }
        self.seen.push(seen);
        expected.filter(|_| fits)
    }
}

fn check(script: &Script, method: &str, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Seen, String> {
    let path = uri.path().strip_prefix(&script.base).ok_or_else(|| format!("{uri} is not below {}", script.base))?;
    let fitting = CALLS.iter().filter(|call| word(call.method) == method && fits(call.path, path));
    // `…/runners/downloads` is no runner of that id.
    let call = fitting.min_by_key(|call| call.path.matches('{').count());
    let call = call.ok_or_else(|| format!("{method} {path} is not in the contract"))?;
    let query = query(uri);
    if let Some(name) = query.keys().find(|name| !call.query.contains(&name.as_str())) {
        return Err(format!("{}: query parameter `{name}` is not in the contract", call.operation));
    }
    let anonymous = call.credential == Credential::None || script.replies.front().is_some_and(|next| next.anonymous);
    check_headers(call, anonymous, headers)?;
    Ok(Seen {
        operation: call.operation,
        path: path.into(),
        query,
        body: check_body(call, body)?,
        headers: headers.clone(),
    })
}

fn check_headers(call: &Call, anonymous: bool, headers: &HeaderMap) -> Result<(), String> {
    let is =
        |name: &str, start: &str| headers.get(name).is_some_and(|value| value.to_str().unwrap().starts_with(start));
    let authorized = if anonymous { !headers.contains_key("authorization") } else { is("authorization", "Bearer ") };
    let fine = authorized
        && is("x-github-api-version", "2022-11-28")
        && is("accept", "application/vnd.github+json")
        && is("user-agent", "self-runners/");
    if fine { Ok(()) } else { Err(format!("{}: headers {headers:?}", call.operation)) }
}

fn check_body(call: &Call, body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return if call.body.is_empty() { Ok(Value::Null) } else { Err(format!("{}: no body", call.operation)) };
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut fields = value.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    match fields.find(|name| !call.body.contains(name)) {
        Some(name) => Err(format!("{}: body field `{name}` is not in the contract", call.operation)),
        None => Ok(value),
    }
}

fn query(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Whether a path is of a template's form.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(path).all(|(name, part)| name.starts_with('{') || *name == part)
}

/// A time as HTTP headers write it.
pub(crate) fn http_date(at_ms: u64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_millis(at_ms))
}

/// The method as it goes over the wire.
pub(crate) fn word(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// The clock of all clients.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(Fixed)
}

/// A clock that stands.
struct Fixed;

impl Clock for Fixed {
    fn moment(&self) -> Moment {
        Moment { now_ms: NOW_MS, nonce: 0 }
    }
}

/// A source with a token that is refused and the one that took its place.
#[derive(Debug, Default)]
pub(crate) struct Rotated(Mutex<Vec<String>>);

#[async_trait::async_trait]
impl TokenSource for Rotated {
    async fn token(&self, owner: &str) -> PortResult<Secret> {
        self.0.lock().unwrap().push(owner.to_owned());
        Ok(Secret::new("old"))
    }

    async fn renew(&self, _owner: &str, refused: &Secret) -> PortResult<Option<Secret>> {
        assert_eq!(refused.expose(), "old");
        Ok(Some(Secret::new("new")))
    }
}
