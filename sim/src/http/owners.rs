//! REST on accounts, their repositories and runner groups, and on the App's installations.

use std::sync::Arc;

use axum::Router;
use serde_json::{Value, json};

use super::ask::{Answer, Ask, get, post};
use super::runners::latest_release;
use super::world::{Shared, World};
use crate::hub::limits::{RestError, RestResult};
use crate::hub::model::{Group, Origin, Owner, OwnerKind};
use crate::hub::payload::{account_json, repository_json, rfc3339};

/// Life of an installation token (FACTS §2: 1 h).
const INSTALLATION_TOKEN_MS: u64 = 3_600_000;
/// Number of the App.
const APP_ID: u64 = 15_368;
/// Repositories of one account, at most, for a listing that goes over accounts.
const ACCOUNT_REPOS_MAX: usize = 10_000;

pub(super) fn of_repo() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(repository))
        .route("/releases/latest", get(latest_release))
        .route("/installation", get(installation_of_repo))
}

pub(super) fn of_org() -> Router<Arc<Shared>> {
    Router::new()
        .route("/repos", get(org_repos))
        .route("/actions/runner-groups", get(groups))
        .route("/installation", get(installation_of_org))
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
        .route("/users/{username}/repos", get(user_repos))
        .route("/users/{username}/installation", get(installation_of_user))
        .route("/user/repos", get(own_repos))
        .route("/installation/repositories", get(installation_repos))
}

fn repository(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let repo = ask.repo()?;
    world.hub.repositories(now_ms, repo.owner(), 1, 1)?;
    let origin = world.hub.origin(&repo).ok_or(RestError::not_found())?;
    Ok(Answer::ok(repository_json(origin, ask.links())))
}

fn owner_named<'world>(world: &'world World, login: &str, kind: OwnerKind) -> RestResult<&'world Owner> {
    let mut owners = world.hub.true_owners();
    owners.find(|it| it.kind == kind && it.login.eq_ignore_ascii_case(login)).ok_or(RestError::not_found())
}

fn org_repos(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let login = owner_named(world, ask.part("org"), OwnerKind::Organization)?.login.clone();
    let page = world.hub.repositories(now_ms, &login, ask.page(), ask.per_page())?;
    Ok(Answer::ok(repos_json(ask, page.items.iter().map(AsRef::as_ref))).linked(ask.pages(page.total)))
}

/// Another account's public repositories.
fn user_repos(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let login = owner_named(world, ask.part("username"), OwnerKind::User)?.login.clone();
    let all = world.hub.repositories(now_ms, &login, 1, ACCOUNT_REPOS_MAX)?.items;
    Ok(page_of(ask, all.iter().map(AsRef::as_ref).filter(|origin| origin.public)))
}

/// The token's own repositories: here, those of every person.
fn own_repos(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let people = world.hub.true_owners().filter(|owner| owner.kind == OwnerKind::User);
    let logins: Vec<Arc<str>> = people.map(|owner| owner.login.clone()).collect();
    let mut all = Vec::new();
    for login in logins {
        all.extend(world.hub.repositories(now_ms, &login, 1, ACCOUNT_REPOS_MAX)?.items);
    }
    Ok(page_of(ask, all.iter().map(AsRef::as_ref)))
}

fn page_of<'world>(ask: &Ask, origins: impl Iterator<Item = &'world Origin>) -> Answer {
    let all: Vec<&Origin> = origins.collect();
    let from = (ask.page() - 1) * ask.per_page();
    let page = all.iter().copied().skip(from).take(ask.per_page());
    Answer::ok(repos_json(ask, page)).linked(ask.pages(all.len()))
}

fn repos_json<'world>(ask: &Ask, origins: impl Iterator<Item = &'world Origin>) -> Value {
    let rows: Vec<Value> = origins.map(|origin| repository_json(origin, ask.links())).collect();
    json!(rows)
}

