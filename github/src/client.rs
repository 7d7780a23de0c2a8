//! The client: GitHub's side of the ports, over REST.
//!
//! It asks and reads; whether and when to ask again is the caller's to decide, who has the budget. No token and no JIT
//! config is ever in an error, a log or a `Debug`.

mod ask;
mod deliveries;
mod etags;
mod jobs;
mod known;
mod pages;
mod refusal;
mod runners;
mod transport;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use controller::ports::{Clock, ErrorKind, FailedDelivery, GitHub, JitConfig, JitRequest, PortError, PortResult};
use fleet::{
    event::{Event, Registration},
    ids::{JobId, RegistrationId, Repo, Scope},
};
use reqwest::{Url, redirect};

use self::{etags::Etags, known::Known, transport::Transport};
use crate::{tls, token::TokenSource};

/// The public GitHub. A GitHub Enterprise Server is at `https://<host>/api/v3`.
pub const GITHUB_COM: &str = "https://api.github.com";

/// Milliseconds that one request may take, its answer included.
pub const TIMEOUT_MS: u64 = 10_000;

/// Redirects that are followed: a renamed repository is one.
const REDIRECTS_MAX: usize = 3;

const USER_AGENT: &str = concat!("self-runners/", env!("CARGO_PKG_VERSION"));

/// How GitHub is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base URL of the REST API.
    pub base_url: String,
    /// URL at which our webhook points, to find it among an owner's webhooks.
    pub hook_url: Option<String>,
    /// Id of our webhook, where it is known and need not be looked for.
    pub hook_ids: BTreeMap<Scope, u64>,
    /// Milliseconds that one request may take.
    pub timeout_ms: u64,
    /// Certificates in PEM of the authority behind a GitHub Enterprise Server, beside the public ones.
    pub extra_roots_pem: Option<Vec<u8>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: GITHUB_COM.to_owned(),
            hook_url: None,
            hook_ids: BTreeMap::new(),
            timeout_ms: TIMEOUT_MS,
            extra_roots_pem: None,
        }
    }
}

/// The REST client.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    transport: Transport,
    /// Runner groups by scope and lower-case name.
    groups: Known<(Scope, String)>,
    /// Our webhooks.
    hooks: Known<Scope>,
}

impl Client {
    /// A client. Nothing is asked yet.
    ///
    /// # Errors
    /// `Invalid` if the settings cannot work.
    pub fn new(settings: Settings, tokens: Arc<dyn TokenSource>, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let base = base(&settings.base_url)?;
        let timeout = Duration::from_millis(settings.timeout_ms);
        let http = http(&base, timeout, tls::config(settings.extra_roots_pem.as_deref())?)?;
        let transport = Transport { http, base, tokens, clock, timeout, etags: Mutex::new(Etags::default()) };
        Ok(Self { settings, transport, groups: Known::new(), hooks: Known::new() })
    }
}

/// A token goes out in clear only to this machine, where the simulated GitHub is.
fn base(text: &str) -> PortResult<Url> {
    let invalid = |why: &str| PortError::new(ErrorKind::Invalid, format!("GitHub's base URL `{text}` {why}"));
    let url = Url::parse(text).map_err(|_| invalid("is no URL: write https://<host>/api/v3"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(invalid("must begin with https://")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn http(base: &Url, timeout: Duration, tls: rustls::ClientConfig) -> PortResult<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(timeout)
        .user_agent(USER_AGENT)
        .redirect(redirects(base))
        // Nothing is repeated behind our back.
        .retry(reqwest::retry::never());
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| PortError::new(ErrorKind::Invalid, format!("no HTTP client: {error}")))
}

/// Follows a redirect within GitHub only: elsewhere nobody may be asked in our name.
fn redirects(base: &Url) -> redirect::Policy {
    let origin = base.origin();
    redirect::Policy::custom(move |attempt| {
        let follow = attempt.url().origin() == origin && attempt.previous().len() <= REDIRECTS_MAX;
        if follow { attempt.follow() } else { attempt.stop() }
    })
}

/// "There is no such thing" as a value.
fn found<T>(result: PortResult<T>) -> PortResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl GitHub for Client {
    async fn jit_config(&self, request: &JitRequest) -> PortResult<JitConfig> {
        self.make_jit_config(request).await
    }

    async fn runners(&self, scope: &Scope) -> PortResult<Vec<Registration>> {
        self.list_runners(scope).await
    }

    async fn runner_by_name(&self, scope: &Scope, name: &str) -> PortResult<Option<Registration>> {
        self.find_runner(scope, name).await
    }

    async fn runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<Option<Registration>> {
        self.read_runner(scope, id).await
    }

    async fn delete_runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<()> {
        self.end_runner(scope, id).await
    }

    async fn job(&self, repo: &Repo, id: JobId) -> PortResult<Option<Event>> {
        self.read_job(repo, id).await
    }

    async fn open_jobs(&self, repo: &Repo) -> PortResult<Vec<Event>> {
        self.list_open_jobs(repo).await
    }

    async fn repositories(&self, owner: &str) -> PortResult<Vec<Repo>> {
        self.list_repositories(owner).await
    }

    async fn rerun_job(&self, repo: &Repo, id: JobId) -> PortResult<()> {
        self.rerun(repo, id).await
    }

    async fn failed_deliveries(&self, scope: &Scope, since_ms: u64) -> PortResult<Vec<FailedDelivery>> {
        self.list_failed(scope, since_ms).await
    }

    async fn redeliver(&self, scope: &Scope, id: u64) -> PortResult<()> {
        self.deliver_again(scope, id).await
    }
}
