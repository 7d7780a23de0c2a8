//! Jobs: one read directly, the open ones found through their runs, ETags, one run again.

use controller::ports::{ErrorKind, GitHub};
use fleet::{
    event::Event,
    ids::{JobId, Repo, RunId},
    job::{Conclusion, JobInput},
    rota::How,
};
use serde_json::{Value, json};

use super::server::{Reply, Server, reply};

const READ: &str = "actions/get-job-for-workflow-run";
const RUNS: &str = "actions/list-workflow-runs-for-repo";
const JOBS: &str = "actions/list-jobs-for-workflow-run";
const RERUN: &str = "actions/re-run-job-for-workflow-run";

/// Beyond 2^32.
const BIG: u64 = 48_000_000_000;

fn repo() -> Repo {
    Repo::parse("acme/web").unwrap()
}

fn job(id: u64, status: &str) -> Value {
    json!({"id": id, "run_id": BIG, "run_attempt": 2, "name": "build", "labels": ["self-hosted"], "status": status,
           "conclusion": null, "created_at": "2023-04-19T21:12:12Z", "runner_id": null, "runner_name": null})
}

fn runs(runs: &[(u64, &str)]) -> Value {
    let list = runs.iter().map(|(id, visibility)| {
        let repository = json!({"full_name": "acme/web", "private": *visibility != "public"});
        json!({"id": id, "status": "queued", "repository": repository})
    });
    json!({"total_count": runs.len(), "workflow_runs": list.collect::<Vec<_>>()})
}

fn jobs(jobs: &[Value]) -> Value {
    json!({"total_count": jobs.len(), "jobs": jobs})
}

fn no_runs() -> Reply {
    reply(RUNS, 200, &runs(&[]))
}

#[tokio::test]
async fn a_job_is_read_directly_in_each_status() {
    let running = json!({"runner_name": "sr-dev-1-1"});
    let ended = json!({"runner_name": "", "runner_id": 0, "conclusion": "cancelled"});
    let with = |mut job: Value, more: &Value| {
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        job
    };
    let answers = [
        reply(READ, 200, &job(BIG, "queued")),
        reply(READ, 200, &job(BIG, "waiting")),
        reply(READ, 200, &with(job(BIG, "in_progress"), &running)),
        reply(READ, 200, &with(job(BIG, "completed"), &ended)),
    ];
    let server = Server::start(answers).await;
    let client = server.client();
    for expected in [
        JobInput::QueuedDirect,
        JobInput::Waiting,
        JobInput::InProgress { runner: "sr-dev-1-1".into() },
        JobInput::Completed { conclusion: Conclusion::Cancelled, runner: "".into() },
    ] {
        let Some(Event::Job { facts, input }) = client.job(&repo(), JobId(BIG)).await.unwrap() else {
            panic!("no job")
        };
        assert_eq!(input, expected);
        assert_eq!((facts.id, facts.run_id, facts.run_attempt), (JobId(BIG), RunId(BIG), 2));
        assert_eq!((facts.public, facts.created_ms, facts.repo), (None, 1_681_938_732_000, repo()));
    }
    assert_eq!(server.finish()[0].path, format!("/repos/acme/web/actions/jobs/{BIG}"));
}

#[tokio::test]
async fn a_missing_job_is_none_and_a_strange_one_is_an_error() {
    let answers = [
        reply(READ, 404, &json!({"message": "Not Found"})),
        reply(READ, 200, &job(1, "levitating")),
        reply(READ, 200, &json!({"id": "secret"})),
    ];
    let server = Server::start(answers).await;
    let client = server.client();
    assert_eq!(client.job(&repo(), JobId(1)).await.unwrap(), None);
    let strange = client.job(&repo(), JobId(1)).await.unwrap_err();
    assert_eq!(strange.kind, ErrorKind::Retry);
    assert!(strange.message.contains("status: expected a known status"), "{strange}");
    let broken = client.job(&repo(), JobId(1)).await.unwrap_err();
    assert!(broken.message.contains("id: expected a whole number") && !broken.message.contains("secret"), "{broken}");
    server.finish();
}

