//! The JSON of a webhook and of REST's job object, with the fields that GitHub documents.
//!
//! Only the HTTP face asks for it; the swarm never does.

use fleet::utc::utc;
use serde_json::{Value, json};

use super::delivery::{Delivery, JobSnapshot, Shown, conclusion_word};
use super::model::{Origin, OwnerKind};

/// Where links lead.
#[derive(Debug, Clone, Copy)]
pub struct Links<'a> {
    /// Of REST: `https://api.github.com`.
    pub api: &'a str,
    /// Of pages: `https://github.com`.
    pub html: &'a str,
}

/// GitHub's own addresses.
pub const GITHUB: Links<'static> = Links { api: "https://api.github.com", html: "https://github.com" };

impl Delivery {
    /// The webhook's body.
    pub fn payload(&self) -> Value {
        self.payload_with(GITHUB)
    }

    /// The webhook's body, with these addresses in its links.
    pub fn payload_with(&self, links: Links<'_>) -> Value {
        let origin = &self.job.origin;
        let mut body = json!({
            "action": self.action.word(),
            "workflow_job": job_json(&self.job, links),
            "repository": repository_json(origin, links),
            "sender": account_json("octocat", 583_231, OwnerKind::User, links),
            "installation": { "id": origin.owner_id, "node_id": node_id("Installation", origin.owner_id) },
        });
        if origin.owner_kind == OwnerKind::Organization {
            body["organization"] = organization_json(origin, links);
        }
        if let Some(environment) = &self.job.environment {
            body["deployment"] = deployment_json(&self.job, environment, links);
        }
        body
    }
}

/// A job, as REST and webhooks show it.
pub fn job_json(job: &JobSnapshot, links: Links<'_>) -> Value {
    let facts = &job.facts;
    let (id, run_id) = (facts.id.0, facts.run_id.0);
    let repo = format!("{}/repos/{}", links.api, facts.repo);
    let runner = job.runner.as_ref();
    json!({
        "id": id,
        "run_id": run_id,
        "workflow_name": job.workflow.as_ref(),
        "head_branch": "main",
        "run_url": format!("{repo}/actions/runs/{run_id}"),
        "run_attempt": facts.run_attempt,
        "node_id": node_id("CheckRun", id),
        "head_sha": sha(run_id),
        "url": format!("{repo}/actions/jobs/{id}"),
        "html_url": format!("{}/{}/actions/runs/{run_id}/job/{id}", links.html, facts.repo),
        "status": job.status.word(),
        "conclusion": job.conclusion.map(conclusion_word),
        "created_at": rfc3339(facts.created_ms),
        // Required by the schema: GitHub repeats the creation of a job that has not started.
        "started_at": rfc3339(job.started_ms.unwrap_or(facts.created_ms)),
        "completed_at": job.completed_ms.map(rfc3339),
        "name": facts.name.as_ref(),
        "steps": steps_json(job),
        "check_run_url": format!("{repo}/check-runs/{id}"),
        "labels": facts.labels,
        "runner_id": runner.map(|runner| runner.id.0),
        "runner_name": runner.map(|runner| runner.name.as_ref()),
        "runner_group_id": runner.map(|runner| runner.group),
        "runner_group_name": runner.map(|runner| runner.group_name.as_ref()),
    })
}

fn steps_json(job: &JobSnapshot) -> Value {
    let step = |number: u32, name: &str, conclusion: Option<&str>| {
        let completed = conclusion.and(job.completed_ms.map(rfc3339));
        json!({
            "name": name,
            "status": if conclusion.is_some() { "completed" } else { "in_progress" },
            "conclusion": conclusion,
            "number": number,
            "started_at": job.started_ms.map(rfc3339),
            "completed_at": completed,
        })
    };
    match (job.status, &job.runner) {
        (Shown::InProgress, _) => json!([step(1, "Set up job", None)]),
        (Shown::Completed, Some(_)) => {
            let word = job.conclusion.map(conclusion_word);
            json!([step(1, "Set up job", Some("success")), step(2, "Complete job", word)])
        }
        (Shown::Completed, None) | (Shown::Waiting | Shown::Queued, _) => json!([]),
    }
}

