//! One REST request: its parameters, the lock, and an answer in GitHub's shape.
//!
//! Every answer carries the rate-limit headers; an unchanged one comes as 304 and costs no request (FACTS §2).

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::future::ready;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Path, Query, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use fleet::ids::{Repo, Scope};
use serde_json::{Value, json};

use super::world::{Shared, World};
use crate::hub::limits::{Rate, RestError, RestResult};
use crate::hub::payload::Links;

/// Items on a page, if the request does not say.
const PER_PAGE: usize = 30;
/// Items on a page, at most.
const PER_PAGE_MAX: usize = 100;
/// Bytes of a request's body, at most.
const BODY_MAX: usize = 1024 * 1024;
/// Where all error answers point.
const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// An operation: pure but for the world.
pub(super) type Operation = fn(&Ask, &mut World, u64) -> RestResult<Answer>;

/// What is answered when all went well.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Option<Value>,
    text: Option<String>,
    link: Option<String>,
}

impl Answer {
    /// 200 with JSON.
    pub(super) fn ok(body: Value) -> Self {
        Self::with(StatusCode::OK, body)
    }

    /// 201 with JSON.
    pub(super) fn created(body: Value) -> Self {
        Self::with(StatusCode::CREATED, body)
    }

    /// 202 with JSON.
    pub(super) fn accepted() -> Self {
        Self::with(StatusCode::ACCEPTED, json!({}))
    }

    /// 204.
    pub(super) fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, text: None, link: None }
    }

    /// 200 with text.
    pub(super) fn text(text: String) -> Self {
        Self { status: StatusCode::OK, body: None, text: Some(text), link: None }
    }

    fn with(status: StatusCode, body: Value) -> Self {
        Self { status, body: Some(body), text: None, link: None }
    }

    /// With the links to the other pages.
    pub(super) fn linked(mut self, link: Option<String>) -> Self {
        self.link = link;
        self
    }
}

/// A request.
pub(super) struct Ask {
    pub(super) shared: Arc<Shared>,
    path: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    pub(super) body: Value,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

/// Routes for one operation.
pub(super) fn get(operation: Operation) -> MethodRouter<Arc<Shared>> {
    route(MethodFilter::GET, operation)
}

/// Routes for one operation.
pub(super) fn post(operation: Operation) -> MethodRouter<Arc<Shared>> {
    route(MethodFilter::POST, operation)
}

/// Routes for one operation.
pub(super) fn patch(operation: Operation) -> MethodRouter<Arc<Shared>> {
    route(MethodFilter::PATCH, operation)
}

/// Routes for one operation.
pub(super) fn delete(operation: Operation) -> MethodRouter<Arc<Shared>> {
    route(MethodFilter::DELETE, operation)
}

fn route(method: MethodFilter, operation: Operation) -> MethodRouter<Arc<Shared>> {
    on(method, move |ask: Ask| ready(ask.perform(operation)))
}

/// 404 as GitHub says it.
pub(super) fn no_such_route() -> std::future::Ready<Response> {
    ready(refusal(&RestError::not_found(), None))
}

impl FromRequest<Arc<Shared>> for Ask {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let bad = |_| refusal(&RestError::new(400, "Problems parsing the request"), None);
        let path = axum::RequestPartsExt::extract::<Path<BTreeMap<String, String>>>(&mut parts).await;
        let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri).map_err(|_| bad(()))?;
        let bytes: Bytes = axum::body::to_bytes(body, BODY_MAX).await.map_err(|_| bad(()))?;
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes)
                .map_err(|_| refusal(&RestError::new(400, "Problems parsing JSON"), None))?,
        };
        Ok(Self {
            shared: shared.clone(),
            path: path.map(|Path(path)| path).unwrap_or_default(),
            query: query.0,
            body,
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
        })
    }
}

impl Ask {
    fn perform(&self, operation: Operation) -> Response {
        self.shared.act(|world, now_ms| {
            let answer = operation(self, world, now_ms);
            let mut response = match answer {
                Ok(answer) => self.respond(answer),
                Err(error) => {
                    let rate = world.hub.rate(now_ms);
                    return refusal(&error, Some(rate));
                }
            };
            if response.status() == StatusCode::NOT_MODIFIED {
                world.hub.not_modified();
            }
            put_rate(response.headers_mut(), world.hub.rate(now_ms));
            response
        })
    }

