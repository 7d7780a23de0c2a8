//! Every request that is made of GitHub, in one table: the client builds its requests from it, the tests compare it
//! with GitHub's published description, and whoever imitates GitHub reads here what must be answered.
//!
//! Only what is asked, never how an answer is read.

use controller::ports::ErrorKind;
use fleet::ids::Scope;

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Does something, and not the same again when repeated.
    Post,
    /// Deletes.
    Delete,
}

/// A request, but for its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Operation id in GitHub's OpenAPI description.
    pub operation: &'static str,
    /// Method.
    pub method: Method,
    /// Path below the base URL.
    pub path: &'static str,
    /// Query parameters that may be sent.
    pub query: &'static [&'static str],
    /// Fields of the JSON body; no body if there are none.
    pub body: &'static [&'static str],
    /// Status of success.
    pub success: u16,
    /// What a 422 means for this one.
    pub unprocessable: ErrorKind,
    /// What the token must be allowed to, for a person.
    pub needs: &'static str,
    /// Whether answers are kept and asked for again with their ETag: an unchanged one costs no rate limit (FACTS §2).
    pub conditional: bool,
}

/// The same request for a repository and for an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scoped {
    /// `/repos/{owner}/{repo}/…`
    pub repo: Call,
    /// `/orgs/{org}/…`
    pub org: Call,
}

impl Scoped {
    /// The one for this scope.
    pub fn of(&'static self, scope: &Scope) -> &'static Call {
        match scope {
            Scope::Repo(_) => &self.repo,
            Scope::Org(_) => &self.org,
        }
    }
}

const NONE: &[&str] = &[];
const PAGE: &[&str] = &["page", "per_page"];
const RUNNERS: &[&str] = &["name", "page", "per_page"];
const DELIVERIES: &[&str] = &["cursor", "per_page"];
const JIT_BODY: &[&str] = &["labels", "name", "runner_group_id", "work_folder"];

const REPO_RUNNERS: &str = "`Administration: write` on the repository (classic token: `repo`)";
const ORG_RUNNERS: &str = "`Self-hosted runners: write` on the organisation (classic token: `admin:org`)";
const ACTIONS_READ: &str = "`Actions: read` on the repository (classic token: `repo`)";
const ACTIONS_WRITE: &str = "`Actions: write` on the repository (classic token: `repo`)";
const METADATA: &str = "`Metadata: read` on the owner's repositories (classic token: `repo`)";
const REPO_HOOKS: &str = "`Webhooks: write` on the repository (classic token: `admin:repo_hook`)";
const ORG_HOOKS: &str = "`Webhooks: write` on the organisation (classic token: `admin:org_hook`)";

const fn get(operation: &'static str, path: &'static str, query: &'static [&'static str], needs: &'static str) -> Call {
    Call {
        operation,
        method: Method::Get,
        path,
        query,
        body: NONE,
        success: 200,
        unprocessable: ErrorKind::Invalid,
        needs,
        conditional: false,
    }
}

const fn post(operation: &'static str, path: &'static str, success: u16, needs: &'static str) -> Call {
    Call { method: Method::Post, success, ..get(operation, path, NONE, needs) }
}

/// 422: it executes a job.
const fn delete(operation: &'static str, path: &'static str, needs: &'static str) -> Call {
    Call {
        method: Method::Delete,
        success: 204,
        unprocessable: ErrorKind::Conflict,
        ..get(operation, path, NONE, needs)
    }
}

const fn conditional(call: Call) -> Call {
    Call { conditional: true, ..call }
}

/// Registers a runner; 409: the name exists.
pub static JIT_CONFIG: Scoped = Scoped {
    repo: Call {
        body: JIT_BODY,
        ..post(
            "actions/generate-runner-jitconfig-for-repo",
            "/repos/{owner}/{repo}/actions/runners/generate-jitconfig",
            201,
            REPO_RUNNERS,
        )
    },
    org: Call {
        body: JIT_BODY,
        ..post(
            "actions/generate-runner-jitconfig-for-org",
            "/orgs/{org}/actions/runners/generate-jitconfig",
            201,
            ORG_RUNNERS,
        )
    },
};

/// Registered runners.
pub static LIST_RUNNERS: Scoped = Scoped {
    repo: get(
        "actions/list-self-hosted-runners-for-repo",
        "/repos/{owner}/{repo}/actions/runners",
        RUNNERS,
        REPO_RUNNERS,
    ),
    org: get("actions/list-self-hosted-runners-for-org", "/orgs/{org}/actions/runners", RUNNERS, ORG_RUNNERS),
};

