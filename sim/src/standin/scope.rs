//! What a job's expressions and environment say.
//!
//! Names only: contexts for `${{ }}` and variables for steps, from what the server told. It runs nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::launch::Errand;
use super::orphans::TRACKING_ENV;
use super::wire::GithubNames;
use super::{arch, os};
use crate::workflow::expr::{Scope, Status};

/// The folders of a job.
pub(super) struct Folders {
    pub(super) workspace: PathBuf,
    pub(super) temp: PathBuf,
    pub(super) tools: PathBuf,
}

impl Folders {
    /// Makes them: `_work/<repo>/<repo>`, `_work/_temp` (empty), `_work/_tool`.
    pub(super) fn create(root: &Path, errand: &Errand) -> std::io::Result<Self> {
        let work = root.join(&errand.settings.work_folder);
        let repository = errand.answer.github.repository.rsplit('/').next().unwrap_or_default();
        // The name comes from elsewhere and decides where we write.
        let repository = if matches!(repository, "" | "." | "..") { "repository" } else { repository };
        let workspace = work.join(repository).join(repository);
        let folders = Self { workspace, temp: work.join("_temp"), tools: work.join("_tool") };
        match std::fs::remove_dir_all(&folders.temp) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        [&folders.workspace, &folders.temp, &folders.tools].into_iter().try_for_each(std::fs::create_dir_all)?;
        Ok(folders)
    }
}

/// The contexts of a job.
pub(super) struct Contexts {
    fixed: BTreeMap<String, Value>,
    /// `steps.*`.
    pub(super) steps: Map<String, Value>,
}

impl Contexts {
    pub(super) fn new(errand: &Errand, folders: &Folders) -> Self {
        let answer = &errand.answer;
        let runner = json!({
            "name": errand.settings.agent_name, "os": os(), "arch": arch(), "environment": "self-hosted",
            "temp": folders.temp, "tool_cache": folders.tools,
        });
        let fixed = [
            ("github", github(&answer.github, &answer.spec.key, &folders.workspace)),
            ("matrix", json!(answer.spec.matrix)),
            ("needs", json!(answer.needs)),
            ("runner", runner),
        ];
        let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { fixed, steps: Map::new() }
    }

    /// The scope of an expression, with these variables as `env`.
    pub(super) fn scope(&self, env: &BTreeMap<String, String>, status: Status) -> Scope {
        let mut values = self.fixed.clone();
        values.insert("env".to_owned(), json!(env));
        values.insert("steps".to_owned(), Value::Object(self.steps.clone()));
        values.insert("job".to_owned(), json!({ "status": word(status) }));
        Scope { values, status: Some(status) }
    }
}

/// `job.status`.
pub(super) const fn word(status: Status) -> &'static str {
    if status.cancelled {
        "cancelled"
    } else if status.failure {
        "failure"
    } else {
        "success"
    }
}

/// The `github` context as a worker knows it.
fn github(names: &GithubNames, job: &str, workspace: &Path) -> Value {
    json!({
        "job": job, "repository": names.repository, "repository_owner": owner(names),
        "run_id": names.run_id.to_string(), "run_attempt": names.run_attempt.to_string(),
        "workflow": names.workflow, "sha": names.sha, "ref_name": names.ref_name, "ref": reference(names),
        "event_name": names.event_name, "actor": names.actor, "server_url": names.server_url,
        "api_url": names.api_url, "workspace": workspace,
    })
}

fn owner(names: &GithubNames) -> &str {
    names.repository.split('/').next().unwrap_or_default()
}

fn reference(names: &GithubNames) -> String {
    if names.ref_name.is_empty() { String::new() } else { format!("refs/heads/{}", names.ref_name) }
}

/// The variables that every step has.
pub(super) fn variables(errand: &Errand, folders: &Folders, tracking_id: &str) -> BTreeMap<String, String> {
    let names = &errand.answer.github;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let pairs = [
        ("CI", "true".to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_JOB", errand.answer.spec.key.clone()),
        ("GITHUB_REPOSITORY", names.repository.clone()),
        ("GITHUB_REPOSITORY_OWNER", owner(names).to_owned()),
        ("GITHUB_RUN_ID", names.run_id.to_string()),
        ("GITHUB_RUN_ATTEMPT", names.run_attempt.to_string()),
        ("GITHUB_WORKFLOW", names.workflow.clone()),
        ("GITHUB_SHA", names.sha.clone()),
        ("GITHUB_REF", reference(names)),
        ("GITHUB_REF_NAME", names.ref_name.clone()),
        ("GITHUB_EVENT_NAME", names.event_name.clone()),
        ("GITHUB_ACTOR", names.actor.clone()),
        ("GITHUB_SERVER_URL", names.server_url.clone()),
        ("GITHUB_API_URL", names.api_url.clone()),
        ("GITHUB_WORKSPACE", path(&folders.workspace)),
        ("RUNNER_NAME", errand.settings.agent_name.clone()),
        ("RUNNER_OS", os().to_owned()),
        ("RUNNER_ARCH", arch().to_owned()),
        ("RUNNER_TEMP", path(&folders.temp)),
        ("RUNNER_TOOL_CACHE", path(&folders.tools)),
        ("RUNNER_ENVIRONMENT", "self-hosted".to_owned()),
        (TRACKING_ENV, tracking_id.to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
