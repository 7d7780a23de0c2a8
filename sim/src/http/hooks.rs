//! REST on webhooks and their deliveries: of a repository, of an organisation, of the App (FACTS §1).

use std::sync::Arc;

use axum::Router;
use fleet::ids::Scope;
use serde_json::{Value, json};

use super::ask::{Answer, Ask, get, post};
use super::world::{Shared, World};
use crate::hub::hooks::HookRecord;
use crate::hub::limits::{RestError, RestResult};
use crate::hub::payload::rfc3339;

/// Number of the one logical hook, wherever it is asked for.
pub(super) const HOOK_ID: u64 = 512_000_001;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/hooks", get(list))
        .route("/hooks/{hook_id}/deliveries", get(deliveries))
        .route("/hooks/{hook_id}/deliveries/{delivery_id}", get(delivery))
        .route("/hooks/{hook_id}/deliveries/{delivery_id}/attempts", post(redeliver))
}

pub(super) fn of_app() -> Router<Arc<Shared>> {
    Router::new()
        .route("/hook/config", get(config))
        .route("/hook/deliveries", get(deliveries))
        .route("/hook/deliveries/{delivery_id}", get(delivery))
        .route("/hook/deliveries/{delivery_id}/attempts", post(redeliver))
}

/// The scope whose deliveries are asked for; none for the App. 404 for a hook that is not there.
fn scope(ask: &Ask) -> RestResult<Option<Scope>> {
    match ask.part("hook_id") {
        "" => Ok(None),
        id if id.parse() == Ok(HOOK_ID) => ask.scope().map(Some),
        _ => Err(RestError::not_found()),
    }
}

fn list(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    // Costs a request like any other listing.
    world.hub.repositories(now_ms, ask.scope()?.owner(), 1, 1)?;
    let hooks: Vec<Value> = world
        .hook
        .iter()
        .map(|hook| {
            let at = rfc3339(hook.created_ms);
            json!({
                "type": "Repository",
                "id": HOOK_ID,
                "name": "web",
                "active": true,
                "events": ["workflow_job"],
                "config": config_json(ask, &hook.url),
                "created_at": at,
                "updated_at": at,
            })
        })
        .collect();
    Ok(Answer::ok(json!(hooks)))
}

fn config(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    let url = world.hook.as_ref().map_or("", |hook| hook.url.as_str());
    Ok(Answer::ok(config_json(ask, url)))
}

fn config_json(ask: &Ask, url: &str) -> Value {
    let kind = if ask.shared.options.webhook_form { "form" } else { "json" };
    json!({ "url": url, "content_type": kind, "insecure_ssl": "0", "secret": "********" })
}

fn deliveries(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let scope = scope(ask)?;
    let cursor = match ask.query("cursor") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| RestError::new(422, "Invalid cursor"))?),
    };
    let failed_only = ask.query("status") == Some("failure");
    let (records, next) = world.hub.deliveries(now_ms, scope.as_ref(), cursor, ask.per_page(), failed_only)?;
    let rows: Vec<Value> = records.iter().map(record_json).collect();
    Ok(Answer::ok(json!(rows)).linked(next.map(|next| ask.link("cursor", &next.to_string(), "next"))))
}

fn delivery(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    scope(ask)?;
    let record = world.hub.record_of(ask.number("delivery_id")?).ok_or(RestError::not_found())?;
    let mut row = record_json(record);
    if let Some(fields) = row.as_object_mut() {
        let payload = record.delivery.payload_with(ask.links());
        fields.insert("request".into(), json!({ "headers": {}, "payload": payload }));
        fields.insert("response".into(), json!({ "headers": {}, "payload": "" }));
    }
    Ok(Answer::ok(row))
}

fn redeliver(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let scope = scope(ask)?;
    world.hub.redeliver(now_ms, scope.as_ref(), ask.number("delivery_id")?).map(|_| Answer::accepted())
}

fn record_json(record: &HookRecord) -> Value {
    let delivery = &record.delivery;
    let status = record.status.unwrap_or(0);
    let word = match status {
        0 => "timed out",
        200..=299 => "OK",
        _ => "Invalid HTTP Response",
    };
    json!({
        "id": delivery.id,
        "guid": delivery.guid.to_string(),
        "delivered_at": rfc3339(record.delivered_ms.unwrap_or(delivery.scheduled_ms)),
        "redelivery": delivery.attempt > 1,
        "duration": 0.05,
        "status": word,
        "status_code": status,
        "event": "workflow_job",
        "action": delivery.action.word(),
        "installation_id": delivery.job.origin.owner_id,
        "repository_id": delivery.job.origin.repo_id,
        "throttled_at": null,
    })
}
