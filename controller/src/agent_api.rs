//! Claims and reports of the agents (see [`fleet::wire`] for the protocol).

use fleet::{
    class::{Class, CredentialKind, Pool},
    event::{Event, Outcome},
    ids::RunnerName,
    runner::RunnerInput,
    view::Keys,
    wire::{ClaimAnswer, ClaimRequest, Credentials, PROTOCOL, Report, ReportAnswer, ReportRequest},
};
use tracing::{info, warn};

use crate::{
    ports::{ErrorKind, JitRequest, PortError, PortResult, RegistrationToken},
    service::Controller,
    settings::{GITHUB_WAIT_MS, UNKNOWN_WAIT_MS, WRITE_POINTS},
};

/// Why an agent is refused, in words for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is not that runner's.
    #[error("this claim token is not this runner's")]
    Token,
    /// The runner is registered already.
    #[error("this runner has registered already")]
    Registered,
    /// This protocol is not served.
    #[error("this protocol is not served here")]
    Protocol,
    /// The store does not answer.
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    /// The HTTP status that says so ([`fleet::wire`]).
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Token => 401,
            Self::Registered => 409,
            Self::Protocol => 426,
            Self::Unavailable(_) => 503,
        }
    }
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        Self::Unavailable(error.message)
    }
}

/// What a claim can be given.
enum Supply {
    /// A just-in-time configuration, made when the claim is committed.
    Jit,
    /// This token.
    Token(RegistrationToken),
    /// Nothing yet.
    After {
        /// How long the agent is to wait, milliseconds.
        wait_ms: u64,
    },
}

impl Supply {
    fn wait_ms(&self) -> u64 {
        match self {
            Self::After { wait_ms } => *wait_ms,
            Self::Jit | Self::Token(_) => UNKNOWN_WAIT_MS,
        }
    }
}

impl Controller {
    /// Answers a claim. `Claimed` is committed before GitHub is asked to register anything, under a name that no other
    /// claim has, so a lost answer is simply claimed again.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was given away then.
    pub async fn claim(&self, token: &str, request: &ClaimRequest) -> Result<ClaimAnswer, Refusal> {
        let runner = self.admit(token, request.protocol, &request.runner, request.attempt)?;
        let supply = self.supply(&runner).await?;
        let attempt = request.attempt;
        let waits = matches!(supply, Supply::After { .. });
        let input = if waits { RunnerInput::ClaimWaits { attempt } } else { RunnerInput::Claim { attempt } };
        let outcomes = self.handle(&[Event::Runner { runner: runner.clone(), input }]).await?;
        match outcomes.into_iter().next() {
            Some(Outcome::Claimed { n, pool }) => Ok(self.run(runner.registered(n), pool, supply).await),
            Some(Outcome::Go) => Ok(ClaimAnswer::Go),
            Some(Outcome::ClaimRefused) => Err(Refusal::Registered),
            Some(Outcome::Accepted(_)) => Ok(wait(supply.wait_ms())),
            // This occurs when the store was lost: the sweep adopts the machine, then it may claim.
            _ => Ok(ClaimAnswer::Wait { retry_after_ms: UNKNOWN_WAIT_MS }),
        }
    }

    fn admit(&self, token: &str, protocol: u32, runner: &str, attempt: u32) -> Result<RunnerName, Refusal> {
        let runner = RunnerName::from(runner);
        if !self.claim_keys().verify(token, &runner, attempt) {
            return Err(Refusal::Token);
        }
        // Images are pinned, so agents of the version before are certain.
        if protocol > PROTOCOL || protocol + 1 < PROTOCOL {
            return Err(Refusal::Protocol);
        }
        Ok(runner)
    }

    /// What a claim of this runner can be given now. Where that costs points of the owner's rate budget, they are taken.
    async fn supply(&self, runner: &RunnerName) -> Result<Supply, PortError> {
        let keys = Keys { runners: [runner.clone()].into(), ..Keys::default() };
        let now_ms = self.ports.clock.now_ms();
        let view = self.ports.store.load(&keys, now_ms).await?;
        // One that has claimed already, or is unknown, is answered without GitHub.
        let Some(row) = view.runners.get(runner).filter(|row| row.value.may_claim()) else { return Ok(Supply::Jit) };
        let kind = self.policy().class(&row.value.class).map_or(CredentialKind::Jit, |class| class.credentials);
        Ok(match kind {
            // One of a class that is told at the launch asks only if that was set while it booted.
            CredentialKind::Jit | CredentialKind::Env => {
                match self.github_budget(row.value.scope.owner(), WRITE_POINTS).await? {
                    None => Supply::Jit,
                    Some(until_ms) => Supply::After { wait_ms: until_ms.saturating_sub(now_ms) },
                }
            }
            CredentialKind::Token => match self.registration_token(&row.value.scope).await {
                Ok(token) => Supply::Token(token),
                Err(error) => Supply::After { wait_ms: self.given_nothing(runner.as_str(), &error).await },
            },
        })
    }

