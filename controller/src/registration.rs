//! Registration tokens: one a scope, made when it is needed and used for some minutes.
//!
//! They live in memory alone, so each process makes its own: a token is never a row.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use fleet::ids::Scope;

use crate::{
    ports::{ErrorKind, PortError, PortResult, RegistrationToken},
    service::Controller,
    settings::{REGISTRATION_TOKEN_MS, WRITE_POINTS},
};

/// A scope's token and until when it is used. Whoever holds the lock is making one; the others wait for it.
type Slot = Arc<tokio::sync::Mutex<Option<(RegistrationToken, u64)>>>;

/// The tokens in use.
#[derive(Default)]
pub(crate) struct RegistrationTokens(Mutex<BTreeMap<Scope, Slot>>);

impl RegistrationTokens {
    fn slot(&self, scope: &Scope) -> Slot {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(scope.clone()).or_default().clone()
    }
}

impl Controller {
    /// The token of a scope. A new one takes points of its owner's rate budget; many who ask at once get one.
    ///
    /// # Errors
    /// GitHub's, the store's; `RateLimited` while the budget is empty.
    pub(crate) async fn registration_token(&self, scope: &Scope) -> PortResult<RegistrationToken> {
        let slot = self.registration_tokens.slot(scope);
        let mut slot = slot.lock().await;
        let now_ms = self.ports.clock.now_ms();
        if let Some((token, until_ms)) = &*slot
            && now_ms < *until_ms
        {
            return Ok(token.clone());
        }
        if let Some(until_ms) = self.github_budget(scope.owner(), WRITE_POINTS).await? {
            return Err(PortError::new(ErrorKind::RateLimited { until_ms }, "the owner's rate budget is empty"));
        }
        let made = self.ports.github.registration_token(scope).await;
        let made = self.heed(scope.owner(), made).await?;
        *slot = Some((made.clone(), made.expires_ms.min(now_ms + REGISTRATION_TOKEN_MS)));
        Ok(made)
    }
}
