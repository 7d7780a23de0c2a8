//! REST on runs and jobs (FACTS §2).

use std::sync::Arc;

use axum::Router;
use fleet::ids::{JobId, RunId};
use serde_json::{Value, json};

use super::ask::{Answer, Ask, get, post};
use super::world::{Shared, World};
use crate::hub::delivery::Shown;
use crate::hub::limits::{RestError, RestResult};
use crate::hub::payload::{Links, job_json, node_id, repository_json, rfc3339, sha};
use crate::hub::rest_jobs::RunView;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/actions/runs", get(runs))
        .route("/actions/runs/{run_id}/jobs", get(run_jobs))
        .route("/actions/jobs/{job_id}", get(job))
        .route("/actions/jobs/{job_id}/rerun", post(rerun))
        .route("/actions/jobs/{job_id}/logs", get(logs))
}

fn runs(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let repo = ask.repo()?;
    let known = |word: &str| {
        [Shown::Waiting, Shown::Queued, Shown::InProgress, Shown::Completed].into_iter().find(|it| it.word() == word)
    };
    let (wanted, status) = (ask.query("status"), ask.query("status").and_then(known));
    let page = world.hub.runs(now_ms, &repo, status, ask.page(), ask.per_page())?;
    // `pending`, `requested` and conclusions are valid words too; no run here is ever in such a state.
    if wanted.is_some() && status.is_none() {
        return Ok(Answer::ok(json!({ "total_count": 0, "workflow_runs": [] })));
    }
    let rows: Vec<Value> = page.items.iter().map(|run| run_json(run, ask.links())).collect();
    Ok(Answer::ok(json!({ "total_count": page.total, "workflow_runs": rows })).linked(ask.pages(page.total)))
}

fn run_jobs(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let run = RunId(ask.number("run_id")?);
    let page = world.hub.run_jobs(now_ms, &ask.repo()?, run, ask.page(), ask.per_page())?;
    let rows: Vec<Value> = page.items.iter().map(|job| job_json(job, ask.links())).collect();
    Ok(Answer::ok(json!({ "total_count": page.total, "jobs": rows })).linked(ask.pages(page.total)))
}

fn job(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let id = JobId(ask.number("job_id")?);
    world.hub.job(now_ms, &ask.repo()?, id).map(|job| Answer::ok(job_json(&job, ask.links())))
}

fn rerun(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let id = JobId(ask.number("job_id")?);
    let again = world.hub.rerun_job(now_ms, &ask.repo()?, id)?;
    world.copy_work(id, again);
    Ok(Answer::created(json!({})))
}

/// What the job has printed. GitHub redirects to a file; here it comes at once.
fn logs(ask: &Ask, world: &mut World, now_ms: u64) -> RestResult<Answer> {
    let id = JobId(ask.number("job_id")?);
    world.hub.job(now_ms, &ask.repo()?, id)?;
    let paper = world.papers.get(&id).ok_or(RestError::not_found())?;
    let lines: Vec<String> = paper.log.iter().map(|line| format!("{} {}\n", rfc3339(line.at_ms), line.text)).collect();
    Ok(Answer::text(lines.concat()))
}

fn run_json(run: &RunView, links: Links<'_>) -> Value {
    let id = run.id.0;
    let repo = &run.origin.repo;
    let url = format!("{}/repos/{repo}/actions/runs/{id}", links.api);
    let created = rfc3339(run.created_ms);
    json!({
        "id": id,
        "name": run.workflow.as_ref(),
        "node_id": node_id("WorkflowRun", id),
        "head_branch": "main",
        "head_sha": sha(id),
        "path": ".github/workflows/ci.yml",
        "display_title": run.workflow.as_ref(),
        "run_number": 1,
        "event": "push",
        "status": run.status.word(),
        "conclusion": null,
        "workflow_id": 1,
        "url": url,
        "html_url": format!("{}/{repo}/actions/runs/{id}", links.html),
        "pull_requests": [],
        "created_at": created,
        "updated_at": created,
        "run_started_at": created,
        "run_attempt": run.attempt,
        "jobs_url": format!("{url}/jobs"),
        "logs_url": format!("{url}/logs"),
        "cancel_url": format!("{url}/cancel"),
        "rerun_url": format!("{url}/rerun"),
        "repository": repository_json(&run.origin, links),
        "head_repository": repository_json(&run.origin, links),
    })
}
