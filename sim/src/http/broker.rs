//! The stand-in runner's private broker: [`wire`] answered from the hub.
//!
//! A poll, a renewal and a new session are heartbeats. A poll waits for a change of the world, never by looking again.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use fleet::ids::{JobId, RegistrationId, Repo, Scope};
use fleet::job::Conclusion;
use fleet::labels::LabelSet;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::gate::bearer;
use super::runners::group_of;
use super::world::{Paper, Shared, World};
use crate::hub::jobs::Refused;
use crate::hub::model::NewRunner;
use crate::standin::wire::{
    self, AcquireAnswer, AcquireRequest, CompleteRequest, GithubNames, LogRequest, Message, RegisterAnswer,
    RegisterRequest, RenewAnswer, SessionAnswer, SessionRequest,
};
use crate::workflow::spec;

/// Log lines kept of one job; older ones go first.
const LOG_LINES_KEPT: usize = 5_000;

type App = State<Arc<Shared>>;
type OfJob = Path<(u64, u64)>;

/// The session that a call belongs to.
#[derive(Debug, Deserialize)]
struct SessionQuery {
    session: String,
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(wire::SESSION_ROUTE, post(open).delete(close))
        .route(wire::MESSAGE_ROUTE, get(message))
        .route(wire::ACQUIRE_ROUTE, post(acquire))
        .route(wire::RENEW_ROUTE, post(renew))
        .route(wire::LOG_ROUTE, post(log))
        .route(wire::COMPLETE_ROUTE, post(complete))
        .route(wire::REGISTER_PATH, post(register))
}

/// What becomes of a call: its answer or a bare status.
type Outcome<T> = Result<Json<T>, StatusCode>;
type Done<T> = std::future::Ready<Outcome<T>>;

fn status(refused: Refused) -> StatusCode {
    match refused {
        Refused::Gone => StatusCode::NOT_FOUND,
        Refused::Conflict | Refused::NotYours => StatusCode::CONFLICT,
    }
}

