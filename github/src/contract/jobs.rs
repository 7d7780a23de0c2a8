//! Runs and jobs, and the repositories in which they are looked for.

use super::{ACTIONS_READ, ACTIONS_WRITE, Call, METADATA, NONE, PAGE, conditional, get, post};

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

/// Repositories that an App's installation may see: the ones of its owner that were chosen.
pub static LIST_INSTALLATION_REPOS: Call =
    conditional(get("apps/list-repos-accessible-to-installation", "/installation/repositories", PAGE, METADATA));

/// One repository, for its number.
pub static READ_REPO: Call = get("repos/get", "/repos/{owner}/{repo}", NONE, METADATA);