    /// The answer to a claim that was taken, under the name that it has.
    async fn run(&self, name: String, pool: Pool, supply: Supply) -> ClaimAnswer {
        let class = self.policy().class(&pool.class).cloned().unwrap_or_default();
        match self.credentials(&name, pool, class.group.clone(), supply).await {
            Ok(credentials) => self.credited(name, credentials, &class),
            Err(error) => wait(self.given_nothing(&name, &error).await),
        }
    }

    /// What a runner of this class is told with its credentials.
    pub(crate) fn credited(&self, name: String, credentials: Credentials, class: &Class) -> ClaimAnswer {
        info!(runner.name = %name, kind = %class.credentials, "gave a runner its credentials");
        ClaimAnswer::Run {
            name,
            credentials,
            boot_timeout_ms: class.boot_timeout_ms,
            idle_timeout_ms: class.idle_timeout_ms,
            heartbeat_ms: self.settings.heartbeat_ms,
        }
    }

    async fn credentials(
        &self,
        name: &str,
        pool: Pool,
        group: Option<String>,
        supply: Supply,
    ) -> PortResult<Credentials> {
        if let Supply::Token(RegistrationToken { url, token, .. }) = supply {
            let labels = pool.labels.iter().map(str::to_owned).collect();
            return Ok(Credentials::Token { url, token: token.expose().to_owned(), labels, group });
        }
        self.jit(JitRequest { name: name.to_owned(), pool, group }).await
    }

    /// A just-in-time configuration.
    ///
    /// # Errors
    /// GitHub's.
    pub(crate) async fn jit(&self, request: JitRequest) -> PortResult<Credentials> {
        let owner = request.pool.scope.owner().to_owned();
        let jit = self.ports.github.jit_config(&request).await;
        Ok(Credentials::Jit(self.heed(&owner, jit).await?.encoded.expose().to_owned()))
    }

    /// GitHub gave nothing: how long the agent is to wait. It claims again under the next name, so whatever was
    /// registered does no harm.
    async fn given_nothing(&self, runner: &str, error: &PortError) -> u64 {
        warn!(runner.name = runner, %error, "GitHub gave no credentials; the agent asks again");
        match error.kind {
            ErrorKind::RateLimited { until_ms } => until_ms.saturating_sub(self.ports.clock.now_ms()),
            ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid => {
                self.notify_denied(&format!("GitHub refuses to register runners: {error}")).await;
                GITHUB_WAIT_MS * 10
            }
            ErrorKind::Conflict | ErrorKind::Retry | ErrorKind::Capacity => GITHUB_WAIT_MS,
        }
    }

    /// Notes a report. Reports are hints: they never free capacity, extend a life or end a job.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn report(&self, token: &str, request: &ReportRequest) -> Result<ReportAnswer, Refusal> {
        let runner = self.admit(token, request.protocol, &request.runner, request.attempt)?;
        let input = match &request.report {
            Report::Registered | Report::Idle => RunnerInput::Connected { registration: None },
            Report::JobStarted => RunnerInput::JobStarted,
            Report::Ended { ran_job, why, .. } => RunnerInput::Ended { ran_job: *ran_job, reason: *why },
            Report::SpotNotice => RunnerInput::SpotNotice,
            Report::Booted | Report::JobEnded => {
                info!(runner.name = %runner, report = ?request.report, "agent");
                return Ok(ReportAnswer::Ok);
            }
        };
        let outcomes = self.handle(&[Event::Runner { runner, input }]).await?;
        Ok(match outcomes.first() {
            Some(Outcome::EndIfIdle) => ReportAnswer::EndIfIdle,
            _ => ReportAnswer::Ok,
        })
    }
}

fn wait(retry_after_ms: u64) -> ClaimAnswer {
    ClaimAnswer::Wait { retry_after_ms: retry_after_ms.max(100) }
}
