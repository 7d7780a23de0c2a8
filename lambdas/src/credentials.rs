//! What is shown to GitHub, from Secrets Manager: read once, and again when GitHub does not take it.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use aws::secrets::KeptSecret;
use controller::ports::{ErrorKind, PortError, PortResult, Secret};
use github::{AppKey, KeySource, TokenSource};

/// GitHub's token, read again when GitHub does not take it.
pub(crate) struct SecretToken(KeptSecret);

impl SecretToken {
    pub(crate) fn new(secret: KeptSecret) -> Self {
        Self(secret)
    }
}

#[async_trait]
impl TokenSource for SecretToken {
    async fn token(&self, _owner: &str) -> PortResult<Secret> {
        let kept = self.0.current().await?.into_iter().next();
        kept.ok_or_else(|| PortError::new(ErrorKind::Denied, "the secret with GitHub's token is empty"))
    }

    async fn renew(&self, _owner: &str, refused: &Secret) -> PortResult<Option<Secret>> {
        Ok(self.0.again().await?.into_iter().next().filter(|now| now != refused))
    }
}

/// The App's private key, read again when GitHub does not take what it signed.
pub(crate) struct SecretKey {
    secret: KeptSecret,
    /// What was read last.
    read: Mutex<Option<Secret>>,
}

impl SecretKey {
    pub(crate) fn new(secret: KeptSecret) -> Self {
        Self { secret, read: Mutex::default() }
    }

    /// The key that is good now.
    pub(crate) async fn read(&self) -> PortResult<AppKey> {
        let values = self.secret.current().await?;
        self.other(values)?.ok_or_else(|| unusable("it is empty"))
    }

    /// The newest of these, if it is not what was read last.
    fn other(&self, values: Vec<Secret>) -> PortResult<Option<AppKey>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = values.into_iter().next();
        let Some(other) = newest.filter(|newest| read.as_ref() != Some(newest)) else { return Ok(None) };
        let key = AppKey::from_pem(other.expose()).map_err(|error| unusable(&error.to_string()))?;
        *read = Some(other);
        Ok(Some(key))
    }
}

#[async_trait]
impl KeySource for SecretKey {
    async fn changed(&self) -> PortResult<Option<AppKey>> {
        self.other(self.secret.again().await?)
    }
}

fn unusable(why: &str) -> PortError {
    PortError::new(ErrorKind::Denied, format!("the secret with the App's private key cannot be used: {why}"))
}
