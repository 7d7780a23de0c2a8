//! Sending: the token, the headers, the time limit, the size limit, the ETag; and 401 → the token is read again, once.
//!
//! Nothing is repeated here for any other reason. A POST is never repeated after an unknown result:
//! `generate-jitconfig` would register twice. The caller has the budget and the backoff.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use controller::ports::{Clock, ErrorKind, PortError, PortResult, Secret};
use reqwest::{
    Response, Url,
    header::{ACCEPT, AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LINK},
};
use serde_json::Value;

use super::{
    ask::Ask,
    etags::{Etags, Kept},
    refusal::{refusal, unanswered, unreadable},
};
use crate::{contract::Method, token::TokenSource};

/// Largest answer that is read. A page of 100 runs has about 2 MB.
const ANSWER_MAX_BYTES: usize = 10 * 1024 * 1024;

const VERSION_HEADER: &str = "x-github-api-version";
const VERSION: &str = "2022-11-28";
const MEDIA_TYPE: &str = "application/vnd.github+json";

/// What sends requests.
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) base: Url,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timeout: Duration,
    pub(super) etags: Mutex<Etags>,
}

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// JSON body; null if there was none.
    pub(super) body: Value,
    /// The `Link` header.
    pub(super) link: Option<String>,
}

/// An answer as it came.
struct Raw {
    status: u16,
    headers: HeaderMap,
    body: Arc<[u8]>,
}

impl fmt::Debug for Transport {
    /// The address only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Transport {
    /// Makes a request. A 401 says that nothing was done, so that even a POST may be made again with another token.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> PortResult<Answer> {
        let url = ask.url(&self.base)?;
        let token = self.tokens.token(ask.owner).await?;
        let raw = self.once(ask, &url, &token).await?;
        if raw.status == 401
            && let Some(token) = self.tokens.renew(ask.owner, &token).await?
        {
            return self.judge(ask, self.once(ask, &url, &token).await?, &token);
        }
        self.judge(ask, raw, &token)
    }

    async fn once(&self, ask: &Ask<'_>, url: &Url, token: &Secret) -> PortResult<Raw> {
        let kept = ask.call.conditional.then(|| self.kept(url)).flatten();
        let mut request = self.http.request(method(ask.call.method), url.clone());
        request = request.header(AUTHORIZATION, bearer(token)?).header(ACCEPT, MEDIA_TYPE);
        request = request.header(VERSION_HEADER, VERSION);
        if let Some(kept) = &kept {
            request = request.header(IF_NONE_MATCH, &kept.etag);
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| unanswered(ask.call, &error, self.timeout))?;
        let raw = self.read(ask, response).await?;
        Ok(match kept {
            Some(kept) if raw.status == 304 => Raw { status: ask.call.success, body: kept.body, ..raw },
            _ => self.keep(ask, url, raw),
        })
    }

    fn kept(&self, url: &Url) -> Option<Kept> {
        self.etags.lock().unwrap_or_else(PoisonError::into_inner).get(url.as_str())
    }

    fn keep(&self, ask: &Ask<'_>, url: &Url, raw: Raw) -> Raw {
        let etag = raw.headers.get(ETAG).and_then(|etag| etag.to_str().ok());
        if let Some(etag) = etag.filter(|_| ask.call.conditional && raw.status == ask.call.success) {
            let kept = Kept { etag: etag.to_owned(), body: raw.body.clone() };
            self.etags.lock().unwrap_or_else(PoisonError::into_inner).keep(url.to_string(), kept);
        }
        raw
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
        Ok(Raw { status, headers, body: body.into() })
    }

    fn judge(&self, ask: &Ask<'_>, raw: Raw, token: &Secret) -> PortResult<Answer> {
        if raw.status != ask.call.success {
            let mut error = refusal(ask.call, raw.status, &raw.headers, &raw.body, self.clock.now_ms());
            // A proxy on the way may repeat the headers that it was sent.
            if !token.expose().is_empty() {
                error.message = error.message.replace(token.expose(), "***");
            }
            return Err(error);
        }
        let link = raw.headers.get(LINK).and_then(|link| link.to_str().ok()).map(str::to_owned);
        // Only a GET and a new runner are answered with something that is read.
        let empty = raw.body.is_empty() || (ask.call.method != Method::Get && ask.call.body.is_empty());
        let body = if empty { Ok(Value::Null) } else { serde_json::from_slice(&raw.body) };
        Ok(Answer { body: body.map_err(|error| unreadable(ask.call, error))?, link })
    }
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
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
