//! Webhooks and their deliveries: of a repository, of an organisation, of a GitHub App.

use super::{APP, Call, NONE, ORG_HOOKS, PAGE, REPO_HOOKS, Scoped, as_app, get, patch, post};

const DELIVERIES: &[&str] = &["cursor", "per_page"];

/// Webhooks, to find ours.
pub static LIST_HOOKS: Scoped = Scoped {
    repo: get("repos/list-webhooks", "/repos/{owner}/{repo}/hooks", PAGE, REPO_HOOKS),
    org: get("orgs/list-webhooks", "/orgs/{org}/hooks", PAGE, ORG_HOOKS),
};

/// What a new webhook is told.
const NEW_HOOK: &[&str] = &["active", "config", "events", "name"];

/// What one that is there is told.
const OLD_HOOK: &[&str] = &["active", "config", "events"];

/// Makes a webhook.
pub static CREATE_HOOK: Scoped = Scoped {
    repo: Call { body: NEW_HOOK, ..post("repos/create-webhook", "/repos/{owner}/{repo}/hooks", 201, REPO_HOOKS) },
    org: Call { body: NEW_HOOK, ..post("orgs/create-webhook", "/orgs/{org}/hooks", 201, ORG_HOOKS) },
};

/// Gives a webhook another secret, and what else it should have.
pub static UPDATE_HOOK: Scoped = Scoped {
    repo: Call { body: OLD_HOOK, ..patch("repos/update-webhook", "/repos/{owner}/{repo}/hooks/{hook_id}", REPO_HOOKS) },
    org: Call { body: OLD_HOOK, ..patch("orgs/update-webhook", "/orgs/{org}/hooks/{hook_id}", ORG_HOOKS) },
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

/// Where the App's webhook points.
pub static APP_HOOK: Call = as_app(get("apps/get-webhook-config-for-app", "/app/hook/config", NONE, APP));

/// Points the App's webhook elsewhere, and gives it another secret.
pub static SET_APP_HOOK: Call = as_app(Call {
    body: &["content_type", "insecure_ssl", "secret", "url"],
    ..patch("apps/update-webhook-config-for-app", "/app/hook/config", APP)
});

/// Deliveries of the App's webhook to all its installations, newest first.
pub static LIST_APP_DELIVERIES: Call =
    as_app(get("apps/list-webhook-deliveries", "/app/hook/deliveries", DELIVERIES, APP));

/// Delivers one of the App's again.
pub static REDELIVER_APP: Call =
    as_app(post("apps/redeliver-webhook-delivery", "/app/hook/deliveries/{delivery_id}/attempts", 202, APP));
