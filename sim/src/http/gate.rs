//! What stands before every REST operation: GitHub's distance, its clock, and who asks.
//!
//! The runner's broker has its own keys and no distance: its calls pass. So does what a browser opens.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{FromFnLayer, Next, from_fn_with_state};
use axum::response::Response;

use super::ask::refusal;
use super::runners::PACKAGES;
use super::words;
use super::world::{Shared, World, now_ms};
use crate::hub::limits::RestError;
use crate::standin::wire;

type Passing = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;
type Pass = fn(axum::extract::State<Arc<Shared>>, Request, Next) -> Passing;

/// What is open to everybody.
const OPEN: [&str; 5] = [wire::PREFIX, PACKAGES, "/settings/", "/organizations/", "/app-manifests/"];
/// What only an App may ask, in its own name, beside all below `/app`.
const APP_ONLY: &str = "/installation";
/// What anybody may read, with any good token.
const PUBLIC: [&str; 3] = ["/meta", "/rate_limit", "/repos/actions/runner/"];
/// The header with what GitHub would have accepted.
const ACCEPTED: HeaderName = HeaderName::from_static("x-accepted-github-permissions");

/// The layer around all routes.
pub(super) fn layer(shared: Arc<Shared>) -> FromFnLayer<Pass, Arc<Shared>, (axum::extract::State<Arc<Shared>>, Request)>
where
    axum::extract::State<Arc<Shared>>: FromRequestParts<Arc<Shared>>,
{
    from_fn_with_state(shared, pass as Pass)
}

fn pass(axum::extract::State(shared): axum::extract::State<Arc<Shared>>, request: Request, next: Next) -> Passing {
    Box::pin(async move {
        let path = request.uri().path().to_owned();
        if OPEN.iter().any(|open| path.starts_with(open)) {
            return next.run(request).await;
        }
        if shared.options.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(shared.options.latency_ms)).await;
        }
        let reads = request.method() == Method::GET;
        let judged = judge(&shared, request.headers(), &path);
        let mut response = match judged {
            Ok(()) => next.run(request).await,
            Err(refused) => refused.response(reads),
        };
        let told_ms = now_ms().saturating_add_signed(shared.lock().clock_ahead_ms);
        put_date(response.headers_mut(), told_ms);
        response
    })
}

/// A refusal, and the permission that is missing.
struct Refused {
    error: RestError,
    permission: Option<&'static str>,
}

impl Refused {
    fn response(&self, reads: bool) -> Response {
        let mut response = refusal(&self.error, None);
        let level = if reads { "read" } else { "write" };
        if let Some(Ok(value)) = self.permission.map(|name| HeaderValue::from_str(&format!("{name}={level}"))) {
            response.headers_mut().insert(ACCEPTED, value);
        }
        response
    }
}

impl From<RestError> for Refused {
    fn from(error: RestError) -> Self {
        Self { error, permission: None }
    }
}

/// 401 without a good token (docs.github.com, "Authenticating to the REST API"), 403 without a permission. An App's own
/// word is good for what is the App's and for nothing else; an installation's token for its owner's things.
fn judge(shared: &Shared, headers: &HeaderMap, path: &str) -> Result<(), Refused> {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) =
        text.and_then(|text| text.split_once(' ')).ok_or(RestError::new(401, "Requires authentication"))?;
    let known_scheme = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    let (token, world) = (token.trim(), shared.lock());
    if !known_scheme {
        return Err(RestError::new(401, "Bad credentials").into());
    }
    if path == "/app" || path.starts_with("/app/") || path.ends_with(APP_ONLY) {
        let now_ms = now_ms().saturating_add_signed(world.clock_ahead_ms);
        return Ok(words::judge(token, world.app.id, now_ms)?);
    }
    if token != shared.options.token {
        let owner = world.app.owner_of(token, now_ms()).ok_or(RestError::new(401, "Bad credentials"))?;
        reach(owner, path)?;
    }
    permit(&world, path)
}

/// Whether an owner's installation reaches there.
fn reach(owner: &str, path: &str) -> Result<(), RestError> {
    if PUBLIC.iter().any(|public| path.starts_with(public)) || path.starts_with("/installation/") {
        return Ok(());
    }
    let mut parts = path.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("repos" | "orgs" | "users"), Some(name)) if name.eq_ignore_ascii_case(owner) => Ok(()),
        (Some("user"), _) => Err(RestError::new(403, "Resource not accessible by integration")),
        (_, _) => Err(RestError::not_found()),
    }
}

/// Whether no permission for it was taken away.
fn permit(world: &World, path: &str) -> Result<(), Refused> {
    let org = path.starts_with("/orgs/");
    let permission = match path {
        _ if path.contains("/actions/runner") && !path.starts_with("/repos/actions/runner/") => {
            if org {
                "organization_self_hosted_runners"
            } else {
                "administration"
            }
        }
        _ if path.contains("/actions/runs") || path.contains("/actions/jobs") => "actions",
        _ if path.contains("/hooks") => {
            if org {
                "organization_hooks"
            } else {
                "repository_hooks"
            }
        }
        _ => return Ok(()),
    };
    if world.forbidden.contains(permission) {
        let error = RestError::new(403, "Resource not accessible by personal access token");
        return Err(Refused { error, permission: Some(permission) });
    }
    Ok(())
}

fn put_date(headers: &mut HeaderMap, at_ms: u64) {
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(at_ms));
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(header::DATE, value);
    }
}

/// The key of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
