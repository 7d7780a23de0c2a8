//! Deliveries as bytes, ready to be sent: a `workflow_job` of the size that GitHub's have, signed.

use fleet::ids::{JobId, Repo};
use serde_json::Value;
use sim::{
    http::{signature, world::now_ms},
    hub::{
        Hub,
        delivery::{Action, Delivery, Guid},
        model::NewJob,
    },
};

/// Least bytes of a body: GitHub's are 7 to 30 kB (FACTS §1).
pub(super) const BODY_BYTES: usize = 7_000;

/// The webhook's secret.
pub(super) const SECRET: &str = "the secret of a benchmark's webhook";

/// Repositories that the jobs come from.
pub(super) const REPOS: u64 = 20;

/// What the jobs ask for.
pub(super) const LABELS: [&str; 2] = ["self-hosted", "linux"];

/// Some of the links that GitHub lists for a repository, which make most of a body.
const LINKS: [&str; 24] = [
    "forks",
    "keys",
    "collaborators",
    "teams",
    "issue_events",
    "assignees",
    "branches",
    "tags",
    "blobs",
    "git_tags",
    "git_refs",
    "trees",
    "statuses",
    "languages",
    "stargazers",
    "contributors",
    "subscribers",
    "subscription",
    "commits",
    "git_commits",
    "comments",
    "issue_comment",
    "contents",
    "compare",
];

/// What all deliveries of queued jobs have in common.
pub(super) struct Jobs {
    /// For each repository a body, cut where the job's number stands.
    templates: Vec<Vec<String>>,
    first: u64,
}

impl Jobs {
    /// Jobs that were created now.
    pub(super) fn new() -> Option<Self> {
        let mut hub = Hub::new(0);
        let mut jobs = Self { templates: Vec::new(), first: 0 };
        for n in 0..REPOS {
            let id = hub.submit(now_ms(), NewJob::new(&repo(n)?, "build", &LABELS));
            jobs.templates.push(body(&hub, id)?.split(&id.to_string()).map(str::to_owned).collect());
            jobs.first = id.0 + 1;
        }
        Some(jobs)
    }

    /// The id of the `n`-th job.
    pub(super) fn id(&self, n: u64) -> u64 {
        self.first + n
    }

    /// The delivery of the `n`-th job.
    pub(super) fn queued(&self, n: u64) -> Vec<u8> {
        let template = &self.templates[(n % REPOS) as usize];
        request("workflow_job", &template.join(&self.id(n).to_string()))
    }
}

/// The `n`-th repository.
pub(super) fn repo(n: u64) -> Option<Repo> {
    Repo::parse(&format!("acme/repository-{n}"))
}

fn body(hub: &Hub, id: JobId) -> Option<String> {
    let job = hub.snapshot(id)?;
    let delivery = Delivery { id: 1, guid: Guid(1), action: Action::Queued, job, scheduled_ms: 0, attempt: 1 };
    let mut body = delivery.payload();
    let url = body["repository"]["url"].as_str()?.to_owned();
    for link in LINKS {
        body["repository"][format!("{link}_url")] = Value::String(format!("{url}/{link}{{/sha}}"));
    }
    // What GitHub's have beside that: more links, of the owner and the sender, and texts of all lengths.
    body["repository"]["description"] = "".into();
    let missing = BODY_BYTES.saturating_sub(body.to_string().len());
    body["repository"]["description"] = "x".repeat(missing).into();
    Some(body.to_string())
}

/// An event that needs nothing.
pub(super) fn other() -> Vec<u8> {
    request("issues", &format!("{{\"action\":\"opened\",\"text\":\"{}\"}}", "x".repeat(BODY_BYTES)))
}

/// What an agent sends.
pub(super) fn from_agent(path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
    )
    .into_bytes()
}

/// A whole request, as GitHub sends it, on a connection that is kept.
fn request(event: &str, body: &str) -> Vec<u8> {
    let mut request = format!(
        "POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitHub-Hookshot/5117616\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nX-GitHub-Event: {event}\r\n\
         X-GitHub-Delivery: 7d1e6a4c-0000-4000-8000-000000000000\r\nX-Hub-Signature-256: {}\r\n\
         Content-Length: {}\r\n\r\n",
        signature(SECRET, body.as_bytes()),
        body.len(),
    )
    .into_bytes();
    request.extend_from_slice(body.as_bytes());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delivery_is_large_signed_and_another_job() {
        let jobs = Jobs::new().unwrap();
        for n in [0, 7, 1_000_000] {
            let request = String::from_utf8(jobs.queued(n)).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(body.len() >= BODY_BYTES && head.contains(&signature(SECRET, body.as_bytes())), "{head}");
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["workflow_job"]["id"], jobs.id(n));
            assert_eq!(body["repository"]["full_name"], repo(n % REPOS).unwrap().as_str());
        }
    }
}
