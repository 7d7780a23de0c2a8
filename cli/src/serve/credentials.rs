//! What GitHub is shown, and a look at it when the daemon begins: what will be refused is told before a job needs it.
//!
//! A GitHub that cannot be reached proves nothing: the daemon goes on. It ends only if every owner refuses.

use std::sync::Arc;

use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::policy::{Owner, Policy};
use github::{AppTokens, Client, StaticToken, TokenSource};
use tracing::{error, info, warn};

use super::{
    clock::WallClock,
    plan::{NO_TOKEN, Plan},
    secrets::Credentials,
};
use crate::failure::Failure;

/// The client with the credentials of a plan.
pub(crate) fn client(plan: &Plan) -> PortResult<Arc<Client>> {
    let settings = settings(plan)?;
    let clock = Arc::new(WallClock);
    let invalid = || PortError::new(ErrorKind::Invalid, NO_TOKEN);
    let tokens: Arc<dyn TokenSource> = match plan.secrets.credentials.as_ref().ok_or_else(invalid)? {
        Credentials::Token(token) => Arc::new(StaticToken::new(token.expose())),
        Credentials::App(app) => Arc::new(AppTokens::new(app.clone(), &settings, clock.clone())?),
    };
    Client::new(settings, tokens, clock).map(Arc::new)
}

fn settings(plan: &Plan) -> PortResult<github::Settings> {
    let section = &plan.file.github;
    let roots = section.ca_file.as_ref().map(|path| {
        std::fs::read(path).map_err(|error| {
            let what = format!("cannot read {}: {error}; correct `ca_file` below [github]", path.display());
            PortError::new(ErrorKind::Invalid, what)
        })
    });
    Ok(github::Settings {
        base_url: section.api_url.clone(),
        releases_url: section.releases_url.clone().or_else(|| own_releases(&section.api_url)),
        hook_url: section.webhook_url.clone(),
        extra_roots_pem: roots.transpose()?,
        ..github::Settings::default()
    })
}

/// A GitHub of this machine has everything itself.
fn own_releases(api_url: &str) -> Option<String> {
    api_url.starts_with("http://").then(|| api_url.to_owned())
}

/// Whether it is known which webhook is ours: by its URL, or because an App has one.
pub(crate) fn know_our_webhook(plan: &Plan) -> bool {
    plan.file.github.webhook_url.is_some() || matches!(plan.secrets.credentials, Some(Credentials::App(_)))
}

/// Looks at each owner. An error if all refuse, so that nothing could be done.
pub(crate) async fn look(client: &Client, policy: &Policy) -> Result<(), Failure> {
    let mut refused = Vec::new();
    for (name, owner) in &policy.owners {
        match look_at(client, name, owner).await {
            Ok(()) => {}
            Err(Looked::Refused(why)) => refused.push(format!("{name}: {why}")),
            Err(Looked::Unknown(why)) => {
                warn!(owner = name, "the credentials cannot be looked at now: {why}");
                return Ok(());
            }
        }
    }
    if refused.len() == policy.owners.len() && !refused.is_empty() {
        let more = refused.len() - 1;
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        return Err(Failure::failed(format!("GitHub refuses to work for {}{more}", refused[0])));
    }
    for why in refused {
        error!("GitHub refuses to work for {why}; the other owners are served");
    }
    Ok(())
}

enum Looked {
    Refused(String),
    Unknown(String),
}

async fn look_at(client: &Client, name: &str, owner: &Owner) -> Result<(), Looked> {
    let first = owner.repositories.as_ref().and_then(|repos| repos.iter().next());
    let found = client.check(name, owner.organization, first).await.map_err(|error| match error.kind {
        ErrorKind::Retry | ErrorKind::RateLimited { .. } | ErrorKind::Capacity => Looked::Unknown(error.message),
        ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Conflict => {
            Looked::Refused(error.message)
        }
    })?;
    for doubt in found.doubts {
        warn!(owner = name, "{doubt}");
    }
    if let Some(missing) = found.missing.into_iter().next() {
        return Err(Looked::Refused(missing));
    }
    info!(owner = name, "GitHub accepts the credentials");
    Ok(())
}
