//! Claims and reports of the agents (see [`fleet::wire`] for the protocol).

use fleet::{
    class::Pool,
    event::{Event, Outcome},
    ids::RunnerName,
    runner::RunnerInput,
    view::Keys,
    wire::{ClaimAnswer, ClaimRequest, Credentials, PROTOCOL, Report, ReportAnswer, ReportRequest},
};
use tracing::{info, warn};

use crate::{
    ports::{ErrorKind, JitRequest, PortError},
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

impl Controller {
    /// Answers a claim. `Claimed` is committed before GitHub is called, under a name that no other claim has, so a lost
    /// answer is simply claimed again.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was given away then.
    pub async fn claim(&self, token: &str, request: &ClaimRequest) -> Result<ClaimAnswer, Refusal> {
        let runner = self.admit(token, request.protocol, &request.runner, request.attempt)?;
        let wait_ms = self.claim_wait_ms(&runner).await?;
        let attempt = request.attempt;
        let input =
            if wait_ms.is_some() { RunnerInput::ClaimWaits { attempt } } else { RunnerInput::Claim { attempt } };
        let outcomes = self.handle(&[Event::Runner { runner: runner.clone(), input }]).await?;
        match outcomes.into_iter().next() {
            Some(Outcome::Claimed { n, pool }) => Ok(self.credentials(&runner, n, pool).await?),
            Some(Outcome::Go) => Ok(ClaimAnswer::Go),
            Some(Outcome::ClaimRefused) => Err(Refusal::Registered),
            Some(Outcome::Accepted(_)) => Ok(wait(wait_ms.unwrap_or(UNKNOWN_WAIT_MS))),
            // This occurs when the store was lost: the sweep adopts the machine, then it may claim.
            _ => Ok(ClaimAnswer::Wait { retry_after_ms: UNKNOWN_WAIT_MS }),
        }
    }

    fn admit(&self, token: &str, protocol: u32, runner: &str, attempt: u32) -> Result<RunnerName, Refusal> {
        let runner = RunnerName::from(runner);
        if !self.claim_keys.verify(token, &runner, attempt) {
            return Err(Refusal::Token);
        }
        // Images are pinned, so agents of the version before are certain.
        if protocol > PROTOCOL || protocol + 1 < PROTOCOL {
            return Err(Refusal::Protocol);
        }
        Ok(runner)
    }

    /// How long the owner's rate budget is empty; the points of one configuration are taken out if it is not.
    async fn claim_wait_ms(&self, runner: &RunnerName) -> Result<Option<u64>, PortError> {
        let keys = Keys { runners: [runner.clone()].into(), ..Keys::default() };
        let now_ms = self.ports.clock.now_ms();
        let view = self.ports.store.load(&keys, now_ms).await?;
        // One that has claimed already, or is unknown, is answered without GitHub.
        let Some(row) = view.runners.get(runner).filter(|row| row.value.may_claim()) else { return Ok(None) };
        let until_ms = self.github_budget(row.value.scope.owner(), WRITE_POINTS).await?;
        Ok(until_ms.map(|until_ms| until_ms.saturating_sub(now_ms)))
    }

    async fn credentials(&self, runner: &RunnerName, n: u32, pool: Pool) -> Result<ClaimAnswer, PortError> {
        let owner = pool.scope.owner().to_owned();
        let policy = self.policy();
        let class = policy.class(&pool.class).cloned().unwrap_or_default();
        let name = runner.registered(n);
        let request = JitRequest { name: name.clone(), pool, group: class.group.clone() };
        let jit = self.ports.github.jit_config(&request).await;
        match self.heed(&owner, jit).await {
            Ok(jit) => {
                info!(runner.name = %name, "gave a runner its configuration");
                Ok(ClaimAnswer::Run {
                    name,
                    credentials: Credentials::Jit(jit.encoded.expose().to_owned()),
                    boot_timeout_ms: class.boot_timeout_ms,
                    idle_timeout_ms: class.idle_timeout_ms,
                    heartbeat_ms: self.settings.heartbeat_ms,
                })
            }
            Err(error) => Ok(self.no_credentials(&name, &error).await),
        }
    }

    /// GitHub gave nothing: the agent claims again, under the next name, so whatever was registered does no harm.
    async fn no_credentials(&self, name: &str, error: &PortError) -> ClaimAnswer {
        warn!(runner.name = name, %error, "GitHub gave no configuration; the agent asks again");
        match error.kind {
            ErrorKind::RateLimited { until_ms } => wait(until_ms.saturating_sub(self.ports.clock.now_ms())),
            ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid => {
                self.notify_denied(&format!("GitHub refuses to register runners: {error}")).await;
                wait(GITHUB_WAIT_MS * 10)
            }
            ErrorKind::Conflict | ErrorKind::Retry | ErrorKind::Capacity => wait(GITHUB_WAIT_MS),
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
