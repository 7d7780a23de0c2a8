//! One request over HTTP and what its answer means: the headers, the time limit, the size limit, the refusal.
//!
//! Knows nothing of where a token comes from, keeps nothing, repeats nothing. Beside [`crate::client`] it serves what
//! gets tokens ([`crate::app`]), which must not need a token source itself.

pub(crate) mod ask;
pub(crate) mod refusal;

use std::{fmt, sync::Arc, time::Duration};

use controller::ports::{Clock, ErrorKind, PortError, PortResult, Secret};
use reqwest::{
    Response, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, IF_NONE_MATCH, LINK},
};
use serde_json::Value;

use self::{
    ask::Ask,
    refusal::{refusal, unanswered, unreadable},
};
use crate::{
    contract::Method,
    settings::{self, Redirects, Settings},
};

/// Largest answer that is read. A page of 100 runs has about 2 MB.
const ANSWER_MAX_BYTES: usize = 10 * 1024 * 1024;

/// Shorter texts are no token of GitHub's (those have 40 characters and more), and words of a message would be taken out
/// for them.
const TOKEN_BYTES_MIN: usize = 8;

const VERSION_HEADER: &str = "x-github-api-version";
const VERSION: &str = "2022-11-28";
const MEDIA_TYPE: &str = "application/vnd.github+json";

/// What speaks with one server.
pub(crate) struct Wire {
    reads: reqwest::Client,
    writes: reqwest::Client,
    base: Url,
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// JSON body; null if there was none.
    pub(crate) body: Value,
    /// It is what was answered the last time: it came as 304.
    pub(crate) unchanged: bool,
    headers: HeaderMap,
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A text of the body.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.body.get(name)?.as_str().map(str::to_owned)
    }

    /// How far our clock is ahead of GitHub's.
    pub(crate) fn clock_ahead_ms(&self, now_ms: u64) -> Option<i64> {
        refusal::clock_ahead_ms(&self.headers, now_ms)
    }

    /// The links to other pages.
    pub(crate) fn link(&self) -> Option<&str> {
        self.header(LINK)
    }
}

/// An answer as it came.
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Arc<[u8]>,
    pub(crate) unchanged: bool,
}

impl fmt::Debug for Wire {
    /// The address only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Wire {
    /// Speaks with the server at this base URL.
    pub(crate) fn new(base_url: &str, settings: &Settings, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let base = settings::base(base_url)?;
        let (reads, writes) = (settings.http(&base, Redirects::All)?, settings.http(&base, Redirects::Verbatim)?);
        Ok(Self { reads, writes, base, clock, timeout: settings.timeout() })
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Where a request goes.
    pub(crate) fn url(&self, ask: &Ask<'_>) -> PortResult<Url> {
        ask.url(&self.base)
    }

    /// Makes a request and judges its answer.
    pub(crate) async fn send(&self, ask: &Ask<'_>, token: Option<&Secret>) -> PortResult<Answer> {
        let raw = self.exchange(ask, self.url(ask)?, token, None).await?;
        self.judge(ask, raw, token)
    }

    /// Makes a request, once.
    pub(crate) async fn exchange(
        &self,
        ask: &Ask<'_>,
        url: Url,
        token: Option<&Secret>,
        etag: Option<&str>,
    ) -> PortResult<Raw> {
        let http = if ask.call.method == Method::Get { &self.reads } else { &self.writes };
        let mut request = http.request(method(ask.call.method), url);
        request = request.header(ACCEPT, MEDIA_TYPE).header(VERSION_HEADER, VERSION);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| unanswered(ask.call, &error, self.timeout))?;
        self.read(ask, response).await
    }

    async fn read(&self, ask: &Ask<'_>, mut response: Response) -> PortResult<Raw> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(ask.call, &error, self.timeout))? {
            if body.len() + chunk.len() > ANSWER_MAX_BYTES {
                return Err(unreadable(ask.call, format!("it has more than {ANSWER_MAX_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Raw { status, headers, body: body.into(), unchanged: false })
    }

    /// What an answer means.
    pub(crate) fn judge(&self, ask: &Ask<'_>, raw: Raw, token: Option<&Secret>) -> PortResult<Answer> {
        if raw.status != ask.call.success {
            let mut error = refusal(ask.call, raw.status, &raw.headers, &raw.body, self.now_ms());
            // A proxy on the way may repeat the headers that it was sent.
            if let Some(token) = token.map(Secret::expose).filter(|token| token.len() >= TOKEN_BYTES_MIN) {
                error.message = error.message.replace(token, "***");
            }
            return Err(error);
        }
        let empty = raw.body.is_empty() || !ask.call.answered;
        let body = if empty { Ok(Value::Null) } else { serde_json::from_slice(&raw.body) };
        let body = body.map_err(|error| unreadable(ask.call, error))?;
        Ok(Answer { body, unchanged: raw.unchanged, headers: raw.headers })
    }
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

/// The header with the token, marked so that nothing prints it.
fn bearer(token: &Secret) -> PortResult<HeaderValue> {
    let invalid = || PortError::new(ErrorKind::Denied, "the GitHub token holds characters that no token has");
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| invalid())?;
    value.set_sensitive(true);
    Ok(value)
}
