//! REST on self-hosted runners, the same below a repository and below an organisation (FACTS §2).

use std::future::{Ready, ready};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use fleet::ids::RegistrationId;
use fleet::labels::LabelSet;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ask::{Answer, Ask, delete, get, post, refusal};
use super::world::{Shared, World};
use crate::hub::limits::{RestError, RestResult};
use crate::hub::model::{DEFAULT_GROUP, NewRunner};
use crate::hub::payload::rfc3339;
use crate::hub::rest::RunnerView;
use crate::standin::wire::RUNNER_VERSION;

/// Labels that GitHub calls its own; all others are the operator's.
const SYSTEM_LABELS: [&str; 8] = ["self-hosted", "linux", "windows", "macos", "x64", "arm", "arm64", "x86"];
/// The platforms of a release.
const PLATFORMS: [(&str, &str); 3] = [("linux", "x64"), ("linux", "arm64"), ("osx", "arm64")];

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/actions/runners", get(list))
        .route("/actions/runners/registration-token", post(token))
        .route("/actions/runners/remove-token", post(token))
        .route("/actions/runners/generate-jitconfig", post(jit_config))
        .route("/actions/runners/downloads", get(downloads))
        .route("/actions/runners/deprecations/{version}", get(deprecation))
        .route("/actions/runners/{runner_id}", get(read).merge(delete(remove)))
}

fn list(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let scope = ask.scope()?;
    let page = world.hub.runners(now_ms, &scope, ask.query("name"), ask.page(), ask.per_page())?;
    let runners: Vec<Value> = page.items.iter().map(runner_json).collect();
    Ok(Answer::ok(json!({ "total_count": page.total, "runners": runners })).linked(ask.pages(page.total)))
}

fn read(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let id = RegistrationId(ask.number("runner_id")?);
    world.hub.runner(now_ms, &ask.scope()?, id).map(|view| Answer::ok(runner_json(&view)))
}

fn remove(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let id = RegistrationId(ask.number("runner_id")?);
    world.hub.delete_runner(now_ms, &ask.scope()?, id).map(|()| Answer::nothing())
}

fn token(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let new = world.hub.runner_token(now_ms, &ask.scope()?)?;
    Ok(Answer::created(json!({ "token": format!("{:032X}", new.token), "expires_at": rfc3339(new.expires_ms) })))
}

fn jit_config(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let invalid = RestError::new(422, "Invalid request.");
    let scope = ask.scope()?;
    let labels: Option<Vec<&str>> =
        ask.body.get("labels").and_then(Value::as_array).and_then(|labels| labels.iter().map(Value::as_str).collect());
    let name = ask.text("name")?;
    let runner = NewRunner {
        scope: scope.clone(),
        name: name.into(),
        labels: LabelSet::parse(labels.ok_or(invalid)?).map_err(|_| invalid)?,
        group: ask.body.get("runner_group_id").and_then(Value::as_u64).ok_or(invalid)?,
        ephemeral: true,
    };
    let grant = world.hub.jit_config(now_ms, runner)?;
    let work_folder = ask.body.get("work_folder").and_then(Value::as_str).unwrap_or("_work");
    let (settings, credentials) = world.outfit(grant.id, &ask.shared.url, &scope, name, work_folder);
    if grant.answer_lost {
        return Err(RestError::new(502, "Server Error"));
    }
    let encoded = world.jit_text(&settings, &credentials);
    // What was just made is told as it is: no lag, and no request beyond this one.
    let view = world.hub.true_runner(grant.id).ok_or(RestError::not_found())?;
    let runner = runner_json(&RunnerView {
        id: view.id,
        name: view.name.clone(),
        online: false,
        busy: false,
        ephemeral: view.ephemeral,
        group: view.group,
        labels: view.labels.clone(),
    });
    Ok(Answer::created(json!({ "runner": runner, "encoded_jit_config": encoded })))
}

fn downloads(ask: &Ask, _world: &mut World, _now_ms: u64) -> RestResult<Answer> {
    ask.scope()?;
    let rows: Vec<Value> = PLATFORMS
        .iter()
        .map(|(os, arch)| {
            let file = asset_name(os, arch);
            json!({
                "os": os,
                "architecture": arch,
                "download_url": asset_url(ask, &file),
                "filename": file,
                "sha256_checksum": asset_sha256(ask, os, arch),
            })
        })
        .collect();
    Ok(Answer::ok(json!(rows)))
}

fn deprecation(ask: &Ask, _world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let version = ask.part("version");
    let current = version == RUNNER_VERSION;
    let at = (!current).then(|| rfc3339(now_ms));
    Ok(Answer::ok(json!({
        "runner_version": version,
        "runtime_deprecates_at": at,
        "registration_deprecates_at": at,
    })))
}

