//! Registrations: make, list, read, delete; and the tokens with which `config.sh` does that.

use controller::ports::{ErrorKind, JitConfig, JitRequest, PortResult, RegistrationToken, Secret};
use fleet::{
    event::Registration,
    ids::{RegistrationId, Scope},
};
use serde_json::json;

use super::{Client, found};
use crate::{
    contract,
    fields::{FieldError, Fields},
    manifest::web_url,
    time,
    wire::{ask::Ask, refusal::unreadable},
};

/// Folder in which a runner works, relative to its own.
const WORK_FOLDER: &str = "_work";

/// 10 000 runners fit into a group (FACTS §2); an organisation may have some groups.
const RUNNER_PAGES_MAX: u32 = 300;

/// A token with which `config.sh` ends registrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerToken {
    /// It. Good for any number of runners of its scope.
    pub token: Secret,
    /// Until when, milliseconds since 1970.
    pub expires_ms: u64,
}

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
                self.forget_group(scope, request.group.as_deref());
            }
        })?;
        Fields::root(&answer.body).and_then(|body| jit_config(&body)).map_err(|why| unreadable(ask.call, why))
    }

    /// Makes a token that registers runners with a scope.
    pub(super) async fn make_registration_token(&self, scope: &Scope) -> PortResult<RegistrationToken> {
        let made = self.make_token(Ask::scope(contract::REGISTRATION_TOKEN.of(scope), scope)).await?;
        let url = format!("{}/{scope}", web_url(&self.settings.base_url)?.trim_end_matches('/'));
        Ok(RegistrationToken { url, token: made.token, expires_ms: made.expires_ms })
    }

    /// Makes a token with which runners end their registrations with a scope.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn remove_token(&self, scope: &Scope) -> PortResult<RunnerToken> {
        self.make_token(Ask::scope(contract::REMOVE_TOKEN.of(scope), scope)).await
    }

    async fn make_token(&self, ask: Ask<'_>) -> PortResult<RunnerToken> {
        let answer = self.transport.send(&ask).await?;
        Fields::root(&answer.body).and_then(|body| runner_token(&body)).map_err(|why| unreadable(ask.call, why))
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
}

fn jit_config(body: &Fields<'_>) -> Result<JitConfig, FieldError> {
    let id = RegistrationId(body.object("runner")?.number("id")?);
    Ok(JitConfig { id, encoded: Secret::new(body.text("encoded_jit_config")?) })
}

fn runner_token(body: &Fields<'_>) -> Result<RunnerToken, FieldError> {
    let expires = time::parse_ms(body.text("expires_at")?).ok_or_else(|| body.wrong("expires_at", "a time"))?;
    Ok(RunnerToken { token: Secret::new(body.text("token")?), expires_ms: expires })
}

fn registration(runner: &Fields<'_>) -> Result<Registration, FieldError> {
    Ok(Registration {
        id: RegistrationId(runner.number("id")?),
        name: runner.text("name")?.into(),
        online: runner.text("status")?.eq_ignore_ascii_case("online"),
        busy: runner.flag("busy")?,
    })
}
