//! Registering a GitHub App from a manifest (docs.github.com, "Registering a GitHub App from a manifest"): the page that
//! the manifest is posted to, and the code that is turned into the App's id, key and webhook secret, once.
//!
//! The page's button is pressed at once: the browser is sent back with the code.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use serde_json::{Value, json};

use super::APP_KEY_PEM;
use super::apps::app_json;
use super::ask::{Answer, Ask, post};
use super::world::{Hook, Shared, World};
use crate::hub::limits::{RestError, RestResult};
use crate::hub::payload::account_json;

/// What may be asked for, of what this GitHub knows.
const PERMISSIONS: [&str; 6] = [
    "actions",
    "administration",
    "metadata",
    "organization_hooks",
    "organization_self_hosted_runners",
    "repository_hooks",
];
/// The slug has so many characters at most.
const SLUG_CHARS_MAX: usize = 34;

type Words = BTreeMap<String, String>;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/settings/apps/new", routing::post(new_app))
        .route("/organizations/{org}/settings/apps/new", routing::post(new_app))
        .route("/app-manifests/{code}/conversions", post(convert))
}

fn new_app(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<Words>,
    Query(query): Query<Words>,
    Form(form): Form<Words>,
) -> std::future::Ready<Response> {
    let manifest = form.get("manifest").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let answer = match manifest.ok_or("the manifest is no JSON".to_owned()).and_then(|it| checked(it, path.get("org")))
    {
        Err(why) => {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("Invalid GitHub App configuration: {why}")).into_response()
        }
        Ok((manifest, redirect)) => {
            let code = shared.act(|world, _| {
                let code = format!("{:040x}", world.rng.u128(..));
                world.app.codes.insert(code.clone(), manifest);
                code
            });
            let state = query.get("state").map(|state| format!("&state={state}")).unwrap_or_default();
            let to = format!("{redirect}?code={code}{state}");
            (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
        }
    };
    ready(answer)
}

/// The manifest, with the account that registers it, and where the browser goes back to.
fn checked(mut manifest: Value, org: Option<&String>) -> Result<(Value, String), String> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let missing = |name: &str| format!("{name} is missing");
    text(&manifest, "url").ok_or_else(|| missing("url"))?;
    let redirect = text(&manifest, "redirect_url").ok_or_else(|| missing("redirect_url"))?;
    if let Some(hook) = manifest.get("hook_attributes") {
        text(hook, "url").ok_or_else(|| missing("hook_attributes.url"))?;
    }
    let permissions = manifest.get("default_permissions").and_then(Value::as_object);
    if let Some((unknown, _)) =
        permissions.into_iter().flatten().find(|(name, _)| !PERMISSIONS.contains(&name.as_str()))
    {
        return Err(format!("there is no permission {unknown}"));
    }
    manifest["account"] = json!(org.map_or("mona", String::as_str));
    Ok((manifest, redirect))
}

fn convert(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let manifest = world.app.codes.remove(ask.part("code")).ok_or(RestError::not_found())?;
    let account = manifest["account"].as_str().unwrap_or_default().to_ascii_lowercase();
    let owner = world.hub.true_owners().find(|owner| *owner.login == account).ok_or(RestError::not_found())?;
    let owner = account_json(&owner.login, owner.id, owner.kind, ask.links());
    world.app.id += 1;
    world.app.slug = slug(manifest["name"].as_str().unwrap_or("self-runners"));
    world.app.permissions = manifest["default_permissions"].clone();
    let hook = &manifest["hook_attributes"];
    let active = hook["url"].is_string() && hook["active"] != json!(false);
    if let Some(url) = hook["url"].as_str().filter(|_| active) {
        world.hook = Some(Hook { created_ms: now_ms, ..Hook::of_jobs(url.to_owned()) });
    }
    let mut app = app_json(ask.links().html, &world.app, now_ms);
    app["owner"] = owner;
    app["client_secret"] = json!(format!("{:040x}", world.rng.u128(..)));
    app["webhook_secret"] = if active { json!(world.app.webhook_secret) } else { Value::Null };
    app["pem"] = json!(APP_KEY_PEM);
    Ok(Answer::created(app))
}

fn slug(name: &str) -> String {
    let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    plain.take(SLUG_CHARS_MAX).collect()
}
