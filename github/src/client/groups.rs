//! Runner groups of an organisation: one by its name, and which may serve a repository.

use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::ids::{Repo, Scope};

use super::Client;
use crate::{
    contract,
    fields::{FieldError, Fields},
    wire::ask::Ask,
};

/// Id of the default runner group; a repository has no other.
const DEFAULT_GROUP: u64 = 1;

/// Runner groups that are looked through.
const GROUP_PAGES_MAX: u32 = 10;

/// A runner group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerGroup {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether it is the organisation's default one.
    pub default: bool,
    /// Whether its runners may serve public repositories.
    pub allows_public: bool,
    /// Whether only some workflows may use it.
    pub restricted_to_workflows: bool,
}

impl Client {
    /// The groups of an organisation; with `visible_to` those that may serve that repository of its.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn runner_groups(&self, org: &str, visible_to: Option<&Repo>) -> PortResult<Vec<RunnerGroup>> {
        let mut ask = Ask::of(&contract::LIST_GROUPS, org).at("org", org);
        if let Some(repo) = visible_to {
            ask = ask.with("visible_to_repository", repo.name());
        }
        let groups = self.transport.list(&ask, Some("runner_groups"), GROUP_PAGES_MAX, group).await?;
        Ok(groups.read_so_far(&ask))
    }

    /// The id of a group, looked up by its name once.
    pub(super) async fn group_id(&self, scope: &Scope, name: Option<&str>) -> PortResult<u64> {
        let (Scope::Org(org), Some(name)) = (scope, name) else { return Ok(DEFAULT_GROUP) };
        let key = (scope.clone(), name.to_ascii_lowercase());
        if let Some(id) = self.groups.get(&key) {
            return Ok(id);
        }
        let groups = self.runner_groups(org, None).await?;
        let found = groups.iter().find(|group| group.name.eq_ignore_ascii_case(name)).map(|group| group.id);
        let id = found.ok_or_else(|| {
            let message =
                format!("the organisation {org} has no runner group `{name}`: create it, or name another one");
            PortError::new(ErrorKind::NotFound, message)
        })?;
        self.groups.keep(key, id);
        Ok(id)
    }

    /// The group may be another one now: look it up next time.
    pub(super) fn forget_group(&self, scope: &Scope, name: Option<&str>) {
        self.groups.forget(&(scope.clone(), name.unwrap_or_default().to_ascii_lowercase()));
    }
}

fn group(row: &Fields<'_>) -> Result<RunnerGroup, FieldError> {
    let flag = |name| Ok(row.optional_flag(name)?.unwrap_or(false));
    Ok(RunnerGroup {
        id: row.number("id")?,
        name: row.text("name")?.to_owned(),
        default: flag("default")?,
        allows_public: flag("allows_public_repositories")?,
        restricted_to_workflows: flag("restricted_to_workflows")?,
    })
}
