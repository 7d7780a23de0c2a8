//! REST on the GitHub App: itself, where it is installed, the tokens of its installations.
//!
//! There is one App. It is installed on every owner unless it was taken away there.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use serde_json::{Value, json};

use super::Options;
use super::ask::{Answer, Ask, get, post};
use super::owners::{ACCOUNT_REPOS_MAX, owner_named, repos_json};
use super::world::{Shared, World};
use crate::hub::limits::{RestError, RestResult};
use crate::hub::model::{Owner, OwnerKind};
use crate::hub::payload::{account_json, rfc3339};

/// Life of an installation token (FACTS §2: 1 h).
const INSTALLATION_TOKEN_MS: u64 = 3_600_000;
/// Number of the App, until another one is registered.
const APP_ID: u64 = 15_368;
/// Installations of one owner, one after the other, are so far apart.
const INSTALLATION_STEP: u64 = 1_000_000;

/// The App and what it has.
#[derive(Debug)]
pub(super) struct AppState {
    pub(super) id: u64,
    pub(super) slug: String,
    pub(super) webhook_secret: String,
    pub(super) permissions: Value,
    /// What was posted to be registered, by the code that is good for it once.
    pub(super) codes: BTreeMap<String, Value>,
    /// How often it was taken away from an owner; odd: it is away.
    moves: BTreeMap<String, u64>,
    tokens: BTreeMap<String, Token>,
    made: u64,
}

/// An installation's token.
#[derive(Debug)]
struct Token {
    owner: String,
    expires_ms: u64,
}

impl AppState {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            id: APP_ID,
            slug: "self-runners".into(),
            webhook_secret: options.webhook_secret.clone(),
            permissions: permissions(),
            codes: BTreeMap::new(),
            moves: BTreeMap::new(),
            tokens: BTreeMap::new(),
            made: 0,
        }
    }

    fn moves(&self, owner: &str) -> u64 {
        self.moves.get(&owner.to_ascii_lowercase()).copied().unwrap_or(0)
    }

    fn is_installed(&self, owner: &str) -> bool {
        self.moves(owner).is_multiple_of(2)
    }

    pub(super) fn uninstall(&mut self, owner: &str) {
        if self.is_installed(owner) {
            self.tokens.retain(|_, token| !token.owner.eq_ignore_ascii_case(owner));
            *self.moves.entry(owner.to_ascii_lowercase()).or_default() += 1;
        }
    }

    pub(super) fn install(&mut self, owner: &str) {
        if !self.is_installed(owner) {
            *self.moves.entry(owner.to_ascii_lowercase()).or_default() += 1;
        }
    }

    pub(super) fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// The owner whose token this is.
    pub(super) fn owner_of(&self, token: &str, now_ms: u64) -> Option<&str> {
        let token = self.tokens.get(token).filter(|token| now_ms < token.expires_ms)?;
        self.is_installed(&token.owner).then_some(&token.owner)
    }

    /// Where a webhook tells of it, and REST.
    fn installation_id(&self, owner: &Owner) -> u64 {
        owner.id + self.moves(&owner.login) / 2 * INSTALLATION_STEP
    }
}

pub(super) fn of_repo() -> Router<Arc<Shared>> {
    Router::new().route("/installation", get(installation_of_repo))
}

pub(super) fn of_org() -> Router<Arc<Shared>> {
    Router::new().route("/installation", get(installation_of_org))
}

pub(super) fn of_app() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(app))
        .route("/installations", get(installations))
        .route("/installations/{installation_id}", get(installation))
        .route("/installations/{installation_id}/access_tokens", post(access_token))
}

pub(super) fn accounts() -> Router<Arc<Shared>> {
    Router::new()
        .route("/users/{username}/installation", get(installation_of_user))
        .route("/installation/repositories", get(installation_repos))
}

fn app(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    Ok(Answer::ok(app_json(ask.links().html, &world.app, now_ms)))
}

/// The App as REST shows it.
pub(super) fn app_json(html: &str, app: &AppState, now_ms: u64) -> Value {
    json!({
        "id": app.id,
        "slug": app.slug,
        "node_id": format!("A_{}", app.id),
        "client_id": format!("Iv23{}", app.id),
        "name": app.slug,
        "description": null,
        "external_url": html,
        "html_url": format!("{html}/apps/{}", app.slug),
        "permissions": app.permissions,
        "events": ["workflow_job"],
        "created_at": rfc3339(now_ms),
        "updated_at": rfc3339(now_ms),
    })
}

