//! Every request that is made of GitHub, in one table: the client builds its requests from it, the tests compare it
//! with GitHub's published description, and whoever imitates GitHub reads here what must be answered.
//!
//! Only what is asked, never how an answer is read. The rows stand in one file a subject; [`CALLS`] is all of them.

mod apps;
mod general;
mod hooks;
mod jobs;
mod runners;

use controller::ports::ErrorKind;
use fleet::ids::Scope;

pub use self::{apps::*, general::*, hooks::*, jobs::*, runners::*};

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Does something, and not the same again when repeated.
    Post,
    /// Changes what is there: the same again when repeated.
    Patch,
    /// Deletes.
    Delete,
}

/// What a request is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// The token for the owner whom it is about.
    Token,
    /// A GitHub App's own word: a JWT.
    App,
    /// It is public: the token if it is asked where the token is known, for its larger rate limit.
    Public,
    /// Nothing.
    None,
}

/// A request, but for its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Operation id in GitHub's OpenAPI description.
    pub operation: &'static str,
    /// Whether that description has it yet.
    pub published: bool,
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
    /// Whether the answer is read.
    pub answered: bool,
    /// What a 422 means for this one.
    pub unprocessable: ErrorKind,
    /// What it is made with.
    pub credential: Credential,
    /// What that must be allowed to, for a person.
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

const REPO_RUNNERS: &str = "`Administration: write` on the repository (classic token: `repo`)";
const ORG_RUNNERS: &str = "`Self-hosted runners: write` on the organisation (classic token: `admin:org`)";
const ACTIONS_READ: &str = "`Actions: read` on the repository (classic token: `repo`)";
const ACTIONS_WRITE: &str = "`Actions: write` on the repository (classic token: `repo`)";
const METADATA: &str = "`Metadata: read` on the owner's repositories (classic token: `repo`)";
const REPO_HOOKS: &str = "`Webhooks: write` on the repository (classic token: `admin:repo_hook`)";
const ORG_HOOKS: &str = "`Webhooks: write` on the organisation (classic token: `admin:org_hook`)";
const APP: &str = "the App's id and one of its private keys";

const fn get(operation: &'static str, path: &'static str, query: &'static [&'static str], needs: &'static str) -> Call {
    Call {
        operation,
        published: true,
        method: Method::Get,
        path,
        query,
        body: NONE,
        success: 200,
        answered: true,
        unprocessable: ErrorKind::Invalid,
        credential: Credential::Token,
        needs,
        conditional: false,
    }
}

const fn post(operation: &'static str, path: &'static str, success: u16, needs: &'static str) -> Call {
    Call { method: Method::Post, success, answered: false, ..get(operation, path, NONE, needs) }
}

const fn patch(operation: &'static str, path: &'static str, needs: &'static str) -> Call {
    Call { method: Method::Patch, answered: false, ..get(operation, path, NONE, needs) }
}

/// 422: it executes a job.
const fn delete(operation: &'static str, path: &'static str, needs: &'static str) -> Call {
    Call {
        method: Method::Delete,
        success: 204,
        answered: false,
        unprocessable: ErrorKind::Conflict,
        ..get(operation, path, NONE, needs)
    }
}

const fn answered(call: Call) -> Call {
    Call { answered: true, ..call }
}

const fn conditional(call: Call) -> Call {
    Call { conditional: true, ..call }
}

const fn as_app(call: Call) -> Call {
    Call { credential: Credential::App, ..call }
}

const fn unpublished(call: Call) -> Call {
    Call { published: false, ..call }
}

/// The whole table.
pub static CALLS: [&Call; 48] = [
    &JIT_CONFIG.repo,
    &JIT_CONFIG.org,
    &LIST_RUNNERS.repo,
    &LIST_RUNNERS.org,
    &READ_RUNNER.repo,
    &READ_RUNNER.org,
    &DELETE_RUNNER.repo,
    &DELETE_RUNNER.org,
    &LIST_GROUPS,
    &REGISTRATION_TOKEN.repo,
    &REGISTRATION_TOKEN.org,
    &REMOVE_TOKEN.repo,
    &REMOVE_TOKEN.org,
    &DOWNLOADS.repo,
    &DOWNLOADS.org,
    &DEPRECATION.repo,
    &DEPRECATION.org,
    &READ_JOB,
    &LIST_RUNS,
    &LIST_JOBS,
    &RERUN_JOB,
    &LIST_ORG_REPOS,
    &LIST_OWN_REPOS,
    &LIST_USER_REPOS,
    &LIST_INSTALLATION_REPOS,
    &READ_REPO,
    &LIST_HOOKS.repo,
    &LIST_HOOKS.org,
    &LIST_DELIVERIES.repo,
    &LIST_DELIVERIES.org,
    &REDELIVER.repo,
    &REDELIVER.org,
    &CREATE_HOOK.repo,
    &CREATE_HOOK.org,
    &UPDATE_HOOK.repo,
    &UPDATE_HOOK.org,
    &APP_HOOK,
    &SET_APP_HOOK,
    &LIST_APP_DELIVERIES,
    &REDELIVER_APP,
    &READ_APP,
    &ORG_INSTALLATION,
    &USER_INSTALLATION,
    &INSTALLATION_TOKEN,
    &CONVERT_MANIFEST,
    &LATEST_RELEASE,
    &TAGGED_RELEASE,
    &META,
];
