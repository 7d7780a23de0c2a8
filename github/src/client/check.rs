//! A look at the credentials for one owner, before anything depends on them: may they do what will be asked of them?
//!
//! Reading only, a few requests. A right to write shows itself only with a GitHub App, whose permissions can be read.

use controller::ports::{ErrorKind, PortResult};
use fleet::ids::{Repo, Scope};

use super::Client;
use crate::{
    app::Installation,
    contract,
    wire::{
        Answer,
        ask::Ask,
        refusal::{CLOCKS_APART_MS, clocks_apart},
    },
};

/// What an App needs: the permission as GitHub calls it on the wire and on its pages, and the level.
const RUNNERS_OF_ORG: (&str, &str, &str) = ("organization_self_hosted_runners", "Self-hosted runners", "write");
const RUNNERS_OF_REPO: (&str, &str, &str) = ("administration", "Administration", "write");
const READ_ACTIONS: (&str, &str, &str) = ("actions", "Actions", "read");

/// What is wrong though GitHub answered, in words that say what to do. Empty: nothing that can be seen by reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What will be refused.
    pub missing: Vec<String>,
    /// What will work, but not as meant.
    pub doubts: Vec<String>,
}

impl Client {
    /// Looks whether the credentials for an owner do what will be asked of them: at its organisation's runners, or at
    /// those of one repository, the first that is seen unless one is given.
    ///
    /// # Errors
    /// As GitHub refuses; `Retry` or `RateLimited` if it cannot be told now.
    pub async fn check(&self, owner: &str, organization: bool, repo: Option<&Repo>) -> PortResult<Checked> {
        let mut found = Checked::default();
        let installation = self.transport.tokens.installation(owner).await?;
        if let Some(installation) = &installation {
            let runners = if organization { RUNNERS_OF_ORG } else { RUNNERS_OF_REPO };
            found.missing.extend(lacking(owner, installation, &[runners, READ_ACTIONS]));
            if !found.missing.is_empty() {
                return Ok(found);
            }
        }
        if organization {
            // First, because it tells a wrong name of an organisation best.
            found.doubts.extend(self.runners_of(&Scope::Org(owner.into())).await?);
        }
        let repo = match repo {
            Some(repo) => Some(repo.clone()),
            None => self.list_repositories(owner).await?.into_iter().next(),
        };
        if repo.is_none() {
            found.doubts.push(unseen(owner, installation.as_deref()));
        }
        if let Some(repo) = repo {
            if !organization {
                found.doubts.extend(self.runners_of(&Scope::Repo(repo.clone())).await?);
            }
            self.first(Ask::repo(&contract::LIST_RUNS, &repo)).await?;
        }
        Ok(found)
    }

    /// Looks at the runners that are registered there; a doubt about the clocks.
    async fn runners_of(&self, scope: &Scope) -> PortResult<Option<String>> {
        let answer = self.first(Ask::scope(contract::LIST_RUNNERS.of(scope), scope)).await?;
        Ok(self.clock(&answer))
    }

    async fn first(&self, ask: Ask<'_>) -> PortResult<Answer> {
        let seen = self.transport.send(&ask.with("per_page", 1)).await;
        // At the start "no such thing" is a wrong name or a missing right, never the end of something.
        seen.map_err(|mut error| {
            if error.kind == ErrorKind::NotFound {
                error.kind = ErrorKind::Denied;
            }
            error
        })
    }

    fn clock(&self, answer: &Answer) -> Option<String> {
        let ahead_ms = answer.clock_ahead_ms(self.transport.github.now_ms())?;
        (ahead_ms.abs() >= CLOCKS_APART_MS).then(|| clocks_apart(ahead_ms))
    }
}

fn unseen(owner: &str, installation: Option<&Installation>) -> String {
    match installation.and_then(|installation| installation.page.as_deref()) {
        Some(page) => format!("the GitHub App sees no repository of {owner}: choose some at {page}"),
        None => format!("no repository of {owner} is seen with this token: it needs `Metadata: read` on some"),
    }
}

fn lacking(owner: &str, installation: &Installation, needed: &[(&str, &str, &str)]) -> Option<String> {
    let has = |name: &str| installation.permissions.get(name).map_or("no access", String::as_str);
    let enough = |name: &str, level: &str| matches!((has(name), level), ("write" | "admin", _) | ("read", "read"));
    let lacking = needed.iter().filter(|(name, _, level)| !enough(name, level));
    let list: Vec<_> = lacking.map(|(name, title, level)| format!("`{title}: {level}` ({})", has(name))).collect();
    let page = installation.page.as_deref().unwrap_or("the installation's page");
    (!list.is_empty()).then(|| {
        let list = list.join(" and ");
        format!("the GitHub App lacks {list} on {owner}: add it on the App's page, then accept it at {page}")
    })
}