    fn respond(&self, answer: Answer) -> Response {
        let (content_type, bytes) = match (answer.body, answer.text) {
            (Some(json), _) => ("application/json; charset=utf-8", json.to_string().into_bytes()),
            (None, Some(text)) => ("text/plain; charset=utf-8", text.into_bytes()),
            (None, None) => return empty(answer.status),
        };
        let etag = etag(&bytes);
        let known = self.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let unchanged = self.method == Method::GET && known.is_some_and(|known| known.contains(&etag));
        let mut response = if unchanged { empty(StatusCode::NOT_MODIFIED) } else { Response::new(Body::from(bytes)) };
        if !unchanged {
            *response.status_mut() = answer.status;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        put(response.headers_mut(), header::ETAG, &format!("W/{etag}"));
        if let Some(link) = answer.link {
            put(response.headers_mut(), header::LINK, &link);
        }
        response
    }

    /// A part of the path.
    pub(super) fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A number in the path; 404 if it is none.
    pub(super) fn number(&self, name: &str) -> RestResult<u64> {
        self.part(name).parse().map_err(|_| RestError::not_found())
    }

    /// The repository of the path; 404 if it cannot be one.
    pub(super) fn repo(&self) -> RestResult<Repo> {
        Repo::parse(&format!("{}/{}", self.part("owner"), self.part("repo"))).ok_or(RestError::not_found())
    }

    /// The organisation or the repository of the path.
    pub(super) fn scope(&self) -> RestResult<Scope> {
        match self.path.get("org") {
            Some(org) => Ok(Scope::Org(org.to_ascii_lowercase().into())),
            None => self.repo().map(Scope::Repo),
        }
    }

    /// A parameter of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Number of the page, from 1.
    pub(super) fn page(&self) -> usize {
        self.query("page").and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
    }

    /// Items on a page.
    pub(super) fn per_page(&self) -> usize {
        self.query("per_page").and_then(|text| text.parse().ok()).unwrap_or(PER_PAGE).clamp(1, PER_PAGE_MAX)
    }

    /// A text of the body; 422 if it is missing.
    pub(super) fn text(&self, field: &str) -> RestResult<&str> {
        self.body.get(field).and_then(Value::as_str).ok_or(RestError::new(422, "Invalid request."))
    }

    /// Links to the next, last, first and previous page (docs.github.com, "Using pagination in the REST API").
    pub(super) fn pages(&self, total: usize) -> Option<String> {
        let (page, last) = (self.page(), total.div_ceil(self.per_page()).max(1));
        let mut links = Vec::new();
        if page > 1 {
            links.push(self.link("page", &(page - 1).to_string(), "prev"));
        }
        if page < last {
            links.push(self.link("page", &(page + 1).to_string(), "next"));
            links.push(self.link("page", &last.to_string(), "last"));
        }
        if page > 1 {
            links.push(self.link("page", "1", "first"));
        }
        (!links.is_empty()).then(|| links.join(", "))
    }

    /// A link to this request with one parameter changed.
    pub(super) fn link(&self, name: &str, value: &str, rel: &str) -> String {
        let kept = self
            .uri
            .query()
            .unwrap_or("")
            .split('&')
            .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(name));
        let query: Vec<String> = kept.map(str::to_owned).chain([format!("{name}={value}")]).collect();
        format!("<{}{}?{}>; rel=\"{rel}\"", self.shared.url, self.uri.path(), query.join("&"))
    }

    /// The token that asks.
    pub(super) fn token(&self) -> Option<&str> {
        super::gate::bearer(&self.headers)
    }

    /// Where links in answers lead.
    pub(super) fn links(&self) -> Links<'_> {
        Links { api: &self.shared.url, html: &self.shared.url }
    }
}

fn etag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An error as GitHub words it.
pub(super) fn refusal(error: &RestError, rate: Option<Rate>) -> Response {
    let status = error.status;
    let body = json!({
        "message": error.message,
        "documentation_url": DOCUMENTATION,
        "status": status.to_string(),
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if let Some(rate) = rate {
        put_rate(headers, rate);
    }
    if let Some(after_s) = error.retry_after_s {
        put(headers, header::RETRY_AFTER, &after_s.to_string());
    }
    response
}

fn put_rate(headers: &mut HeaderMap, rate: Rate) {
    let name = HeaderName::from_static;
    put(headers, name("x-ratelimit-limit"), &rate.limit.to_string());
    put(headers, name("x-ratelimit-remaining"), &rate.remaining().to_string());
    put(headers, name("x-ratelimit-used"), &rate.used.to_string());
    put(headers, name("x-ratelimit-reset"), &rate.reset_s.to_string());
    headers.insert(name("x-ratelimit-resource"), HeaderValue::from_static("core"));
    headers.insert(name("x-github-api-version-selected"), HeaderValue::from_static("2022-11-28"));
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
