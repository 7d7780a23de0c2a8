//! REST on webhooks and their deliveries: of a repository, of an organisation, of the App (FACTS §1).

use std::sync::Arc;

use axum::Router;
use fleet::ids::Scope;
use serde_json::{Value, json};

use super::ask::{Answer, Ask, get, patch, post};
use super::webhooks;
use super::world::{Hook, Shared, World, now_ms};
use crate::hub::hooks::HookRecord;
use crate::hub::limits::{RestError, RestResult};
use crate::hub::payload::rfc3339;

/// Number of the one logical hook, wherever it is asked for.
pub(super) const HOOK_ID: u64 = 512_000_001;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/hooks", get(list).merge(post(create)))
        .route("/hooks/{hook_id}", patch(update))
        .route("/hooks/{hook_id}/deliveries", get(deliveries))
        .route("/hooks/{hook_id}/deliveries/{delivery_id}", get(delivery))
        .route("/hooks/{hook_id}/deliveries/{delivery_id}/attempts", post(redeliver))
}

pub(super) fn of_app() -> Router<Arc<Shared>> {
    Router::new()
        .route("/hook/config", get(config).merge(patch(set_config)))
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
    let hooks: Vec<Value> = world.hook.iter().map(|hook| hook_json(ask, hook)).collect();
    Ok(Answer::ok(json!(hooks)))
}

fn hook_json(ask: &Ask, hook: &Hook) -> Value {
    let at = rfc3339(hook.created_ms);
    json!({
        "type": "Repository",
        "id": HOOK_ID,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": config_json(ask, &hook.url),
        "created_at": at,
        "updated_at": at,
    })
}

/// The one logical hook is made, and a `ping` sent.
fn create(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    ask.scope()?;
    let hook = told(ask, ask.body.get("config"), None)?;
    if world.hook.as_ref().is_some_and(|there| there.url == hook.url) {
        return Err(RestError::new(422, "Validation Failed: Hook already exists on this repository"));
    }
    Ok(Answer::created(put(ask, world, hook)))
}

fn update(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    scope(ask)?;
    let there = world.hook.clone().ok_or(RestError::not_found())?;
    let hook = told(ask, ask.body.get("config"), Some(there))?;
    Ok(Answer::ok(put(ask, world, hook)))
}

fn set_config(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    let hook = told(ask, Some(&ask.body), world.hook.clone())?;
    put(ask, world, hook);
    config(ask, world, 0)
}

fn put(ask: &Ask, world: &mut World, hook: Hook) -> Value {
    let json = hook_json(ask, &hook);
    let url = hook.url.clone();
    world.hook = Some(hook);
    tokio::spawn(webhooks::ping(ask.shared.clone(), url));
    json
}

/// The hook as a request wants it. GitHub's example of an event that a hook has by default is `push`.
fn told(ask: &Ask, config: Option<&Value>, there: Option<Hook>) -> RestResult<Hook> {
    let text = |name: &str| config.and_then(|config| config.get(name)?.as_str()).map(str::to_owned);
    let events = ask.body.get("events").and_then(Value::as_array);
    let events = events.map(|all| all.iter().filter_map(|event| event.as_str().map(str::to_owned)).collect());
    let old = there.as_ref();
    Ok(Hook {
        url: text("url").or(old.map(|hook| hook.url.clone())).ok_or(RestError::new(422, "Validation Failed: url"))?,
        secret: text("secret").or(old.and_then(|hook| hook.secret.clone())),
        active: ask.body.get("active").and_then(Value::as_bool).unwrap_or(true),
        events: events.or(old.map(|hook| hook.events.clone())).unwrap_or_else(|| vec!["push".into()]),
        created_ms: old.map_or_else(now_ms, |hook| hook.created_ms),
    })
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
