//! REST on accounts, their repositories and runner groups.

use std::sync::Arc;

use axum::Router;
use serde_json::{Value, json};

use super::ask::{Answer, Ask, get};
use super::runners::{latest_release, tagged_release};
use super::world::{Shared, World};
use crate::hub::limits::{RestError, RestResult};
use crate::hub::model::{Group, Origin, Owner, OwnerKind};
use crate::hub::payload::repository_json;

/// Repositories of one account, at most, for a listing that goes over accounts.
pub(super) const ACCOUNT_REPOS_MAX: usize = 10_000;

pub(super) fn of_repo() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(repository))
        .route("/releases/latest", get(latest_release))
        .route("/releases/tags/{tag}", get(tagged_release))
}

pub(super) fn of_org() -> Router<Arc<Shared>> {
    Router::new().route("/repos", get(org_repos)).route("/actions/runner-groups", get(groups))
}

pub(super) fn accounts() -> Router<Arc<Shared>> {
    Router::new().route("/users/{username}/repos", get(user_repos)).route("/user/repos", get(own_repos))
}

fn repository(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let repo = ask.repo()?;
    world.hub.repositories(now_ms, repo.owner(), 1, 1)?;
    let origin = world.hub.origin(&repo).ok_or(RestError::not_found())?;
    Ok(Answer::ok(repository_json(origin, ask.links())))
}

pub(super) fn owner_named<'world>(world: &'world World, login: &str, kind: OwnerKind) -> RestResult<&'world Owner> {
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

pub(super) fn repos_json<'world>(ask: &Ask, origins: impl Iterator<Item = &'world Origin>) -> Value {
    let rows: Vec<Value> = origins.map(|origin| repository_json(origin, ask.links())).collect();
    json!(rows)
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