fn installation_repos(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let logins: Vec<Arc<str>> = world.hub.true_owners().map(|owner| owner.login.clone()).collect();
    let mut all = Vec::new();
    for login in logins {
        all.extend(world.hub.repositories(now_ms, &login, 1, ACCOUNT_REPOS_MAX)?.items);
    }
    let repos = repos_json(ask, all.iter().map(AsRef::as_ref));
    Ok(Answer::ok(json!({ "total_count": all.len(), "repositories": repos })))
}

fn groups(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let login = owner_named(world, ask.part("org"), OwnerKind::Organization)?.login.clone();
    let groups = world.hub.groups(now_ms, &login, ask.query("visible_to_repository"))?;
    let from = (ask.page() - 1) * ask.per_page();
    let rows: Vec<Value> = groups.iter().skip(from).take(ask.per_page()).map(group_json).collect();
    Ok(Answer::ok(json!({ "total_count": groups.len(), "runner_groups": rows })).linked(ask.pages(groups.len())))
}

fn group_json(group: &Group) -> Value {
    json!({
        "id": group.id,
        "name": group.name.as_ref(),
        "visibility": if group.repos.is_some() { "selected" } else { "all" },
        "default": group.id == crate::hub::model::DEFAULT_GROUP,
        "inherited": false,
        "allows_public_repositories": group.allows_public,
        "restricted_to_workflows": false,
        "selected_workflows": [],
        "workflow_restrictions_read_only": false,
    })
}

fn app(_ask: &Ask, _world: &mut World, now_ms: u64) -> RestResult<Answer> {
    Ok(Answer::ok(json!({
        "id": APP_ID,
        "slug": "self-runners",
        "name": "self-runners",
        "permissions": permissions(),
        "events": ["workflow_job"],
        "created_at": rfc3339(now_ms),
    })))
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
    let rows: Vec<Value> = world.hub.true_owners().map(|owner| installation_json(ask, owner)).collect();
    Ok(Answer::ok(json!(rows)))
}

fn installation(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    let id = ask.number("installation_id")?;
    let owner = world.hub.true_owners().find(|owner| owner.id == id).ok_or(RestError::not_found())?;
    Ok(Answer::ok(installation_json(ask, owner)))
}

fn installation_of_org(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    owner_named(world, ask.part("org"), OwnerKind::Organization).map(|owner| Answer::ok(installation_json(ask, owner)))
}

fn installation_of_user(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    owner_named(world, ask.part("username"), OwnerKind::User).map(|owner| Answer::ok(installation_json(ask, owner)))
}

fn installation_of_repo(ask: &Ask, world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    let owner_id = world.hub.origin(&ask.repo()?).ok_or(RestError::not_found())?.owner_id;
    let owner = world.hub.true_owners().find(|owner| owner.id == owner_id).ok_or(RestError::not_found())?;
    Ok(Answer::ok(installation_json(ask, owner)))
}

fn installation_json(ask: &Ask, owner: &Owner) -> Value {
    let account = account_json(&owner.login, owner.id, owner.kind, ask.links());
    json!({
        "id": owner.id,
        "account": account,
        "app_id": APP_ID,
        "app_slug": "self-runners",
        "target_id": owner.id,
        "target_type": account["type"],
        "repository_selection": "all",
        "access_tokens_url": format!("{}/app/installations/{}/access_tokens", ask.shared.url, owner.id),
        "permissions": permissions(),
        "events": ["workflow_job"],
        "suspended_at": null,
    })
}

fn access_token(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let id = ask.number("installation_id")?;
    world.hub.true_owners().find(|owner| owner.id == id).ok_or(RestError::not_found())?;
    let token = format!("ghs_{:032x}", world.rng.u128(..));
    let expires_ms = now_ms + INSTALLATION_TOKEN_MS;
    world.minted.retain(|_, expires_ms| now_ms < *expires_ms);
    world.minted.insert(token.clone(), expires_ms);
    Ok(Answer::created(json!({
        "token": token,
        "expires_at": rfc3339(expires_ms),
        "permissions": permissions(),
        "repository_selection": "all",
    })))
}
