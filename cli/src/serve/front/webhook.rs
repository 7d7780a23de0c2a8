//! `POST /webhook`: verify over the raw bytes, parse, append durably, answer. Nothing slow happens before the answer.
//!
//! What is answered is what the rules say of the job; the decision itself, with the store before its eyes, comes after.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use fleet::{
    event::Event,
    ids::RunnerName,
    job::{JobFacts, JobInput},
    policy::{Placement, Policy},
};
use github::webhook::{self, ParseError, SignatureError, Webhook};
use serde_json::json;
use tracing::{info, warn};

use super::{Front, answer, refuse, unavailable};

pub(super) async fn receive(
    State(front): State<Arc<Front>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return refuse(rejection.status(), "the body is too large or was cut off"),
    };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Err(error) = webhook::verify(&front.webhook_secrets, text(webhook::SIGNATURE_HEADER), &body) {
        return distrust(error);
    }
    let content_type = text(header::CONTENT_TYPE.as_str());
    match webhook::parse(content_type, text(webhook::EVENT_HEADER), &body) {
        Ok(Webhook::Job(event)) => take(&front, event).await,
        Ok(Webhook::Ping { .. }) => answer(StatusCode::OK, json!({ "outcome": "pong" })),
        Ok(Webhook::Other { event }) => ignored(&format!("`{event}` needs nothing")),
        Err(error) => misunderstood(&error),
    }
}

fn distrust(error: SignatureError) -> Response {
    warn!(%error, "a delivery was refused");
    match error {
        // Ours to mend: GitHub keeps the delivery as failed, and it can be delivered again.
        SignatureError::NoSecret => unavailable(&error.to_string()),
        SignatureError::Missing | SignatureError::Malformed | SignatureError::EmptyBody | SignatureError::Mismatch => {
            refuse(StatusCode::UNAUTHORIZED, &error.to_string())
        }
    }
}

fn misunderstood(error: &ParseError) -> Response {
    warn!(%error, "a signed delivery was not understood");
    let status = match error {
        ParseError::ContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ParseError::NoEvent
        | ParseError::NoPayload
        | ParseError::BadEscape
        | ParseError::Json(_)
        | ParseError::Field(_) => StatusCode::BAD_REQUEST,
    };
    refuse(status, &error.to_string())
}

fn ignored(why: &str) -> Response {
    answer(StatusCode::ACCEPTED, json!({ "outcome": "ignored", "reason": why }))
}

async fn take(front: &Front, event: Event) -> Response {
    if front.ending.load(Ordering::Relaxed) {
        return unavailable("the daemon is ending; it takes deliveries again after its next start");
    }
    let verdict = judge(&front.controller.policy(), &event);
    if let Verdict::Forbidden(why) = &verdict {
        info!(%why, "a delivery was refused");
        return refuse(StatusCode::FORBIDDEN, why);
    }
    // Also what is ignored is kept: the log of decisions then answers why, and a job that was known before its class
    // was taken away still ends.
    if let Err(error) = front.inbox.append(std::slice::from_ref(&event)).await {
        warn!(%error, "a delivery could not be stored; GitHub keeps it as failed");
        return unavailable(&error.message);
    }
    front.arrived.notify_one();
    match verdict {
        Verdict::Accepted(what) => answer(StatusCode::ACCEPTED, json!({ "outcome": "accepted", "will": what })),
        Verdict::Ignored(why) | Verdict::Forbidden(why) => ignored(&why),
    }
}

/// What the rules say of a delivery.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Accepted(String),
    Ignored(String),
    Forbidden(String),
}

fn judge(policy: &Policy, event: &Event) -> Verdict {
    match event {
        Event::Job { facts, input } => judge_job(policy, facts, input),
        Event::Rematch { .. }
        | Event::Runner { .. }
        | Event::Adopt(_)
        | Event::Drain { .. }
        | Event::EndDrain { .. }
        | Event::Inventory
        | Event::Balance => Verdict::Ignored("not about a job".into()),
    }
}

fn judge_job(policy: &Policy, facts: &JobFacts, input: &JobInput) -> Verdict {
    let prefix = policy.prefix();
    // GitHub may give our runner any job: what names one is never set aside, whatever its labels.
    if input.runner().is_some_and(|name| RunnerName::parse_registered(&prefix, name).is_some()) {
        return Verdict::Accepted(format!("note that the job of a runner of ours is {}", input.label()));
    }
    match policy.place(facts) {
        Placement::Forbidden(why) => Verdict::Forbidden(why),
        Placement::Unmatched(why) => Verdict::Ignored(why),
        Placement::Closed(class) if is_demand(input) => {
            Verdict::Accepted(format!("let it wait: class `{class}` is closed (max = 0)"))
        }
        Placement::Pool(pool) if is_demand(input) => Verdict::Accepted(format!("see to a runner of pool {}", pool.id)),
        Placement::Pool(_) | Placement::Closed(_) if *input == JobInput::Waiting => {
            Verdict::Ignored("it waits for an approval; nothing is started before that".into())
        }
        Placement::Pool(_) | Placement::Closed(_) => Verdict::Accepted(format!("note that it is {}", input.label())),
    }
}

fn is_demand(input: &JobInput) -> bool {
    matches!(input, JobInput::Queued | JobInput::QueuedDirect)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fleet::{
        class::Class,
        ids::{JobId, Repo, RunId},
        labels::LabelSet,
        policy::Owner,
    };

    use super::*;

    fn judged(labels: &[&str], repo: &str, input: &JobInput) -> Verdict {
        let policy = Policy {
            classes: vec![Class { labels: LabelSet::parse(["self-hosted", "linux"]).unwrap(), ..Class::default() }],
            owners: BTreeMap::from([("acme".into(), Owner { organization: false, repositories: None })]),
            ..Policy::default()
        };
        let facts = JobFacts {
            id: JobId(1),
            run_id: RunId(1),
            run_attempt: 1,
            repo: Repo::parse(repo).unwrap(),
            public: Some(false),
            name: "build".into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            created_ms: 0,
        };
        judge_job(&policy, &facts, input)
    }

    #[test]
    fn the_answer_says_what_the_rules_say() {
        let fine = ["self-hosted", "linux"];
        assert!(matches!(judged(&fine, "acme/web", &JobInput::Queued), Verdict::Accepted(_)));
        assert!(matches!(judged(&fine, "acme/web", &JobInput::Waiting), Verdict::Ignored(_)));
        assert!(matches!(judged(&["ubuntu-latest"], "acme/web", &JobInput::Queued), Verdict::Ignored(_)));
        assert!(matches!(judged(&fine, "evil/web", &JobInput::Queued), Verdict::Forbidden(_)));
    }

    #[test]
    fn what_names_our_runner_is_never_set_aside() {
        let ours = JobInput::InProgress { runner: "sr-dev-0abc-1".into() };
        assert!(matches!(judged(&["ubuntu-latest"], "evil/web", &ours), Verdict::Accepted(_)));
        let theirs = JobInput::InProgress { runner: "laptop".into() };
        assert!(matches!(judged(&["ubuntu-latest"], "acme/web", &theirs), Verdict::Ignored(_)));
    }
}
