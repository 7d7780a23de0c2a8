//! Webhooks: content, loss, redelivery.

use fleet::event::Event;
use fleet::job::{Conclusion, JobInput};

use super::super::hooks::KEPT_MS;
use super::super::payload::rfc3339;
use super::{T0, hub, org, said};

// FACTS §1: no automatic redelivery; a redelivery keeps the GUID and the payload.
#[test]
fn a_failed_delivery_is_listed_and_sent_again_with_its_guid() {
    let mut hub = hub();
    hub.job_of(&["linux"]);
    let sent = hub.due(T0).remove(0);
    hub.delivered(sent.id, false, T0);
    assert!(hub.due(T0 + 1_000_000).is_empty());
    let failed = hub.failed_deliveries(T0, &org(), 0).unwrap();
    assert_eq!((failed.len(), failed[0].guid), (1, sent.guid));
    hub.redeliver(T0 + 5, Some(&org()), failed[0].id).unwrap();
    let again = hub.due(T0 + 5).remove(0);
    assert_eq!((again.guid, again.attempt, said(&again)), (sent.guid, 2, "queued/queued".to_owned()));
    assert_ne!(again.id, sent.id);
    hub.delivered(again.id, true, T0 + 6);
    assert!(hub.failed_deliveries(T0 + 6, &org(), 0).unwrap().is_empty());
    // The first attempt stays in the list as failed.
    assert_eq!(hub.deliveries(T0 + 6, None, None, 10, true).unwrap().0.len(), 1);
}

// FACTS §1: deliveries can be listed and redelivered for 3 days.
#[test]
fn a_delivery_is_kept_for_three_days() {
    let mut hub = hub();
    hub.job_of(&["linux"]);
    let sent = hub.due(T0).remove(0);
    hub.delivered(sent.id, false, T0);
    assert!(hub.deliveries(T0 + KEPT_MS, None, None, 10, true).unwrap().0.is_empty());
    assert_eq!(hub.redeliver(T0 + KEPT_MS, None, sent.id).unwrap_err().status, 404);
}

#[test]
fn deliveries_come_newest_first_with_a_cursor() {
    let mut hub = hub();
    for _ in 0..5 {
        hub.job_of(&["linux"]);
    }
    let sent: Vec<u64> = hub.due(T0).iter().map(|delivery| delivery.id).collect();
    for id in &sent {
        hub.delivered(*id, true, T0);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = hub.deliveries(T0, Some(&org()), cursor, 2, false).unwrap();
        seen.extend(page.iter().map(|record| record.delivery.id));
        cursor = next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen, sent.into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn a_webhook_tells_what_was_when_it_happened() {
    let mut hub = hub();
    let (job, id) = hub.running();
    hub.finish(T0 + 9, job, id, Conclusion::Success).unwrap();
    let events: Vec<JobInput> = hub
        .due(T0 + 9)
        .iter()
        .map(|delivery| {
            let event = delivery.event();
            let Event::Job { input, .. } = event else { panic!("{event:?}") };
            input
        })
        .collect();
    let runner: std::sync::Arc<str> = "r-1".into();
    let completed = JobInput::Completed { conclusion: Conclusion::Success, runner: runner.clone() };
    assert_eq!(events, [JobInput::Queued, JobInput::InProgress { runner }, completed]);
}

/// Every field that GitHub's published examples of `workflow_job` have, and that today's add.
const JOB_FIELDS: [&str; 24] = [
    "id",
    "run_id",
    "workflow_name",
    "head_branch",
    "run_url",
    "run_attempt",
    "node_id",
    "head_sha",
    "url",
    "html_url",
    "status",
    "conclusion",
    "created_at",
    "started_at",
    "completed_at",
    "name",
    "steps",
    "check_run_url",
    "labels",
    "runner_id",
    "runner_name",
    "runner_group_id",
    "runner_group_name",
    "id",
];

#[test]
fn the_payload_has_the_documented_fields() {
    let mut hub = hub();
    let (job, id) = hub.running();
    hub.finish(T0, job, id, Conclusion::Success).unwrap();
    let sent = hub.due(T0);
    for delivery in &sent {
        let body = delivery.payload();
        for field in JOB_FIELDS {
            assert!(body["workflow_job"].get(field).is_some(), "{field}");
        }
        for field in ["action", "repository", "sender", "organization", "installation"] {
            assert!(body.get(field).is_some(), "{field}");
        }
        assert_eq!(body["repository"]["full_name"], "acme/web");
        assert_eq!(body["repository"]["visibility"], "private");
    }
    let (queued, done) = (sent[0].payload(), sent[2].payload());
    assert!(queued["workflow_job"]["runner_id"].is_null());
    assert_eq!(done["workflow_job"]["runner_name"], "r-1");
    assert_eq!(done["workflow_job"]["conclusion"], "success");
    assert_eq!(done["workflow_job"]["steps"].as_array().unwrap().len(), 2);
}

#[test]
fn times_are_written_as_github_writes_them() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
    assert_eq!(rfc3339(1_795_459_260_999), "2026-11-23T18:41:00Z");
    assert_eq!(rfc3339(1_735_689_599_000), "2024-12-31T23:59:59Z");
}
