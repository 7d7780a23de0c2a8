//! `WebhookHandlerGHA`: verifies a delivery, judges it by the operator's rules, puts it into the queue and answers. All
//! that takes time comes after the answer, elsewhere.

use std::sync::Arc;

use async_trait::async_trait;
use controller::ports::{PortError, PortResult, Secret};
use fleet::{event::Event, policy::Policy};
use github::webhook::SignatureError;
use github::webhook::intake::{Answer, Reception, Refusal, Verdict, receive};
use tracing::{info, warn};

use crate::http::{Request, not_found, unavailable, wrong_method};

/// Where the webhook's secrets are.
#[async_trait]
pub trait WebhookSecrets: Send + Sync {
    /// Those that are good now: two during a rotation. Read once and kept.
    async fn current(&self) -> PortResult<Vec<Secret>>;

    /// Read again, because what is kept may be old; not more often than a rotation needs.
    async fn again(&self) -> PortResult<Vec<Secret>>;
}

/// The queue that `ScalerHandler` works off.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Appends; durable when it returns.
    async fn append(&self, event: &Event) -> PortResult<()>;
}

/// The function.
pub struct WebhookFunction {
    /// The operator's rules.
    pub policy: Policy,
    /// The secrets.
    pub secrets: Arc<dyn WebhookSecrets>,
    /// The queue.
    pub queue: Arc<dyn Queue>,
}

impl WebhookFunction {
    /// Answers a request.
    pub async fn answer(&self, request: &Request) -> Answer {
        if request.path.trim_end_matches('/') != PATH {
            return not_found();
        }
        if request.method != "POST" {
            return wrong_method("POST");
        }
        match self.receive(request).await {
            Ok(Ok(reception)) => self.take(&reception).await,
            Ok(Err(refusal)) => {
                info!(status = refusal.status(), reason = %refusal, "refused a delivery");
                Answer::refused(&refusal)
            }
            Err(error) => lost("the webhook's secret cannot be read", &error),
        }
    }

    /// A signature that does not fit may be made with a secret that is newer than ours.
    async fn receive(&self, request: &Request) -> PortResult<Result<Reception, Refusal>> {
        let secrets = self.secrets.current().await?;
        let first = receive(&secrets, &self.policy, request.head(), &request.body);
        if !matches!(first, Err(Refusal::Untrusted(SignatureError::Mismatch | SignatureError::NoSecret))) {
            return Ok(first);
        }
        let newer = self.secrets.again().await?;
        if newer == secrets { Ok(first) } else { Ok(receive(&newer, &self.policy, request.head(), &request.body)) }
    }

    async fn take(&self, reception: &Reception) -> Answer {
        let (event, verdict) = match reception {
            Reception::Pong => return Answer::pong(),
            Reception::Nothing(reason) => return Answer::ignored(reason),
            Reception::Job { event, verdict } => (event, verdict),
        };
        if let Verdict::Ignored(reason) | Verdict::Forbidden(reason) = verdict {
            info!(%reason, "set aside a delivery");
        }
        // Also what is set aside: the log of decisions then answers why.
        match self.queue.append(event).await {
            Ok(()) => Answer::from(verdict),
            Err(error) => lost("it cannot be put into the queue", &error),
        }
    }
}

/// GitHub notes a failed delivery, which the sweep asks for again.
fn lost(what: &str, error: &PortError) -> Answer {
    warn!(%error, "{what}");
    unavailable(&format!("{what}; it is asked for again later"))
}

/// Where webhooks come.
const PATH: &str = "/webhook";