/// A runner as REST shows it.
fn runner_json(view: &RunnerView) -> Value {
    let labels: Vec<Value> = view
        .labels
        .iter()
        .enumerate()
        .map(|(index, label)| {
            let kind = if SYSTEM_LABELS.contains(&label) { "read-only" } else { "custom" };
            json!({ "id": index + 1, "name": label, "type": kind })
        })
        .collect();
    json!({
        "id": view.id.0,
        "name": view.name.as_ref(),
        "os": if view.online { "Linux" } else { "unknown" },
        "status": if view.online { "online" } else { "offline" },
        "busy": view.busy,
        "ephemeral": view.ephemeral,
        "runner_group_id": view.group,
        "labels": labels,
        "version": view.online.then_some(RUNNER_VERSION),
    })
}

/// The group of a name at a scope, for `config.sh`.
pub(super) fn group_of(world: &World, owner: &str, name: Option<&str>) -> Option<u64> {
    let Some(name) = name else { return Some(DEFAULT_GROUP) };
    let mut owners = world.hub.true_owners().filter(|it| *it.login == *owner);
    let group = owners.next()?.groups.iter().find(|group| group.name.eq_ignore_ascii_case(name))?;
    Some(group.id)
}

fn asset_name(os: &str, arch: &str) -> String {
    format!("actions-runner-{os}-{arch}-{RUNNER_VERSION}.tar.gz")
}

fn asset_url(ask: &Ask, file: &str) -> String {
    match &ask.shared.options.package {
        Some(_) => format!("{}{PACKAGES}{file}", ask.shared.url),
        None => format!("https://github.com/actions/runner/releases/download/v{RUNNER_VERSION}/{file}"),
    }
}

/// The sum of the package; where there is none, a number like one.
fn asset_sha256(ask: &Ask, os: &str, arch: &str) -> String {
    if let Some(package) = &ask.shared.options.package {
        return Sha256::digest(package).iter().map(|byte| format!("{byte:02x}")).collect();
    }
    let mix = |sum: u64, byte: u8| sum.wrapping_mul(131).wrapping_add(u64::from(byte));
    let number = os.bytes().chain(arch.bytes()).fold(0x5f37_59df, mix);
    format!("{number:016x}").repeat(4)
}

/// What the paths of packages begin with. Anybody may have them, as from GitHub.
pub(super) const PACKAGES: &str = "/packages/";

/// Packages, without a token.
pub(super) fn packages() -> Router<Arc<Shared>> {
    Router::new().route("/packages/{file}", axum::routing::get(package))
}

fn package(State(shared): State<Arc<Shared>>, Path(file): Path<String>) -> Ready<Response> {
    let known = PLATFORMS.iter().any(|(os, arch)| asset_name(os, arch) == file);
    ready(match shared.options.package.clone().filter(|_| known) {
        Some(package) => Response::new(Body::from(package.to_vec())),
        None => refusal(&RestError::not_found(), None),
    })
}

/// `GET /repos/actions/runner/releases/tags/{tag}`: there is one release.
pub(super) fn tagged_release(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let known = ask.part("tag").strip_prefix('v') == Some(RUNNER_VERSION);
    if known { latest_release(ask, world, now_ms) } else { Err(RestError::not_found()) }
}

/// `GET /repos/actions/runner/releases/latest`: sums in the text and in the assets (FACTS §3).
pub(super) fn latest_release(ask: &Ask, _world: &mut World, now_ms: u64) -> RestResult<Answer> {
    if ask.repo()?.as_str() != "actions/runner" {
        return Err(RestError::not_found());
    }
    let mut text = format!("## SHA-256 Checksums of v{RUNNER_VERSION}\n");
    let mut assets = Vec::new();
    for (index, (os, arch)) in PLATFORMS.iter().enumerate() {
        let (file, sum) = (asset_name(os, arch), asset_sha256(ask, os, arch));
        text += &format!("- {file} <!-- BEGIN SHA {os}-{arch} -->{sum}<!-- END SHA {os}-{arch} -->\n");
        assets.push(json!({
            "id": index + 1,
            "name": file,
            "state": "uploaded",
            "content_type": "application/x-gzip",
            "browser_download_url": asset_url(ask, &file),
            "digest": format!("sha256:{sum}"),
        }));
    }
    Ok(Answer::ok(json!({
        "id": 1,
        "tag_name": format!("v{RUNNER_VERSION}"),
        "name": format!("v{RUNNER_VERSION}"),
        "draft": false,
        "prerelease": false,
        "created_at": rfc3339(now_ms),
        "published_at": rfc3339(now_ms),
        "body": text,
        "assets": assets,
    })))
}
