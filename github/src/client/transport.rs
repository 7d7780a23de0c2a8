//! Sending with the right credential and the ETag; and 401 → the token is read again, once.
//!
//! Nothing is repeated here for any other reason. A POST is never repeated after an unknown result:
//! `generate-jitconfig` would register twice. The caller has the budget and the backoff.

use std::sync::{Arc, Mutex, PoisonError};

use controller::ports::{ErrorKind, PortError, PortResult, Secret};
use reqwest::{Url, header::ETAG};

use super::etags::{Etags, Kept};
use crate::{
    contract::Credential,
    token::TokenSource,
    wire::{Answer, Raw, Wire, ask::Ask},
};

/// What sends requests.
pub(super) struct Transport {
    /// The server that our token is for.
    pub(super) github: Wire,
    /// The server that has the public releases, if that is another one.
    pub(super) releases: Option<Wire>,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) etags: Mutex<Etags>,
}

impl std::fmt::Debug for Transport {
    /// The addresses only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("github", &self.github).finish_non_exhaustive()
    }
}

impl Transport {
    /// Makes a request. A 401 says that nothing was done, so that even a POST may be made again with another token.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> PortResult<Answer> {
        let wire = self.wire(ask);
        let url = wire.url(ask)?;
        let token = self.credential(ask).await?;
        let raw = self.once(wire, ask, &url, token.as_ref()).await?;
        if raw.status == 401
            && let Some(refused) = &token
            && let Some(token) = self.renewed(ask, refused).await?
        {
            let raw = self.once(wire, ask, &url, Some(&token)).await?;
            return wire.judge(ask, raw, Some(&token));
        }
        wire.judge(ask, raw, token.as_ref())
    }

    /// Makes a reading request whose ETag the caller keeps; `None`: the answer is what it was.
    pub(super) async fn send_if_changed(&self, ask: &Ask<'_>, etag: Option<&str>) -> PortResult<Option<Answer>> {
        let wire = self.wire(ask);
        let url = wire.url(ask)?;
        let mut token = self.credential(ask).await?;
        let mut raw = wire.exchange(ask, url.clone(), token.as_ref(), etag).await?;
        if raw.status == 401
            && let Some(refused) = &token
            && let Some(renewed) = self.renewed(ask, refused).await?
        {
            raw = wire.exchange(ask, url, Some(&renewed), etag).await?;
            token = Some(renewed);
        }
        if raw.status == 304 { Ok(None) } else { wire.judge(ask, raw, token.as_ref()).map(Some) }
    }

    fn wire(&self, ask: &Ask<'_>) -> &Wire {
        let elsewhere = self.releases.as_ref().filter(|_| ask.call.credential == Credential::Public);
        elsewhere.unwrap_or(&self.github)
    }

    async fn credential(&self, ask: &Ask<'_>) -> PortResult<Option<Secret>> {
        match ask.call.credential {
            Credential::None => Ok(None),
            Credential::Public if self.releases.is_some() => Ok(None),
            Credential::Public | Credential::Token => self.tokens.token(ask.owner).await.map(Some),
            Credential::App => self.tokens.app().await?.map(Some).ok_or_else(|| {
                let what = format!("{} is asked by GitHub Apps only: give an App's id and key", ask.call.operation);
                PortError::new(ErrorKind::Denied, what)
            }),
        }
    }

    async fn renewed(&self, ask: &Ask<'_>, refused: &Secret) -> PortResult<Option<Secret>> {
        match ask.call.credential {
            Credential::Token | Credential::Public => self.tokens.renew(ask.owner, refused).await,
            Credential::App => self.tokens.renew_app().await,
            Credential::None => Ok(None),
        }
    }

    async fn once(&self, wire: &Wire, ask: &Ask<'_>, url: &Url, token: Option<&Secret>) -> PortResult<Raw> {
        let key = || (ask.owner.to_ascii_lowercase(), url.to_string());
        let kept = ask.call.conditional.then(|| self.with_etags(|etags| etags.get(&key()))).flatten();
        let etag = kept.as_ref().map(|kept| kept.etag.as_str());
        let raw = wire.exchange(ask, url.clone(), token, etag).await?;
        if let Some(kept) = kept
            && raw.status == 304
        {
            return Ok(Raw { status: ask.call.success, body: kept.body, unchanged: true, ..raw });
        }
        let etag = raw.headers.get(ETAG).and_then(|etag| etag.to_str().ok());
        if let Some(etag) = etag.filter(|_| ask.call.conditional && raw.status == ask.call.success) {
            let kept = Kept { etag: etag.to_owned(), body: raw.body.clone() };
            self.with_etags(|etags| etags.keep(key(), kept));
        }
        Ok(raw)
    }

    fn with_etags<T>(&self, work: impl FnOnce(&mut Etags) -> T) -> T {
        work(&mut self.etags.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
