//! Registrations, runner groups, and which runner program is expected.

use super::{Call, NONE, ORG_RUNNERS, REPO_RUNNERS, Scoped, answered, delete, get, post, unpublished};

const RUNNERS: &[&str] = &["name", "page", "per_page"];
const JIT_BODY: &[&str] = &["labels", "name", "runner_group_id", "work_folder"];

/// Registers a runner; 409: the name exists.
pub static JIT_CONFIG: Scoped = Scoped {
    repo: Call {
        body: JIT_BODY,
        ..answered(post(
            "actions/generate-runner-jitconfig-for-repo",
            "/repos/{owner}/{repo}/actions/runners/generate-jitconfig",
            201,
            REPO_RUNNERS,
        ))
    },
    org: Call {
        body: JIT_BODY,
        ..answered(post(
            "actions/generate-runner-jitconfig-for-org",
            "/orgs/{org}/actions/runners/generate-jitconfig",
            201,
            ORG_RUNNERS,
        ))
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

/// Runner groups of an organisation, to find one's id, or those that may serve a repository.
pub static LIST_GROUPS: Call = get(
    "actions/list-self-hosted-runner-groups-for-org",
    "/orgs/{org}/actions/runner-groups",
    &["page", "per_page", "visible_to_repository"],
    ORG_RUNNERS,
);

/// Makes a token that registers any number of runners for an hour.
pub static REGISTRATION_TOKEN: Scoped = Scoped {
    repo: answered(post(
        "actions/create-registration-token-for-repo",
        "/repos/{owner}/{repo}/actions/runners/registration-token",
        201,
        REPO_RUNNERS,
    )),
    org: answered(post(
        "actions/create-registration-token-for-org",
        "/orgs/{org}/actions/runners/registration-token",
        201,
        ORG_RUNNERS,
    )),
};

/// Makes a token with which runners end their registrations themselves.
pub static REMOVE_TOKEN: Scoped = Scoped {
    repo: answered(post(
        "actions/create-remove-token-for-repo",
        "/repos/{owner}/{repo}/actions/runners/remove-token",
        201,
        REPO_RUNNERS,
    )),
    org: answered(post(
        "actions/create-remove-token-for-org",
        "/orgs/{org}/actions/runners/remove-token",
        201,
        ORG_RUNNERS,
    )),
};

/// The runner program that this owner's runners are expected to run.
pub static DOWNLOADS: Scoped = Scoped {
    repo: get(
        "actions/list-runner-applications-for-repo",
        "/repos/{owner}/{repo}/actions/runners/downloads",
        NONE,
        REPO_RUNNERS,
    ),
    org: get("actions/list-runner-applications-for-org", "/orgs/{org}/actions/runners/downloads", NONE, ORG_RUNNERS),
};

/// Until when a version of the runner program may register and run (since September 2026, FACTS §2).
pub static DEPRECATION: Scoped = Scoped {
    repo: unpublished(get(
        "actions/runner-deprecation-for-repo",
        "/repos/{owner}/{repo}/actions/runners/deprecations/{version}",
        NONE,
        REPO_RUNNERS,
    )),
    org: unpublished(get(
        "actions/runner-deprecation-for-org",
        "/orgs/{org}/actions/runners/deprecations/{version}",
        NONE,
        ORG_RUNNERS,
    )),
};
