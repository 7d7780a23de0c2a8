//! What stands before every REST operation: GitHub's distance, and the token.
//!
//! The runner's broker has its own keys and no distance: its calls pass.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderMap, header};
use axum::middleware::{FromFnLayer, Next, from_fn_with_state};
use axum::response::Response;

use super::ask::refusal;
use super::world::{Shared, now_ms};
use crate::hub::limits::RestError;
use crate::standin::wire;

type Passing = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;
type Pass = fn(axum::extract::State<Arc<Shared>>, Request, Next) -> Passing;

/// The layer around all routes.
pub(super) fn layer(shared: Arc<Shared>) -> FromFnLayer<Pass, Arc<Shared>, (axum::extract::State<Arc<Shared>>, Request)>
where
    axum::extract::State<Arc<Shared>>: FromRequestParts<Arc<Shared>>,
{
    from_fn_with_state(shared, pass as Pass)
}

fn pass(axum::extract::State(shared): axum::extract::State<Arc<Shared>>, request: Request, next: Next) -> Passing {
    Box::pin(async move {
        if request.uri().path().starts_with(wire::PREFIX) {
            return next.run(request).await;
        }
        if shared.options.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(shared.options.latency_ms)).await;
        }
        let app = request.uri().path().starts_with("/app");
        match judge(&shared, request.headers(), app) {
            Ok(()) => next.run(request).await,
            Err(error) => refusal(&error, None),
        }
    })
}

/// 401 without the right token (docs.github.com, "Authenticating to the REST API"). An App speaks of itself with a JWT,
/// whose signature is not looked at here.
fn judge(shared: &Shared, headers: &HeaderMap, app: bool) -> Result<(), RestError> {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) =
        text.and_then(|text| text.split_once(' ')).ok_or(RestError::new(401, "Requires authentication"))?;
    let known_scheme = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    let token = token.trim();
    let good = token == shared.options.token
        || (app && token.split('.').count() == 3)
        || shared.lock().minted.get(token).is_some_and(|expires_ms| now_ms() < *expires_ms);
    if known_scheme && good { Ok(()) } else { Err(RestError::new(401, "Bad credentials")) }
}

/// The key of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
