//! Registrations: make, list, read, delete.

use controller::ports::{ErrorKind, JitConfig, JitRequest, PortError, PortResult, Secret};
use fleet::{
    event::Registration,
    ids::{RegistrationId, Scope},
};
use serde_json::json;

use super::{Client, found};
use crate::{
    contract,
    fields::{FieldError, Fields},
    wire::{ask::Ask, refusal::unreadable},
};

/// Folder in which a runner works, relative to its own.
const WORK_FOLDER: &str = "_work";

/// Id of the default runner group; a repository has no other.
const DEFAULT_GROUP: u64 = 1;

/// 10 000 runners fit into a group (FACTS §2); an organisation may have some groups.
const RUNNER_PAGES_MAX: u32 = 300;

/// Runner groups that are looked through for a name.
const GROUP_PAGES_MAX: u32 = 10;

impl Client {
    /// Registers a runner. Its group is looked up by name once; if GitHub does not find it any more, again next time.
    pub(super) async fn make_jit_config(&self, request: &JitRequest) -> PortResult<JitConfig> {
        let scope = &request.pool.scope;
        let group = self.group_id(scope, request.group.as_deref()).await?;
        let labels: Vec<&str> = request.pool.labels.iter().collect();
        let ask = Ask::scope(contract::JIT_CONFIG.of(scope), scope).json(json!({
            "name": request.name,
            "runner_group_id": group,
            "labels": labels,
            "work_folder": WORK_FOLDER,
        }));
        let answer = self.transport.send(&ask).await.inspect_err(|error| {
            if error.kind == ErrorKind::NotFound {
                self.groups.forget(&group_key(scope, request.group.as_deref()));
            }
        })?;
        Fields::root(&answer.body).and_then(|body| jit_config(&body)).map_err(|why| unreadable(ask.call, why))
    }

    /// All registrations of a scope.
    pub(super) async fn list_runners(&self, scope: &Scope) -> PortResult<Vec<Registration>> {
        let ask = Ask::scope(contract::LIST_RUNNERS.of(scope), scope);
        self.transport.list(&ask, Some("runners"), RUNNER_PAGES_MAX, registration).await?.complete(&ask)
    }

    /// The registration of this very name. GitHub compares names without case.
    pub(super) async fn find_runner(&self, scope: &Scope, name: &str) -> PortResult<Option<Registration>> {
        let ask = Ask::scope(contract::LIST_RUNNERS.of(scope), scope).with("name", name);
        let all = self.transport.list(&ask, Some("runners"), RUNNER_PAGES_MAX, registration).await?.complete(&ask)?;
        Ok(all.into_iter().find(|runner| runner.name.eq_ignore_ascii_case(name)))
    }

    /// The registration of this id.
    pub(super) async fn read_runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<Option<Registration>> {
        let ask = Ask::scope(contract::READ_RUNNER.of(scope), scope).at("runner_id", id);
        let Some(answer) = found(self.transport.send(&ask).await)? else { return Ok(None) };
        let runner = Fields::root(&answer.body).and_then(|body| registration(&body));
        runner.map(Some).map_err(|why| unreadable(ask.call, why))
    }

    /// Deletes a registration; one that is gone is fine.
    pub(super) async fn end_runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<()> {
        let ask = Ask::scope(contract::DELETE_RUNNER.of(scope), scope).at("runner_id", id);
        found(self.transport.send(&ask).await).map(drop)
    }

    async fn group_id(&self, scope: &Scope, name: Option<&str>) -> PortResult<u64> {
        let (Scope::Org(org), Some(name)) = (scope, name) else { return Ok(DEFAULT_GROUP) };
        let key = group_key(scope, Some(name));
        if let Some(id) = self.groups.get(&key) {
            return Ok(id);
        }
        let ask = Ask::scope(&contract::LIST_GROUPS, scope);
        let read = |group: &Fields<'_>| Ok((group.number("id")?, group.text("name")?.to_owned()));
        let groups = self.transport.list(&ask, Some("runner_groups"), GROUP_PAGES_MAX, read).await?;
        let groups = groups.read_so_far(&ask);
        let id = groups.iter().find(|(_, given)| given.eq_ignore_ascii_case(name)).map(|(id, _)| *id);
        let id = id.ok_or_else(|| {
            let message =
                format!("the organisation {org} has no runner group `{name}`: create it, or name another one");
            PortError::new(ErrorKind::NotFound, message)
        })?;
        self.groups.keep(key, id);
        Ok(id)
    }
}

fn group_key(scope: &Scope, name: Option<&str>) -> (Scope, String) {
    (scope.clone(), name.unwrap_or_default().to_ascii_lowercase())
}

fn jit_config(body: &Fields<'_>) -> Result<JitConfig, FieldError> {
    let id = RegistrationId(body.object("runner")?.number("id")?);
    Ok(JitConfig { id, encoded: Secret::new(body.text("encoded_jit_config")?) })
}

fn registration(runner: &Fields<'_>) -> Result<Registration, FieldError> {
    Ok(Registration {
        id: RegistrationId(runner.number("id")?),
        name: runner.text("name")?.into(),
        online: runner.text("status")?.eq_ignore_ascii_case("online"),
        busy: runner.flag("busy")?,
    })
}
