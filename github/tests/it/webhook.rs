//! Deliveries: what GitHub sends, and how loosely.

use fleet::{
    event::Event,
    ids::{JobId, Repo, RunId},
    job::{Conclusion, JobFacts, JobInput},
};
use github::webhook::{ParseError, Webhook, parse};
use serde_json::{Value, json};

const JSON: Option<&str> = Some("application/json");

/// A delivery with all fields that are read, and some that are not.
pub(crate) fn payload(action: &str) -> Value {
    json!({
        "action": action,
        "workflow_job": {
            "id": 58_000_000_001_u64, "run_id": 20_000_000_002_u64, "run_attempt": 3, "name": "build (ubuntu, 1.95)",
            "workflow_name": "CI", "head_branch": "main", "head_sha": "0".repeat(40), "status": "queued",
            "conclusion": null, "labels": ["self-hosted", "Linux", "ARM64"], "runner_id": null, "runner_name": null,
            "runner_group_id": null, "runner_group_name": null, "created_at": "2026-11-23T10:00:00Z",
            "started_at": "2026-11-23T10:00:00Z", "completed_at": null, "steps": [],
        },
        "repository": {"id": 1, "name": "Web", "full_name": "Acme/Web", "private": true, "visibility": "private"},
        "organization": {"login": "Acme"},
        "sender": {"login": "anna"},
    })
}

fn job(payload: &Value) -> (JobFacts, JobInput) {
    match parse(JSON, Some("workflow_job"), payload.to_string().as_bytes()) {
        Ok(Webhook::Job(Event::Job { facts, input })) => (facts, input),
        other => panic!("{other:?}"),
    }
}

fn field(payload: &Value) -> String {
    match parse(JSON, Some("workflow_job"), payload.to_string().as_bytes()) {
        Err(ParseError::Field(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_queued_job_is_read_whole() {
    let (facts, input) = job(&payload("queued"));
    assert_eq!(input, JobInput::Queued);
    let expected = JobFacts {
        id: JobId(58_000_000_001),
        run_id: RunId(20_000_000_002),
        run_attempt: 3,
        repo: Repo::parse("acme/web").unwrap(),
        public: Some(false),
        name: "build (ubuntu, 1.95)".into(),
        labels: ["self-hosted", "Linux", "ARM64"].map(String::from).into(),
        created_ms: 1_795_428_000_000,
    };
    assert_eq!(facts, expected);
}

#[test]
fn an_environments_job_waits_until_it_is_approved() {
    let mut before = payload("queued");
    before["workflow_job"]["status"] = json!("waiting");
    before["deployment"] = json!({"id": 1, "environment": "prod"});
    assert_eq!(job(&before).1, JobInput::Waiting);
    assert_eq!(job(&payload("waiting")).1, JobInput::Waiting);
}

#[test]
fn a_runner_is_named_or_missing_in_four_spellings() {
    for (name, id) in
        [(json!(null), json!(null)), (json!(""), json!(0)), (json!(0), json!("")), (json!(null), json!(0))]
    {
        let mut ended = payload("completed");
        ended["workflow_job"]["runner_name"] = name;
        ended["workflow_job"]["runner_id"] = id;
        ended["workflow_job"]["conclusion"] = json!("cancelled");
        let expected = JobInput::Completed { conclusion: Conclusion::Cancelled, runner: "".into() };
        assert_eq!(job(&ended).1, expected);
    }
    let mut began = payload("in_progress");
    began["workflow_job"]["runner_name"] = json!("sr-dev-1-2");
    assert_eq!(job(&began).1, JobInput::InProgress { runner: "sr-dev-1-2".into() });
}

#[test]
fn every_conclusion_is_known_and_a_new_one_still_ends_the_job() {
    for (word, conclusion) in [
        (json!("success"), Conclusion::Success),
        (json!("failure"), Conclusion::Failure),
        (json!("skipped"), Conclusion::Skipped),
        (json!("cancelled"), Conclusion::Cancelled),
        (json!("timed_out"), Conclusion::TimedOut),
        (json!("action_required"), Conclusion::ActionRequired),
        (json!("neutral"), Conclusion::Neutral),
        (json!("stale"), Conclusion::Stale),
        (json!("startup_failure"), Conclusion::Unknown),
        (json!(null), Conclusion::Unknown),
    ] {
        let mut ended = payload("completed");
        ended["workflow_job"]["conclusion"] = word;
        assert_eq!(job(&ended).1, JobInput::Completed { conclusion, runner: "".into() });
    }
}

#[test]
fn an_older_payload_lacks_much() {
    let old = json!({
        "action": "queued",
        "workflow_job": {"id": 1, "run_id": 2, "status": "queued", "labels": []},
        "repository": {"full_name": "acme/web"},
    });
    let (facts, input) = job(&old);
    assert_eq!(input, JobInput::Queued);
    assert_eq!((facts.run_attempt, facts.public, facts.created_ms, &*facts.name), (1, None, 0, ""));
}

#[test]
fn errors_name_the_field() {
    let mut wrong = payload("queued");
    wrong["workflow_job"]["labels"] = json!("secret");
    assert_eq!(field(&wrong), "workflow_job.labels: expected a list of texts, found another text");
    let mut wrong = payload("queued");
    wrong["workflow_job"].as_object_mut().unwrap().remove("labels");
    assert_eq!(field(&wrong), "workflow_job.labels: expected a list of texts, found nothing");
    let mut wrong = payload("queued");
    wrong["workflow_job"]["id"] = json!(-1);
    assert_eq!(field(&wrong), "workflow_job.id: expected a whole number, found another number");
    let mut wrong = payload("queued");
    wrong["repository"]["full_name"] = json!("acme/../x");
    assert_eq!(field(&wrong), "repository.full_name: expected a text of the form owner/name, found another text");
    assert_eq!(field(&json!({"action": "queued"})), "workflow_job: expected an object, found nothing");
    assert_eq!(field(&json!([1])), "body: expected an object, found another list");
}

#[test]
fn other_events_and_actions_need_nothing() {
    let other = |event: &str, body: &[u8]| match parse(JSON, Some(event), body) {
        Ok(Webhook::Other(what)) => what,
        other => panic!("{other:?}"),
    };
    assert!(other("issues", b"not read").contains("event"));
    assert!(other("workflow_job", payload("renamed").to_string().as_bytes()).contains("action"));
    let ping = br#"{"zen":"Keep it logically awesome.","hook_id":400000000000,"hook":{"type":"Repository"}}"#;
    assert_eq!(parse(JSON, Some("ping"), ping), Ok(Webhook::Ping { hook_id: 400_000_000_000 }));
    assert_eq!(parse(JSON, None, b"{}"), Err(ParseError::NoEvent));
}

#[test]
fn a_form_is_read_like_json() {
    let encoded: String = payload("queued").to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let form = format!("payload={encoded}");
    let read = parse(Some("application/x-www-form-urlencoded"), Some("workflow_job"), form.as_bytes()).unwrap();
    let (facts, input) = job(&payload("queued"));
    assert_eq!(read, Webhook::Job(Event::Job { facts, input }));
    assert!(matches!(parse(Some("text/xml"), Some("ping"), b"{}"), Err(ParseError::ContentType)));
}