/// One registered runner.
pub static READ_RUNNER: Scoped = Scoped {
    repo: get(
        "actions/get-self-hosted-runner-for-repo",
        "/repos/{owner}/{repo}/actions/runners/{runner_id}",
        NONE,
        REPO_RUNNERS,
    ),
    org: get("actions/get-self-hosted-runner-for-org", "/orgs/{org}/actions/runners/{runner_id}", NONE, ORG_RUNNERS),
};

/// Ends a registration.
pub static DELETE_RUNNER: Scoped = Scoped {
    repo: delete(
        "actions/delete-self-hosted-runner-from-repo",
        "/repos/{owner}/{repo}/actions/runners/{runner_id}",
        REPO_RUNNERS,
    ),
    org: delete("actions/delete-self-hosted-runner-from-org", "/orgs/{org}/actions/runners/{runner_id}", ORG_RUNNERS),
};

/// Runner groups of an organisation, to find one's id.
pub static LIST_GROUPS: Call =
    get("actions/list-self-hosted-runner-groups-for-org", "/orgs/{org}/actions/runner-groups", PAGE, ORG_RUNNERS);

/// One job.
pub static READ_JOB: Call =
    get("actions/get-job-for-workflow-run", "/repos/{owner}/{repo}/actions/jobs/{job_id}", NONE, ACTIONS_READ);

/// Runs of a status.
pub static LIST_RUNS: Call = conditional(get(
    "actions/list-workflow-runs-for-repo",
    "/repos/{owner}/{repo}/actions/runs",
    &["exclude_pull_requests", "page", "per_page", "status"],
    ACTIONS_READ,
));

/// Jobs of a run.
pub static LIST_JOBS: Call = conditional(get(
    "actions/list-jobs-for-workflow-run",
    "/repos/{owner}/{repo}/actions/runs/{run_id}/jobs",
    &["filter", "page", "per_page"],
    ACTIONS_READ,
));

/// Runs one job again.
pub static RERUN_JOB: Call = post(
    "actions/re-run-job-for-workflow-run",
    "/repos/{owner}/{repo}/actions/jobs/{job_id}/rerun",
    201,
    ACTIONS_WRITE,
);

/// Repositories of an organisation.
pub static LIST_ORG_REPOS: Call =
    conditional(get("repos/list-for-org", "/orgs/{org}/repos", &["page", "per_page", "type"], METADATA));

/// Repositories of the token's own account, private ones too.
pub static LIST_OWN_REPOS: Call = conditional(get(
    "repos/list-for-authenticated-user",
    "/user/repos",
    &["affiliation", "page", "per_page"],
    METADATA,
));

/// Public repositories of another account.
pub static LIST_USER_REPOS: Call =
    conditional(get("repos/list-for-user", "/users/{username}/repos", &["page", "per_page", "type"], METADATA));

/// Webhooks, to find ours.
pub static LIST_HOOKS: Scoped = Scoped {
    repo: get("repos/list-webhooks", "/repos/{owner}/{repo}/hooks", PAGE, REPO_HOOKS),
    org: get("orgs/list-webhooks", "/orgs/{org}/hooks", PAGE, ORG_HOOKS),
};

/// Deliveries of a webhook, newest first.
pub static LIST_DELIVERIES: Scoped = Scoped {
    repo: get(
        "repos/list-webhook-deliveries",
        "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries",
        DELIVERIES,
        REPO_HOOKS,
    ),
    org: get("orgs/list-webhook-deliveries", "/orgs/{org}/hooks/{hook_id}/deliveries", DELIVERIES, ORG_HOOKS),
};

/// Delivers one again.
pub static REDELIVER: Scoped = Scoped {
    repo: post(
        "repos/redeliver-webhook-delivery",
        "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts",
        202,
        REPO_HOOKS,
    ),
    org: post(
        "orgs/redeliver-webhook-delivery",
        "/orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}/attempts",
        202,
        ORG_HOOKS,
    ),
};

/// The whole table.
pub static CALLS: [&Call; 22] = [
    &JIT_CONFIG.repo,
    &JIT_CONFIG.org,
    &LIST_RUNNERS.repo,
    &LIST_RUNNERS.org,
    &READ_RUNNER.repo,
    &READ_RUNNER.org,
    &DELETE_RUNNER.repo,
    &DELETE_RUNNER.org,
    &LIST_GROUPS,
    &READ_JOB,
    &LIST_RUNS,
    &LIST_JOBS,
    &RERUN_JOB,
    &LIST_ORG_REPOS,
    &LIST_OWN_REPOS,
    &LIST_USER_REPOS,
    &LIST_HOOKS.repo,
    &LIST_HOOKS.org,
    &LIST_DELIVERIES.repo,
    &LIST_DELIVERIES.org,
    &REDELIVER.repo,
    &REDELIVER.org,
];