impl World {
    /// Checks the key of a registration. Keys stay after it is gone: a ghost's listener keeps polling.
    fn check(&self, id: RegistrationId, headers: &HeaderMap) -> Result<(), StatusCode> {
        let key = self.keys.get(&id).ok_or(StatusCode::NOT_FOUND)?;
        if bearer(headers) == Some(key) { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
    }

    fn check_session(&self, id: RegistrationId, session: &str) -> Result<(), StatusCode> {
        let mine = self.sessions.get(&id).is_some_and(|open| open == session);
        if mine { Ok(()) } else { Err(StatusCode::CONFLICT) }
    }
}

fn open(State(shared): App, Path(id): Path<u64>, headers: HeaderMap, _: Json<SessionRequest>) -> Done<SessionAnswer> {
    let id = RegistrationId(id);
    ready(shared.act(|world, now_ms| {
        world.check(id, &headers)?;
        if world.deprecated {
            return Err(StatusCode::UPGRADE_REQUIRED);
        }
        world.hub.connect(now_ms, id).map_err(status)?;
        let session = format!("{:032x}", world.rng.u128(..));
        world.sessions.insert(id, session.clone());
        Ok(Json(SessionAnswer { session }))
    }))
}

fn close(
    State(shared): App,
    Path(id): Path<u64>,
    Query(query): Query<SessionQuery>,
    headers: HeaderMap,
) -> std::future::Ready<StatusCode> {
    let id = RegistrationId(id);
    ready(shared.act(|world, now_ms| {
        let checked = world.check(id, &headers).and_then(|()| world.check_session(id, &query.session));
        if let Err(status) = checked {
            return status;
        }
        world.sessions.remove(&id);
        world.hub.disconnect(now_ms, id);
        StatusCode::NO_CONTENT
    }))
}

async fn message(
    State(shared): App,
    Path(id): Path<u64>,
    Query(query): Query<SessionQuery>,
    headers: HeaderMap,
) -> Response {
    let until = Instant::now() + Duration::from_millis(wire::LONG_POLL_MS);
    // Subscribed before the first look, so that no change between look and wait is missed.
    let mut changes = shared.changes();
    loop {
        match offer(&shared, RegistrationId(id), &query.session, &headers) {
            Ok(Some(message)) => return Json(message).into_response(),
            Ok(None) => {}
            Err(status) => return status.into_response(),
        }
        if !matches!(timeout_at(until, changes.changed()).await, Ok(Ok(()))) {
            return StatusCode::NO_CONTENT.into_response();
        }
    }
}

/// The job that is offered to a runner, if there is one.
fn offer(
    shared: &Shared,
    id: RegistrationId,
    session: &str,
    headers: &HeaderMap,
) -> Result<Option<Message>, StatusCode> {
    shared.act(|world, now_ms| {
        world.check(id, headers)?;
        world.check_session(id, session)?;
        if world.deprecated {
            return Err(StatusCode::UPGRADE_REQUIRED);
        }
        world.hub.heartbeat(now_ms, id).map_err(status)?;
        let Some(job) = world.hub.assigned(id) else { return Ok(None) };
        let facts = world.hub.true_job(job).map(|job| (job.facts.name.to_string(), job.assigned));
        let (name, assigned) = facts.ok_or(StatusCode::NOT_FOUND)?;
        Ok(Some(Message { job_id: job.0, request_id: format!("{job}-{assigned}"), name }))
    })
}

fn acquire(
    State(shared): App,
    Path((id, job)): OfJob,
    headers: HeaderMap,
    Json(request): Json<AcquireRequest>,
) -> Done<AcquireAnswer> {
    let (id, job) = (RegistrationId(id), JobId(job));
    ready(shared.act(|world, now_ms| {
        world.check(id, &headers)?;
        world.check_session(id, &request.session)?;
        // Asked again because the answer got lost: it is the same runner's already.
        if world.hub.runs_on(id) != Some(job) {
            world.hub.start(now_ms, job, id).map_err(status)?;
        }
        Ok(Json(world.assignment(job, &shared.url)?))
    }))
}

impl World {
    /// What the worker needs to execute a job.
    fn assignment(&self, id: JobId, url: &str) -> Result<AcquireAnswer, StatusCode> {
        let job = self.hub.true_job(id).ok_or(StatusCode::NOT_FOUND)?;
        let work = self.papers.get(&id).and_then(|paper| paper.work.clone());
        let (spec, needs) = match work {
            Some(work) => (work.spec, work.needs),
            None => (empty_spec(&job.facts.name), std::collections::BTreeMap::new()),
        };
        let github = GithubNames {
            repository: job.facts.repo.to_string(),
            run_id: job.facts.run_id.0,
            run_attempt: u64::from(job.facts.run_attempt),
            workflow: job.workflow.to_string(),
            sha: crate::hub::payload::sha(job.facts.run_id.0),
            ref_name: "main".to_owned(),
            event_name: "push".to_owned(),
            actor: "octocat".to_owned(),
            server_url: url.to_owned(),
            api_url: url.to_owned(),
        };
        Ok(AcquireAnswer { spec, github, needs })
    }
}

/// A job that was submitted without work does nothing, successfully.
fn empty_spec(name: &str) -> spec::JobSpec {
    spec::JobSpec {
        key: "job".to_owned(),
        name: name.to_owned(),
        env: std::collections::BTreeMap::new(),
        matrix: std::collections::BTreeMap::new(),
        steps: Vec::new(),
        outputs: std::collections::BTreeMap::new(),
        timeout_ms: 60_000,
        shell: spec::Shell::Default,
        working_directory: None,
    }
}

fn renew(State(shared): App, Path((id, job)): OfJob, headers: HeaderMap) -> Done<RenewAnswer> {
    let (id, job) = (RegistrationId(id), JobId(job));
    ready(shared.act(|world, now_ms| {
        world.check(id, &headers)?;
        if world.hub.runs_on(id) != Some(job) {
            return Err(StatusCode::NOT_FOUND);
        }
        world.hub.heartbeat(now_ms, id).map_err(status)?;
        Ok(Json(RenewAnswer { cancel: world.hub.cancel_asked(job) }))
    }))
}

fn log(
    State(shared): App,
    Path((id, job)): OfJob,
    headers: HeaderMap,
    Json(request): Json<LogRequest>,
) -> std::future::Ready<StatusCode> {
    let (id, job) = (RegistrationId(id), JobId(job));
    let kept = {
        let mut world = shared.lock();
        world.check(id, &headers).and_then(|()| {
            let running = world.hub.runs_on(id) == Some(job);
            running.then(|| world.papers.entry(job).or_default().append(request)).ok_or(StatusCode::NOT_FOUND)
        })
    };
    if kept.is_ok() {
        shared.wake();
    }
    ready(kept.map_or_else(|status| status, |()| StatusCode::NO_CONTENT))
}

impl Paper {
    /// Keeps the lines that are new.
    fn append(&mut self, request: LogRequest) {
        let known = usize::try_from(self.next_line.saturating_sub(request.first)).unwrap_or(usize::MAX);
        let new = request.lines.into_iter().skip(known);
        for line in new {
            self.log.push_back(line);
            self.next_line += 1;
            if self.log.len() > LOG_LINES_KEPT {
                self.log.pop_front();
            }
        }
    }
}

fn complete(
    State(shared): App,
    Path((id, job)): OfJob,
    headers: HeaderMap,
    Json(request): Json<CompleteRequest>,
) -> std::future::Ready<StatusCode> {
    let (id, job) = (RegistrationId(id), JobId(job));
    let done = shared.act(|world, now_ms| {
        world.check(id, &headers)?;
        if world.hub.runs_on(id) != Some(job) {
            return Err(StatusCode::NOT_FOUND);
        }
        let conclusion = told(request.conclusion);
        world.papers.entry(job).or_default().completed = Some(request);
        world.hub.finish(now_ms, job, id, conclusion).map_err(status)
    });
    ready(done.map_or_else(|status| status, |()| StatusCode::NO_CONTENT))
}

/// What GitHub makes of a worker's word.
fn told(conclusion: spec::Conclusion) -> Conclusion {
    match conclusion {
        spec::Conclusion::Success => Conclusion::Success,
        spec::Conclusion::Failure => Conclusion::Failure,
        spec::Conclusion::Cancelled => Conclusion::Cancelled,
        spec::Conclusion::Skipped => Conclusion::Skipped,
    }
}

fn register(State(shared): App, Json(request): Json<RegisterRequest>) -> Done<RegisterAnswer> {
    ready(shared.act(|world, now_ms| {
        let scope = scope_of(&request.url).ok_or(StatusCode::NOT_FOUND)?;
        if world.deprecated {
            return Err(StatusCode::UPGRADE_REQUIRED);
        }
        let token = u128::from_str_radix(&request.token, 16).map_err(|_| StatusCode::UNAUTHORIZED)?;
        let group = group_of(world, scope.owner(), request.group.as_deref()).ok_or(StatusCode::NOT_FOUND)?;
        let labels = LabelSet::parse(&request.labels).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?;
        let name = request.name.as_str().into();
        let runner = NewRunner { scope: scope.clone(), name, labels, group, ephemeral: request.ephemeral };
        let id = world
            .hub
            .register_with_token(now_ms, token, runner, request.replace)
            .map_err(|error| StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))?;
        let (mut settings, credentials) = world.outfit(id, &shared.url, &scope, &request.name, &request.work_folder);
        settings.ephemeral = request.ephemeral;
        Ok(Json(RegisterAnswer { settings, credentials }))
    }))
}

/// The scope that `--url` names: `http://host/owner` or `http://host/owner/repo`.
fn scope_of(url: &str) -> Option<Scope> {
    let path = url.split_once("://")?.1.split_once('/')?.1.trim_end_matches('/');
    if path.contains('/') {
        return Repo::parse(path).map(Scope::Repo);
    }
    (!path.is_empty()).then(|| Scope::Org(path.to_ascii_lowercase().into()))
}
