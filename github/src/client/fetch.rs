//! Fetching a package: no JSON, another server, as many bytes as there are.
//!
//! GitHub's releases lead to a storage server elsewhere: redirects are followed anywhere, over TLS only. No token goes
//! along but the one that a GitHub Enterprise Server gives for this very package, and that stays with the first server.

use std::time::Duration;

use controller::ports::{ErrorKind, PortError, PortResult};
use reqwest::{StatusCode, Url, header::AUTHORIZATION, redirect};

use super::Client;
use crate::{release::RunnerProgram, settings, tls};

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;

/// Nothing came for so long: it is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection must be there by then.
const CONNECT: Duration = Duration::from_secs(10);

impl Client {
    /// Fetches a package, piece by piece. What comes is not to be believed before its sum is known.
    ///
    /// # Errors
    /// `Retry` if it may come later; the sink's own.
    pub async fn fetch(
        &self,
        program: &RunnerProgram,
        mut sink: impl FnMut(&[u8]) -> PortResult<()> + Send,
    ) -> PortResult<()> {
        let url = settings::base(&program.url)?;
        let broke = |error: &reqwest::Error| {
            let what = if error.is_timeout() { "nothing came any more" } else { "the connection broke" };
            PortError::retry(format!("{} cannot be fetched from {}: {what}", program.file, host(&url)))
        };
        let mut request = self.packages(&url)?.get(url.clone());
        if let Some(token) = &program.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let mut response = request.send().await.map_err(|error| broke(&error))?;
        if response.status() != StatusCode::OK {
            let (status, from) = (response.status().as_u16(), host(response.url()));
            return Err(PortError::retry(format!("{} cannot be fetched: {from} answered {status}", program.file)));
        }
        while let Some(chunk) = response.chunk().await.map_err(|error| broke(&error))? {
            sink(&chunk)?;
        }
        Ok(())
    }

    fn packages(&self, url: &Url) -> PortResult<reqwest::Client> {
        let plain = url.scheme() == "http";
        let follow = redirect::Policy::custom(move |attempt| {
            let good = attempt.previous().len() <= REDIRECTS_MAX && (plain || attempt.url().scheme() == "https");
            if good { attempt.follow() } else { attempt.stop() }
        });
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(self.settings.extra_roots_pem.as_deref())?)
            .user_agent(concat!("self-runners/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(follow)
            .retry(reqwest::retry::never());
        let builder = if plain { builder.no_proxy() } else { builder };
        builder.build().map_err(|error| PortError::new(ErrorKind::Invalid, format!("no HTTP client: {error}")))
    }
}

/// Which server: the rest of a storage server's address may be a key.
fn host(url: &Url) -> String {
    url.host_str().unwrap_or("?").to_owned()
}