/// What FACTS §2 says that the App needs.
fn permissions() -> Value {
    json!({
        "actions": "write",
        "metadata": "read",
        "administration": "write",
        "organization_self_hosted_runners": "write",
    })
}

fn installations(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    let installed = world.hub.true_owners().filter(|owner| world.app.is_installed(&owner.login));
    let rows: Vec<Value> = installed.map(|owner| installation_json(ask, world, owner)).collect();
    Ok(Answer::ok(json!(rows)))
}

/// The owner of an installation that is there.
fn installed(world: &World, id: u64) -> RestResult<&Owner> {
    let mut owners = world.hub.true_owners();
    let here = |owner: &&Owner| world.app.installation_id(owner) == id && world.app.is_installed(&owner.login);
    owners.find(here).ok_or(RestError::not_found())
}

fn installation(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    installed(world, ask.number("installation_id")?).map(|owner| Answer::ok(installation_json(ask, world, owner)))
}

fn installation_of_org(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    shown(ask, world, owner_named(world, ask.part("org"), OwnerKind::Organization)?)
}

fn installation_of_user(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    shown(ask, world, owner_named(world, ask.part("username"), OwnerKind::User)?)
}

fn installation_of_repo(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    let owner_id = world.hub.origin(&ask.repo()?).ok_or(RestError::not_found())?.owner_id;
    let owner = world.hub.true_owners().find(|owner| owner.id == owner_id).ok_or(RestError::not_found())?;
    shown(ask, world, owner)
}

fn shown(ask: &Ask, world: &World, owner: &Owner) -> RestResult<Answer> {
    if !world.app.is_installed(&owner.login) {
        return Err(RestError::not_found());
    }
    Ok(Answer::ok(installation_json(ask, world, owner)))
}

fn installation_json(ask: &Ask, world: &World, owner: &Owner) -> Value {
    let account = account_json(&owner.login, owner.id, owner.kind, ask.links());
    let (url, id) = (&ask.shared.url, world.app.installation_id(owner));
    json!({
        "id": id,
        "account": account,
        "app_id": world.app.id,
        "app_slug": world.app.slug,
        "target_id": owner.id,
        "target_type": account["type"],
        "repository_selection": "all",
        "access_tokens_url": format!("{url}/app/installations/{id}/access_tokens"),
        "repositories_url": format!("{url}/installation/repositories"),
        "html_url": format!("{url}/organizations/{}/settings/installations/{id}", owner.login),
        "permissions": granted(world),
        "events": ["workflow_job"],
        "single_file_name": null,
        "suspended_at": null,
    })
}

/// What was not forbidden.
fn granted(world: &World) -> Value {
    let mut granted = world.app.permissions.clone();
    if let Some(fields) = granted.as_object_mut() {
        fields.retain(|name, _| !world.forbidden.contains(name));
    }
    granted
}

fn access_token(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let owner = installed(world, ask.number("installation_id")?)?.login.to_string();
    let token = format!("ghs_{:032x}", world.rng.u128(..));
    // By GitHub's clock for whoever reads it, by this machine's for whoever checks it.
    let expires_ms = now_ms + INSTALLATION_TOKEN_MS;
    let told_ms = expires_ms.saturating_add_signed(world.clock_ahead_ms);
    world.app.tokens.retain(|_, token| now_ms < token.expires_ms);
    world.app.tokens.insert(token.clone(), Token { owner, expires_ms });
    world.app.made += 1;
    Ok(Answer::created(json!({
        "token": token,
        "expires_at": rfc3339(told_ms),
        "permissions": granted(world),
        "repository_selection": "all",
    })))
}

/// The repositories of the owner whose token asks.
fn installation_repos(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let owner = ask.token().and_then(|token| world.app.owner_of(token, now_ms)).map(str::to_owned);
    let owner = owner.ok_or(RestError::new(403, "Resource not accessible by personal access token"))?;
    let all = world.hub.repositories(now_ms, &owner, 1, ACCOUNT_REPOS_MAX)?.items;
    let from = (ask.page() - 1) * ask.per_page();
    let page = all.iter().skip(from).take(ask.per_page());
    let repos = repos_json(ask, page.map(AsRef::as_ref));
    let answer = Answer::ok(json!({ "total_count": all.len(), "repositories": repos }));
    Ok(answer.linked(ask.pages(all.len())))
}
