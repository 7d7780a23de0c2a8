//! REST about GitHub itself: its addresses and the rate limit.

use std::sync::Arc;

use axum::Router;
use serde_json::json;

use super::ask::{Answer, Ask, get};
use super::world::{Shared, World};
use crate::hub::limits::RestResult;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/meta", get(meta)).route("/rate_limit", get(rate_limit))
}

/// Webhooks come from this machine.
fn meta(_ask: &Ask, _world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    Ok(Answer::ok(json!({
        "verifiable_password_authentication": false,
        "hooks": ["127.0.0.0/8", "::1/128"],
        "web": ["127.0.0.0/8"],
        "api": ["127.0.0.0/8"],
        "actions": ["127.0.0.0/8"],
    })))
}

/// Asking for it costs nothing.
fn rate_limit(_ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let rate = world.hub.rate(now_ms);
    let core = json!({
        "limit": rate.limit,
        "remaining": rate.remaining(),
        "reset": rate.reset_s,
        "used": rate.used,
        "resource": "core",
    });
    Ok(Answer::ok(json!({ "resources": { "core": core }, "rate": core })))
}