/// A repository, with the links that clients use.
pub fn repository_json(origin: &Origin, links: Links<'_>) -> Value {
    let repo = &origin.repo;
    let url = format!("{}/repos/{repo}", links.api);
    json!({
        "id": origin.repo_id,
        "node_id": node_id("Repository", origin.repo_id),
        "name": repo.name(),
        "full_name": repo.as_str(),
        "private": !origin.public,
        "visibility": if origin.public { "public" } else { "private" },
        "owner": account_json(repo.owner(), origin.owner_id, origin.owner_kind, links),
        "html_url": format!("{}/{repo}", links.html),
        "description": null,
        "fork": false,
        "url": url,
        "hooks_url": format!("{url}/hooks"),
        "events_url": format!("{url}/events"),
        "clone_url": format!("{}/{repo}.git", links.html),
        "created_at": rfc3339(0),
        "updated_at": rfc3339(0),
        "pushed_at": rfc3339(0),
        "default_branch": "main",
        "archived": false,
        "disabled": false,
        "is_template": false,
        "topics": [],
        "forks": 0,
        "open_issues": 0,
        "watchers": 0,
    })
}

/// An account.
pub fn account_json(login: &str, id: u64, kind: OwnerKind, links: Links<'_>) -> Value {
    let url = format!("{}/users/{login}", links.api);
    json!({
        "login": login,
        "id": id,
        "node_id": node_id("User", id),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
        "gravatar_id": "",
        "url": url,
        "html_url": format!("{}/{login}", links.html),
        "repos_url": format!("{url}/repos"),
        "organizations_url": format!("{url}/orgs"),
        "type": match kind { OwnerKind::Organization => "Organization", OwnerKind::User => "User" },
        "site_admin": false,
    })
}

fn organization_json(origin: &Origin, links: Links<'_>) -> Value {
    let login = origin.repo.owner();
    let url = format!("{}/orgs/{login}", links.api);
    json!({
        "login": login,
        "id": origin.owner_id,
        "node_id": node_id("Organization", origin.owner_id),
        "url": url,
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events"),
        "hooks_url": format!("{url}/hooks"),
        "issues_url": format!("{url}/issues"),
        "members_url": format!("{url}/members{{/member}}"),
        "public_members_url": format!("{url}/public_members{{/member}}"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{}?v=4", origin.owner_id),
        "description": null,
    })
}

fn deployment_json(job: &JobSnapshot, environment: &str, links: Links<'_>) -> Value {
    let id = job.facts.id.0;
    let repo = format!("{}/repos/{}", links.api, job.facts.repo);
    let created = rfc3339(job.facts.created_ms);
    json!({
        "url": format!("{repo}/deployments/{id}"),
        "id": id,
        "node_id": node_id("Deployment", id),
        "task": "deploy",
        "original_environment": environment,
        "environment": environment,
        "description": null,
        "created_at": created,
        "updated_at": created,
        "statuses_url": format!("{repo}/deployments/{id}/statuses"),
        "repository_url": repo,
        "creator": account_json("octocat", 583_231, OwnerKind::User, links),
        "sha": sha(job.facts.run_id.0),
        "ref": "main",
        "payload": {},
        "transient_environment": false,
        "production_environment": false,
        "performed_via_github_app": null,
    })
}

/// A commit that belongs to a run.
pub fn sha(run: u64) -> String {
    format!("{:040x}", u128::from(run) * 0x9e37_79b9_7f4a_7c15)
}

/// An opaque node id.
pub fn node_id(kind: &str, id: u64) -> String {
    format!("{kind}_{id:x}")
}

/// Milliseconds since 1970 as GitHub writes times: `2026-11-23T18:41:00Z`.
pub fn rfc3339(at_ms: u64) -> String {
    utc(at_ms)
}
