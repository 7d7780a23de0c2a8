//! How GitHub is reached: where it is, for how long it is waited for, whose certificates are believed.

use std::{collections::BTreeMap, time::Duration};

use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::ids::Scope;
use reqwest::{Url, redirect};

use crate::tls;

/// The public GitHub. A GitHub Enterprise Server is at `https://<host>/api/v3`, one with data residency at
/// `https://api.<name>.ghe.com`.
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
    /// Base URL of the REST API that has the releases of `actions/runner`. None: the public GitHub, asked without a
    /// token where that is not `base_url`.
    pub releases_url: Option<String>,
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
            releases_url: None,
            hook_url: None,
            hook_ids: BTreeMap::new(),
            timeout_ms: TIMEOUT_MS,
            extra_roots_pem: None,
        }
    }
}

impl Settings {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// What speaks HTTP with one server.
    pub(crate) fn http(&self, base: &Url, which: Redirects) -> PortResult<reqwest::Client> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(self.extra_roots_pem.as_deref())?)
            .timeout(self.timeout())
            .user_agent(USER_AGENT)
            .redirect(redirects(base, which))
            // Nothing is repeated behind our back.
            .retry(reqwest::retry::never());
        if is_this_machine(base) {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|error| PortError::new(ErrorKind::Invalid, format!("no HTTP client: {error}")))
    }
}

/// A base URL. A token goes out in clear only to this machine, where the simulated GitHub is.
pub(crate) fn base(text: &str) -> PortResult<Url> {
    let invalid = |why: &str| PortError::new(ErrorKind::Invalid, format!("GitHub's base URL `{text}` {why}"));
    let url = Url::parse(text).map_err(|_| invalid("is no URL: write https://<host>/api/v3"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_this_machine(&url) => Ok(url),
        _ => Err(invalid("must begin with https://")),
    }
}

/// Looks at a base URL without asking anybody.
///
/// # Errors
/// It is none, or a token would go out in clear.
pub fn check_base_url(text: &str) -> Result<(), String> {
    base(text).map(drop).map_err(|error| error.message)
}

/// Whether what is sent there stays here: the loopback address, or another of this machine's own (the bridge of its
/// containers), which is what can be listened on.
fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let is_own = |address| std::net::UdpSocket::bind((address, 0)).is_ok();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback() || is_own(address))
}

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// Any: a GET stays a GET.
    All,
    /// Those that say "the same again": any other one turns a POST into a GET, whose answer would be taken for the
    /// POST's.
    Verbatim,
}

/// Follows a redirect within GitHub only: elsewhere nobody may be asked in our name.
fn redirects(base: &Url, which: Redirects) -> redirect::Policy {
    let origin = base.origin();
    redirect::Policy::custom(move |attempt| {
        let same = which == Redirects::All || matches!(attempt.status().as_u16(), 307 | 308);
        let follow = same && attempt.url().origin() == origin && attempt.previous().len() <= REDIRECTS_MAX;
        if follow { attempt.follow() } else { attempt.stop() }
    })
}
