//! Our webhook itself: how it stands, and making it or mending it. For a person who sets up or looks after a stage; a
//! daemon only reads its deliveries.

use controller::ports::{ErrorKind, PortError, PortResult, Secret};
use fleet::ids::Scope;
use serde_json::json;

use super::{
    Client,
    deliveries::{HOOK_PAGES_MAX, JOB_EVENT, same},
};
use crate::{
    contract,
    fields::{FieldError, Fields},
    wire::{ask::Ask, refusal::unreadable},
};

/// Deliveries of one look.
const DELIVERIES_SEEN: u64 = 20;

/// How our webhook stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookState {
    /// Whether it is the App's: then what follows, but for the deliveries, is not told by GitHub and counts as good.
    pub of_app: bool,
    /// Whether GitHub sends anything.
    pub active: bool,
    /// Whether it is for `workflow_job`.
    pub hears_jobs: bool,
    /// Whether certificates are verified.
    pub verifies: bool,
    /// Its last deliveries of jobs, newest first: when, and the status of the answer; 0 if there was none.
    pub deliveries: Vec<(u64, u64)>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookSet {
    /// There was none with this URL.
    Made,
    /// There was one; it is as it should be now.
    Mended,
}

/// A webhook of a list.
struct Listed {
    id: u64,
    url: Option<String>,
    active: bool,
    hears_jobs: bool,
    verifies: bool,
}

impl Client {
    /// How the webhook stands that points at our URL, the App's or the scope's own; `None`: there is none.
    ///
    /// # Errors
    /// As GitHub answers; `NotFound` also where the scope is not there, or not seen.
    pub async fn hook_state(&self, scope: &Scope) -> PortResult<Option<HookState>> {
        if self.app_hook_is_ours().await? {
            let deliveries = self.last_deliveries(Ask::of(&contract::LIST_APP_DELIVERIES, "")).await?;
            return Ok(Some(HookState { of_app: true, active: true, hears_jobs: true, verifies: true, deliveries }));
        }
        let Some(ours) = self.our_hook(scope).await? else { return Ok(None) };
        let ask = Ask::scope(contract::LIST_DELIVERIES.of(scope), scope).at("hook_id", ours.id);
        let Listed { active, hears_jobs, verifies, .. } = ours;
        let deliveries = self.last_deliveries(ask).await?;
        Ok(Some(HookState { of_app: false, active, hears_jobs, verifies, deliveries }))
    }

    /// Makes a webhook of the scope at our URL, or gives the one that is there this secret and what else it should have.
    /// With a GitHub App it is the App's webhook, whatever the scope.
    ///
    /// # Errors
    /// As GitHub refuses: `Denied` names the permission. `Invalid`: our URL is not known.
    pub async fn set_hook(&self, scope: &Scope, secret: &Secret) -> PortResult<HookSet> {
        let url = self.settings.hook_url.as_deref().ok_or_else(|| {
            PortError::new(ErrorKind::Invalid, "where webhooks are to go is not known: give their URL")
        })?;
        let config = json!({"url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret.expose()});
        if self.transport.tokens.app().await?.is_some() {
            self.transport.send(&Ask::of(&contract::SET_APP_HOOK, "").json(config)).await?;
            return Ok(HookSet::Mended);
        }
        let Some(ours) = self.our_hook(scope).await? else {
            let hook = json!({"name": "web", "active": true, "events": [JOB_EVENT], "config": config});
            self.transport.send(&Ask::scope(contract::CREATE_HOOK.of(scope), scope).json(hook)).await?;
            return Ok(HookSet::Made);
        };
        let hook = json!({"active": true, "events": [JOB_EVENT], "config": config});
        let ask = Ask::scope(contract::UPDATE_HOOK.of(scope), scope).at("hook_id", ours.id).json(hook);
        self.transport.send(&ask).await?;
        Ok(HookSet::Mended)
    }

    async fn our_hook(&self, scope: &Scope) -> PortResult<Option<Listed>> {
        let Some(url) = self.settings.hook_url.as_deref() else { return Ok(None) };
        let ask = Ask::scope(contract::LIST_HOOKS.of(scope), scope);
        let hooks = self.transport.list(&ask, None, HOOK_PAGES_MAX, listed).await?.read_so_far(&ask);
        Ok(hooks.into_iter().find(|hook| hook.url.as_deref().is_some_and(|given| same(given, url))))
    }

    async fn last_deliveries(&self, ask: Ask<'_>) -> PortResult<Vec<(u64, u64)>> {
        let ask = ask.with("per_page", DELIVERIES_SEEN);
        let answer = self.transport.send(&ask).await?;
        let rows = Fields::elements(&answer.body, None);
        let rows = rows.and_then(|rows| rows.iter().map(super::deliveries::delivery).collect::<Result<Vec<_>, _>>());
        let rows = rows.map_err(|why| unreadable(ask.call, why))?;
        Ok(rows.iter().filter(|row| row.is_job()).map(|row| (row.at_ms, row.status_code())).collect())
    }
}

fn listed(row: &Fields<'_>) -> Result<Listed, FieldError> {
    let config = row.optional_object("config")?;
    let text = |name: &str| config.as_ref().map(|config| config.optional_text(name)).transpose().map(Option::flatten);
    let events = row.texts("events")?;
    Ok(Listed {
        id: row.number("id")?,
        url: text("url")?.map(str::to_owned),
        active: row.optional_flag("active")?.unwrap_or(true),
        hears_jobs: events.iter().any(|event| event == JOB_EVENT || event == "*"),
        verifies: !matches!(text("insecure_ssl")?, Some("1")),
    })
}
