//! GitHub as the functions of a stage ask it: with the stage's own credential, about the stage's own webhook.

use std::sync::Arc;

use aws::secrets::{API_TOKEN, APP_KEY, SecretKind, Vault};
use controller::ports::{ErrorKind, GitHub as _, PortError, PortResult, Secret};
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

/// Sets the webhook of each owner, one after the other; what was done at each, or why not.
pub(super) async fn set_hooks(
    stage: &Stage,
    client: &Client,
    policy: &Policy,
) -> PortResult<Vec<Result<String, String>>> {
    let kind = aws::secrets::WEBHOOK_SECRET;
    let secrets = Vault::new(stage.cloud()).read(&kind.path(stage.name()), kind).await?;
    let secret = secrets.first().ok_or_else(|| PortError::new(ErrorKind::Invalid, "the webhook's secret is empty"))?;
    let mut told = Vec::new();
    for (name, owner) in &policy.owners {
        let scopes = match hooked(name, owner) {
            Some(scopes) => Ok(scopes),
            None => client.repositories(name).await.map(|repos| repos.into_iter().map(Scope::Repo).collect()),
        };
        match scopes {
            Ok(scopes) => {
                for scope in scopes {
                    told.push(set_hook(client, &scope, secret).await);
                }
            }
            Err(error) => told.push(Err(format!("the webhooks of {name} are not set: {error}"))),
        }
    }
    Ok(told)
}

async fn set_hook(client: &Client, scope: &Scope, secret: &Secret) -> Result<String, String> {
    match client.set_hook(scope, secret).await {
        Ok(HookSet::Made) => Ok(format!("the webhook of {scope} is made")),
        Ok(HookSet::Mended) => Ok(format!("the webhook of {scope} is set to this address and secret")),
        Err(error) => Err(format!("the webhook of {scope} is not set: {error}")),
    }
}
