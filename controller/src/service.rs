//! `handle`: load what some events need, decide, write it all at once or start over.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use fleet::{
    decide::Moment,
    event::{Event, Outcome},
    policy::Policy,
    reconcile::{Findings, Sight},
    view::{Decision, Keys, View},
};
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::{
    poll::Polls,
    ports::{ErrorKind, PortError, PortResult, Ports},
    registration::RegistrationTokens,
    settings::{BALANCE_ROUNDS, COMMIT_TRIES, Settings},
    sweep::LastSweep,
    token::ClaimKeys,
};

/// The core as the controller calls it. The simulator puts wrong ones in its place, to see that its checks catch them.
pub trait Decider: Send + Sync {
    /// See [`fleet::decide()`].
    fn decide(&self, policy: &Policy, view: &View, events: &[Event], moment: Moment) -> Decision {
        fleet::decide(policy, view, events, moment)
    }

    /// See [`fleet::reconcile()`].
    fn reconcile(&self, policy: &Policy, sight: &Sight<'_>) -> Findings {
        fleet::reconcile(policy, sight)
    }
}

/// The right one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Core;

impl Decider for Core {}

/// The controller. Many may work on one store at once.
pub struct Controller {
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    claim_keys: RwLock<Arc<ClaimKeys>>,
    pub(crate) decider: Arc<dyn Decider>,
    /// Who holds what this one leases.
    pub(crate) owner: Arc<str>,
    policy: RwLock<Arc<Policy>>,
    pub(crate) effects_added: Notify,
    pub(crate) polls: Mutex<Polls>,
    /// Sweeps so far: each begins elsewhere with what it cannot do all of.
    pub(crate) sweeps: AtomicUsize,
    pub(crate) last_sweep: Mutex<Option<LastSweep>>,
    pub(crate) registration_tokens: RegistrationTokens,
    ending: AtomicBool,
}

impl Controller {
    /// A controller over these ports. `owner` names it in leases.
    pub fn new(ports: Ports, policy: Policy, settings: Settings, claim_keys: ClaimKeys, owner: &str) -> Self {
        Self {
            polls: Mutex::new(Polls::new(settings.pace)),
            sweeps: AtomicUsize::new(0),
            ports,
            settings,
            claim_keys: RwLock::new(Arc::new(claim_keys)),
            decider: Arc::new(Core),
            owner: owner.into(),
            policy: RwLock::new(Arc::new(policy)),
            effects_added: Notify::new(),
            last_sweep: Mutex::new(None),
            registration_tokens: RegistrationTokens::default(),
            ending: AtomicBool::new(false),
        }
    }

    /// The same with another core.
    #[must_use]
    pub fn with_decider(self, decider: Arc<dyn Decider>) -> Self {
        Self { decider, ..self }
    }

    /// The operator's rules in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other rules in force; the next sweep matches all waiting jobs again.
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    pub(crate) fn claim_keys(&self) -> Arc<ClaimKeys> {
        self.claim_keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes and takes claim tokens by other keys from now on.
    pub fn set_claim_keys(&self, keys: ClaimKeys) {
        *self.claim_keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Lets the executor take nothing new and end when it has done what it has in hand.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
        self.effects_added.notify_one();
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Handles events together: one atomic write. One answer for each, in order.
    ///
    /// # Errors
    /// The store's. Nothing is written then; the same events may be handled again.
    pub async fn handle(&self, events: &[Event]) -> PortResult<Vec<Outcome>> {
        let decision = self.decide_and_commit(events).await?;
        if decision.again {
            self.balance().await;
        }
        Ok(decision.outcomes)
    }

    async fn decide_and_commit(&self, events: &[Event]) -> PortResult<Decision> {
        let policy = self.policy();
        let keys = Keys::of(&policy, events);
        for _ in 0..COMMIT_TRIES {
            let moment = self.ports.clock.moment();
            let view = self.ports.store.load(&keys, moment.now_ms).await?;
            let decision = self.decider.decide(&policy, &view, events, moment);
            if decision.is_empty() {
                return Ok(decision);
            }
            match self.ports.store.commit(&decision, moment.now_ms).await {
                Ok(()) => {
                    if !decision.effects.is_empty() {
                        self.effects_added.notify_one();
                    }
                    return Ok(decision);
                }
                Err(error) if error.kind == ErrorKind::Conflict => debug!(%error, "decided again"),
                Err(error) => return Err(error),
            }
        }
        Err(PortError::retry(format!("{COMMIT_TRIES} commits in a row met another writer; try again")))
    }

    /// Looks who is next, until nobody is. What fails here is found by the next sweep.
    pub(crate) async fn balance(&self) {
        for _ in 0..BALANCE_ROUNDS {
            match self.decide_and_commit(&[Event::Balance]).await {
                Ok(decision) if decision.again => {}
                Ok(_) => return,
                Err(error) => return warn!(%error, "could not look who is next; the sweep will"),
            }
        }
    }
}
