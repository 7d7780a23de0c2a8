//! Deliveries of a GitHub App's webhook. It is one webhook for all owners, so each scope picks its own out of one list.

use std::sync::{Arc, PoisonError};

use controller::ports::PortResult;
use fleet::ids::{Repo, Scope};

use super::{
    Client,
    deliveries::{Delivery, same},
};
use crate::{
    contract,
    fields::Fields,
    wire::{ask::Ask, refusal::unreadable},
};

/// How long the list is taken for new, milliseconds: the scopes of one sweep share it.
const LIST_GOOD_MS: u64 = 20_000;

/// The list as it was read last.
#[derive(Debug, Clone)]
pub(super) struct Recent {
    read_ms: u64,
    since_ms: u64,
    all: Arc<Vec<Delivery>>,
}

impl Client {
    /// Whether our webhook is the App's. Without a URL to compare it with, an App's is.
    pub(super) async fn app_hook_is_ours(&self) -> PortResult<bool> {
        if self.transport.tokens.app().await?.is_none() {
            return Ok(false);
        }
        let Some(ours) = self.settings.hook_url.as_deref() else { return Ok(true) };
        let look = || async {
            let answer = self.transport.send(&Ask::of(&contract::APP_HOOK, "")).await?;
            Ok(answer.text("url").is_some_and(|url| same(&url, ours)))
        };
        self.app_hook.get_or_try_init(look).await.copied()
    }

    /// The App's deliveries since a time that are about a scope.
    pub(super) async fn app_deliveries(&self, scope: &Scope, since_ms: u64) -> PortResult<Vec<Delivery>> {
        let all = self.all_app_deliveries(since_ms).await?;
        let of = |wanted: &dyn Fn(&Delivery) -> bool| {
            all.iter().filter(|one| one.at_ms >= since_ms && wanted(one)).cloned().collect()
        };
        match scope {
            Scope::Org(owner) => {
                let installation = self.transport.tokens.installation(owner).await?.map(|installation| installation.id);
                Ok(of(&|one| one.installation == installation))
            }
            Scope::Repo(repo) => {
                let id = self.repository_id(repo).await?;
                Ok(of(&|one| one.repository == Some(id)))
            }
        }
    }

    async fn all_app_deliveries(&self, since_ms: u64) -> PortResult<Arc<Vec<Delivery>>> {
        let now_ms = self.transport.github.now_ms();
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let good = |recent: &Recent| now_ms < recent.read_ms + LIST_GOOD_MS && recent.since_ms <= since_ms;
        if let Some(recent) = recent.filter(good) {
            return Ok(recent.all);
        }
        let all = Arc::new(self.deliveries(&Ask::of(&contract::LIST_APP_DELIVERIES, ""), since_ms).await?);
        self.remember(Some(Recent { read_ms: now_ms, since_ms, all: all.clone() }));
        Ok(all)
    }

    fn remember(&self, recent: Option<Recent>) {
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = recent;
    }

    /// Delivers one of the App's again; the list is another one after that.
    pub(super) async fn deliver_app_again(&self, id: u64) -> PortResult<()> {
        self.remember(None);
        let ask = Ask::of(&contract::REDELIVER_APP, "").at("delivery_id", id);
        self.transport.send(&ask).await.map(drop)
    }

    /// A repository's number, looked up by its name once.
    async fn repository_id(&self, repo: &Repo) -> PortResult<u64> {
        if let Some(id) = self.repositories.get(repo) {
            return Ok(id);
        }
        let ask = Ask::repo(&contract::READ_REPO, repo);
        let answer = self.transport.send(&ask).await?;
        let id = Fields::root(&answer.body).and_then(|body| body.number("id"));
        let id = id.map_err(|why| unreadable(ask.call, why))?;
        self.repositories.keep(repo.clone(), id);
        Ok(id)
    }
}
