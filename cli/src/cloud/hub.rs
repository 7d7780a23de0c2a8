//! GitHub as the functions of a stage ask it: with the stage's own credential, about the stage's own webhook.

use std::sync::Arc;

use aws::secrets::{API_TOKEN, APP_KEY, SecretKind, Vault};
use controller::ports::{ErrorKind, GitHub as _, PortError, PortResult};
use fleet::{
    ids::Scope,
    policy::{Owner, Policy},
};
use github::{App, AppKey, AppTokens, Client, HookSet, Settings, StaticToken, TokenSource};

use super::stage::Stage;
use crate::serve::WallClock;

/// The client.
pub(super) async fn client(stage: &Stage) -> PortResult<Client> {
    let operator = &stage.site.deployment.operator;
    let settings = Settings {
        base_url: operator.github_api_url.clone(),
        hook_url: Some(stage.output("WebhookUrl")?.to_owned()),
        ..Settings::default()
    };
    let clock = Arc::new(WallClock);
    let kind = credential(stage);
    let secrets = Vault::new(stage.cloud()).read(&kind.path(stage.name()), kind).await?;
    let secret = secrets.first().ok_or_else(|| PortError::new(ErrorKind::Invalid, "the secret is empty"))?;
    let tokens: Arc<dyn TokenSource> = match operator.app_id {
        None => Arc::new(StaticToken::new(secret.expose())),
        Some(id) => {
            let key = AppKey::from_pem(secret.expose())
                .map_err(|error| PortError::new(ErrorKind::Invalid, format!("{}: {error}", kind.name)))?;
            let app = App { id: id.to_string(), key };
            Arc::new(AppTokens::new(app, &settings, clock.clone())?)
        }
    };
    Client::new(settings, tokens, clock)
}

/// What the stage shows GitHub.
pub(super) fn credential(stage: &Stage) -> SecretKind {
    if stage.site.deployment.operator.app_id.is_some() { APP_KEY } else { API_TOKEN }
}

/// Where webhooks of an owner are set: at the organisation, or at each repository that is named; `None`: none is named.
pub(super) fn hooked(name: &str, owner: &Owner) -> Option<Vec<Scope>> {
    if owner.organization {
        return Some(vec![Scope::Org(name.into())]);
    }
    Some(owner.repositories.as_ref()?.iter().cloned().map(Scope::Repo).collect())
}

/// Sets the webhook of each owner; what was done, a line each.
pub(super) async fn set_hooks(stage: &Stage, client: &Client, policy: &Policy) -> PortResult<Vec<String>> {
    let kind = aws::secrets::WEBHOOK_SECRET;
    let secrets = Vault::new(stage.cloud()).read(&kind.path(stage.name()), kind).await?;
    let secret = secrets.first().ok_or_else(|| PortError::new(ErrorKind::Invalid, "the webhook's secret is empty"))?;
    let mut lines = Vec::new();
    for (name, owner) in &policy.owners {
        let scopes = match hooked(name, owner) {
            Some(scopes) => scopes,
            None => client.repositories(name).await?.into_iter().map(Scope::Repo).collect(),
        };
        for scope in scopes {
            let done = match client.set_hook(&scope, secret).await? {
                HookSet::Made => "made",
                HookSet::Mended => "set to this address and secret",
            };
            lines.push(format!("the webhook of {scope} is {done}"));
        }
    }
    Ok(lines)
}
