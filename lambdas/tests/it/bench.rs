//! Requests as an HTTP API hands them over, and a function that is given everything by hand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use controller::ports::{PortError, PortResult, Secret};
use fleet::{class::Class, event::Event, labels::LabelSet, policy::Owner, policy::Policy};
use github::webhook::{intake::Answer, sign};
use lambdas::{
    http::Request,
    webhook::{Queue, WebhookFunction, WebhookSecrets},
};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a-webhook-secret-of-this-test";

/// A request of payload format 2.0, as AWS documents it.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str, is_base64: bool) -> Request {
    let headers: BTreeMap<&str, &str> = headers.iter().copied().collect();
    let event = json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "id.execute-api.eu-west-1.amazonaws.com",
            "domainPrefix": "id",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "GitHub-Hookshot/044aadd",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": format!("{method} {path}"),
            "stage": "$default",
            "time": "26/Nov/2026:10:00:00 +0000",
            "timeEpoch": 1_795_687_200_000_u64,
        },
        "body": body,
        "isBase64Encoded": is_base64,
    });
    Request::read(serde_json::from_value(event).unwrap()).unwrap()
}

/// A delivery as GitHub signs it.
pub(crate) fn delivery(event: &str, content_type: &str, body: &str) -> Request {
    let signature = sign(&Secret::new(SECRET), body.as_bytes());
    let headers =
        [("content-type", content_type), ("x-github-event", event), ("x-hub-signature-256", signature.as_str())];
    request("POST", "/webhook", &headers, body, false)
}

/// A job's announcement.
pub(crate) fn job(repo: &str, labels: &[&str]) -> String {
    let (owner, name) = repo.split_once('/').unwrap();
    json!({
        "action": "queued",
        "workflow_job": {
            "id": 43_000_000_001_u64, "run_id": 12_000_000_001_u64, "run_attempt": 1, "name": "build", "labels": labels,
            "status": "queued", "conclusion": null, "created_at": "2026-11-26T10:00:00Z", "runner_id": null,
            "runner_name": null,
        },
        "repository": { "name": name, "full_name": repo, "private": true, "owner": { "login": owner } },
        "sender": { "login": "somebody" },
    })
    .to_string()
}

/// What a function is given.
pub(crate) struct Bench {
    pub(crate) function: WebhookFunction,
    pub(crate) queue: Arc<MemQueue>,
    pub(crate) secrets: Arc<MemSecrets>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let class = Class { labels: LabelSet::parse(["self-hosted", "linux"]).unwrap(), ..Class::default() };
        let owner = Owner { organization: false, repositories: None };
        let policy =
            Policy { classes: vec![class], owners: BTreeMap::from([("acme".into(), owner)]), ..Policy::default() };
        let queue = Arc::new(MemQueue::default());
        let secrets = Arc::new(MemSecrets::new(&[SECRET]));
        let function = WebhookFunction { policy, secrets: secrets.clone(), queue: queue.clone() };
        Self { function, queue, secrets }
    }

    /// The answer, with what was appended for it.
    pub(crate) async fn answer(&self, request: &Request) -> (u16, Value, usize) {
        let before = self.queue.events.lock().unwrap().len();
        let Answer { status, body } = self.function.answer(request).await;
        assert!(!body.to_string().contains(SECRET), "{body}");
        (status, body, self.queue.events.lock().unwrap().len() - before)
    }
}

/// A queue in memory.
#[derive(Default)]
pub(crate) struct MemQueue {
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) fails: AtomicBool,
}

#[async_trait]
impl Queue for MemQueue {
    async fn append(&self, event: &Event) -> PortResult<()> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(PortError::retry("SQS does not answer"));
        }
        self.events.lock().unwrap().push(event.clone());
        Ok(())
    }
}

/// A secret that can be rotated.
pub(crate) struct MemSecrets {
    kept: Mutex<Vec<Secret>>,
    stored: Mutex<Option<Vec<Secret>>>,
    pub(crate) reads: AtomicUsize,
}

impl MemSecrets {
    fn new(secrets: &[&str]) -> Self {
        let secrets: Vec<Secret> = secrets.iter().map(Secret::new).collect();
        Self { kept: Mutex::new(secrets.clone()), stored: Mutex::new(Some(secrets)), reads: AtomicUsize::new(0) }
    }

    /// Another one is stored; none: the store does not answer.
    pub(crate) fn store(&self, secrets: Option<&[&str]>) {
        *self.stored.lock().unwrap() = secrets.map(|secrets| secrets.iter().map(Secret::new).collect());
    }

    /// What was read is forgotten: a new copy of the function begins.
    pub(crate) fn forget(&self) {
        self.kept.lock().unwrap().clear();
    }
}

#[async_trait]
impl WebhookSecrets for MemSecrets {
    async fn current(&self) -> PortResult<Vec<Secret>> {
        let kept = self.kept.lock().unwrap().clone();
        if kept.is_empty() { self.again().await } else { Ok(kept) }
    }

    async fn again(&self) -> PortResult<Vec<Secret>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let stored = self.stored.lock().unwrap().clone();
        let read = stored.ok_or_else(|| PortError::retry("Secrets Manager does not answer"))?;
        self.kept.lock().unwrap().clone_from(&read);
        Ok(read)
    }
}