#[tokio::test]
async fn open_jobs_are_found_in_all_open_runs_once_each() {
    let answers = [
        reply(RUNS, 200, &runs(&[(1, "private")])),
        reply(RUNS, 200, &runs(&[(2, "public"), (1, "private")])),
        no_runs(),
        reply(RUNS, 200, &runs(&[(3, "private")])),
        reply(JOBS, 200, &jobs(&[job(10, "queued"), job(11, "waiting"), job(12, "completed"), job(13, "odd")])),
        reply(JOBS, 200, &jobs(&[job(20, "in_progress"), job(10, "queued")])),
        reply(JOBS, 404, &json!({"message": "Not Found"})),
    ];
    let server = Server::start(answers).await;
    let events = server.client().open_jobs(&repo()).await.unwrap();
    let found = events.iter().map(|event| {
        let Event::Job { facts, input } = event else { panic!("{event:?}") };
        (facts.id.0, input.label(), facts.public)
    });
    assert_eq!(
        found.collect::<Vec<_>>(),
        [(10, "queued", Some(true)), (11, "waiting", Some(false)), (20, "in progress", Some(true))]
    );
    let seen = server.finish();
    let statuses: Vec<_> = seen[..4].iter().map(|seen| seen.query["status"].as_str()).collect();
    assert_eq!(statuses, ["queued", "in_progress", "waiting", "pending"]);
    assert!(seen[4..].iter().all(|seen| seen.query["filter"] == "latest"));
    assert_eq!(seen[6].path, "/repos/acme/web/actions/runs/3/jobs");
}

#[tokio::test]
async fn an_unchanged_list_is_asked_for_with_its_etag_and_taken_from_memory() {
    let first = || reply(RUNS, 200, &runs(&[(1, "private")])).header("etag", "W/\"runs\"");
    let list = |id| reply(JOBS, 200, &jobs(&[job(id, "queued")])).header("etag", format!("\"jobs-{id}\""));
    let same = |operation| reply(operation, 304, &Value::Null);
    let answers = [
        vec![first(), no_runs(), no_runs(), no_runs(), list(10)],
        vec![same(RUNS), no_runs(), no_runs(), no_runs(), same(JOBS)],
        vec![same(RUNS), no_runs(), no_runs(), no_runs(), list(11)],
    ];
    let server = Server::start(answers.into_iter().flatten()).await;
    let client = server.client();
    let mut found = Vec::new();
    for _ in 0..3 {
        let events = client.open_jobs(&repo()).await.unwrap();
        found.extend(events.into_iter().map(|event| {
            let Event::Job { facts, .. } = event else { panic!("{event:?}") };
            facts.id.0
        }));
    }
    assert_eq!(found, [10, 10, 11]);
    let seen = server.finish();
    let tags: Vec<_> =
        seen.iter().map(|seen| seen.headers.get("if-none-match").map(|tag| tag.to_str().unwrap())).collect();
    assert_eq!(tags[..5], [None; 5]);
    for pass in [&tags[5..10], &tags[10..15]] {
        assert_eq!(pass, [Some("W/\"runs\""), None, None, None, Some("\"jobs-10\"")]);
    }
}

#[tokio::test]
async fn a_quiet_repository_costs_one_request_and_an_unchanged_one_none() {
    let newest = |status: &str| json!({"total_count": 1, "workflow_runs": [{"id": 1, "status": status}]});
    let answers = [
        reply(RUNS, 200, &newest("completed")).header("etag", "\"one\""),
        reply(RUNS, 304, &Value::Null),
        reply(RUNS, 200, &newest("queued")).header("etag", "\"two\""),
        reply(RUNS, 200, &runs(&[(1, "private")])),
        no_runs(),
        no_runs(),
        no_runs(),
        reply(JOBS, 200, &jobs(&[job(10, "queued")])),
    ];
    let server = Server::start(answers).await;
    let client = server.client();
    let mut looks = Vec::new();
    for _ in 0..3 {
        looks.push(client.look(&repo(), How::Glance).await.unwrap());
    }
    let told: Vec<_> =
        looks.iter().map(|look| (look.open, look.changed, look.cost.requests, look.cost.charged)).collect();
    assert_eq!(told, [(false, true, 1, 1), (false, false, 1, 0), (true, true, 6, 6)]);
    assert_eq!((looks[1].jobs.as_ref(), looks[2].jobs.as_ref().map(Vec::len)), (None, Some(1)));
    let seen = server.finish();
    assert_eq!(seen[1].headers["if-none-match"], "\"one\"");
    assert_eq!((seen[0].query["per_page"].as_str(), seen[0].query.get("status")), ("30", None));
}

#[tokio::test]
async fn a_job_is_run_again_and_the_refusal_names_the_permission() {
    let refusal = json!({"message": "Resource not accessible by personal access token"});
    let server = Server::start([reply(RERUN, 201, &json!({})), reply(RERUN, 403, &refusal)]).await;
    let client = server.client();
    client.rerun_job(&repo(), JobId(9)).await.unwrap();
    let error = client.rerun_job(&repo(), JobId(9)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("Actions: write"), "{error}");
    assert_eq!(server.finish()[0].path, "/repos/acme/web/actions/jobs/9/rerun");
}
