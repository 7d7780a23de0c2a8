//! Where the client's token comes from.
//!
//! A trait, because a GitHub App mints one token an installation, that is one an owner, and mints it again each hour,
//! while a personal token is one text. The client asks before each request; caching is the source's business.

use std::sync::Arc;

use async_trait::async_trait;
use controller::ports::{PortResult, Secret};

use crate::app::Installation;

/// A source of tokens.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// The token for requests about this owner's repositories, runners and hooks. Called for each request: cache it.
    async fn token(&self, owner: &str) -> PortResult<Secret>;

    /// GitHub answered 401 to `refused`. Read or mint it again, past every cache, and return it if it is another one
    /// now; the request is then made once more. `None`: there is no other.
    async fn renew(&self, owner: &str, refused: &Secret) -> PortResult<Option<Secret>>;

    /// A GitHub App's own token (a JWT), for what Apps ask in their own name. `None`: these tokens are no App's.
    async fn app(&self) -> PortResult<Option<Secret>> {
        Ok(None)
    }

    /// GitHub answered 401 to the App's own token. One that another key signed, if the key was changed; the request is
    /// then made once more.
    async fn renew_app(&self) -> PortResult<Option<Secret>> {
        Ok(None)
    }

    /// The App's installation on this owner. `None`: these tokens are no App's.
    async fn installation(&self, _owner: &str) -> PortResult<Option<Arc<Installation>>> {
        Ok(None)
    }
}

/// One token for all owners: a personal access token.
#[derive(Debug, Clone)]
pub struct StaticToken(Secret);

impl StaticToken {
    /// Wraps a token. White space around it, as a file's last line has, is taken off.
    pub fn new(token: impl AsRef<str>) -> Self {
        Self(Secret::new(token.as_ref().trim()))
    }
}

#[async_trait]
impl TokenSource for StaticToken {
    async fn token(&self, _owner: &str) -> PortResult<Secret> {
        Ok(self.0.clone())
    }

    async fn renew(&self, _owner: &str, _refused: &Secret) -> PortResult<Option<Secret>> {
        Ok(None)
    }
}
