//! What a machine is told at its launch: where it can ask for credentials, or the credentials themselves where it cannot
//! come back to ask.

use fleet::{
    class::Pool,
    effect::LaunchSpec,
    event::{Event, Outcome},
    runner::RunnerInput,
};

use crate::{
    ports::{ClaimEnv, ErrorKind, JitRequest, PortError, PortResult, Secret},
    service::Controller,
    settings::WRITE_POINTS,
};

/// Whether, and with what, a launch can go on.
pub(crate) enum Outfit {
    /// With this.
    Ready(ClaimEnv),
    /// Not before this time, milliseconds: the owner's rate budget is empty.
    NotBefore(u64),
    /// The runner is no longer needed, and nothing was started.
    Unwanted,
}

impl Controller {
    /// What the machine of this launch is told.
    ///
    /// # Errors
    /// The store's; GitHub's, if it is asked for credentials: the launch is tried again.
    pub(crate) async fn outfit(&self, spec: &LaunchSpec) -> PortResult<Outfit> {
        if !spec.told {
            return self.asks(spec).map(Outfit::Ready);
        }
        if let Some(until_ms) = self.github_budget(spec.pool.scope.owner(), WRITE_POINTS).await? {
            return Ok(Outfit::NotBefore(until_ms));
        }
        let input = RunnerInput::Outfitted { attempt: spec.attempt };
        let outcomes = self.handle(&[Event::Runner { runner: spec.runner.clone(), input }]).await?;
        match outcomes.into_iter().next() {
            Some(Outcome::Claimed { n, pool }) => match self.given(spec.runner.registered(n), pool).await {
                Ok(claim) => Ok(Outfit::Ready(claim)),
                Err(error) => self.given_up(spec, error).await,
            },
            Some(Outcome::Go) => Ok(Outfit::Unwanted),
            // This occurs when the answer of an earlier try was lost and its machine is at work: the engine names it.
            _ => self.asks(spec).map(Outfit::Ready),
        }
    }

    /// Nothing was launched by this try: tried again, or given up where GitHub refuses for good.
    async fn given_up(&self, spec: &LaunchSpec, error: PortError) -> PortResult<Outfit> {
        let finally = matches!(error.kind, ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid);
        let refused = finally.then(|| error.message.as_str().into());
        let input = RunnerInput::NotOutfitted { attempt: spec.attempt, refused };
        let outcomes = self.handle(&[Event::Runner { runner: spec.runner.clone(), input }]).await?;
        if outcomes.first() == Some(&Outcome::Go) { Ok(Outfit::Unwanted) } else { Err(error) }
    }

    fn asks(&self, spec: &LaunchSpec) -> PortResult<ClaimEnv> {
        let Some(token) = self.claim_keys().make(&spec.runner, spec.attempt) else {
            return Err(PortError::new(ErrorKind::Denied, "no claim key is configured"));
        };
        Ok(ClaimEnv::Ask { url: self.settings.url.clone(), token })
    }

    async fn given(&self, name: String, pool: Pool) -> PortResult<ClaimEnv> {
        let class = self.policy().class(&pool.class).cloned().unwrap_or_default();
        let made = self.jit(JitRequest { name: name.clone(), pool, group: class.group.clone() }).await?;
        let told = serde_json::to_string(&self.credited(name, made, &class));
        let told = told.map_err(|_| PortError::new(ErrorKind::Invalid, "credentials that are no JSON"))?;
        Ok(ClaimEnv::Given(Secret::new(told)))
    }
}
