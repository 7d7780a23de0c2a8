//! What a person steers the simulated GitHub with: plain requests, plain text. No token is asked for; it listens on this
//! machine only.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use fleet::ids::{JobId, Repo};
use sim::{http::Handle, workflow::Workflow};

use super::tell;

/// What the pages share.
#[derive(Clone)]
struct Desk {
    handle: Handle,
    repo: Repo,
}

type Said = (StatusCode, String);

/// The routes.
pub(super) fn router(handle: Handle, repo: Repo) -> Router {
    Router::new()
        .route("/practice", get(help))
        .route("/practice/runs", post(run))
        .route("/practice/jobs", get(jobs))
        .route("/practice/jobs/{id}/cancel", post(cancel))
        .route("/practice/jobs/{id}/approve", post(approve))
        .with_state(Desk { handle, repo })
}

async fn help() -> &'static str {
    HELP
}

/// Queues a workflow: the body, or without one the built-in.
async fn run(State(desk): State<Desk>, body: String) -> Said {
    let text = if body.trim().is_empty() { BUILT_IN } else { &body };
    match Workflow::parse(text) {
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("this workflow cannot run: {error}\n")),
        Ok(workflow) => {
            let flow = desk.handle.submit_workflow(&desk.repo, workflow);
            let begun = desk.handle.jobs_of(flow);
            (StatusCode::CREATED, begun.into_iter().map(|job| tell::job(&desk.handle, job)).collect())
        }
    }
}

async fn jobs(State(desk): State<Desk>) -> String {
    let all: Vec<JobId> = desk.handle.look(|hub| hub.true_jobs().map(|(id, _)| id).collect());
    if all.is_empty() {
        return "no job yet: POST to /practice/runs\n".to_owned();
    }
    all.into_iter().map(|job| tell::job(&desk.handle, job)).collect()
}

async fn cancel(State(desk): State<Desk>, Path(id): Path<u64>) -> Said {
    done(desk.handle.cancel(JobId(id)), &desk, id, "is no job that could be cancelled")
}

async fn approve(State(desk): State<Desk>, Path(id): Path<u64>) -> Said {
    done(desk.handle.approve(JobId(id)), &desk, id, "is no job that waits for an approval")
}

fn done(worked: bool, desk: &Desk, id: u64, why_not: &str) -> Said {
    if worked {
        return (StatusCode::OK, tell::job(&desk.handle, JobId(id)));
    }
    (StatusCode::NOT_FOUND, format!("{id} {why_not}\n"))
}

const HELP: &str = "POST /practice/runs               queue the workflow in the body, or a built-in one
GET  /practice/jobs               the jobs and how they stand
POST /practice/jobs/ID/cancel     cancel a job
POST /practice/jobs/ID/approve    approve a job that waits for that
";

/// Jobs to ask `why` about: some run, some wait, one is for nobody.
const BUILT_IN: &str = include_str!("../../../docs/examples/practice.yml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_workflow_can_run() {
        assert_eq!(Workflow::parse(BUILT_IN).unwrap().jobs().len(), 10);
    }
}
