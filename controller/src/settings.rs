//! Limits and intervals of the controller, each with its reason.

use fleet::{budget::Bucket, rota::Pace};

/// How often a commit that met a conflict is decided again before the caller is told to come back.
pub const COMMIT_TRIES: u32 = 32;

/// Most looks at who is next after one commit; what is left then is found by the sweep.
pub const BALANCE_ROUNDS: u32 = 64;

/// Most events that are decided together.
pub const BATCH_EVENTS: usize = 50;

/// Most effects that one worker has in hand.
pub const EFFECTS_AT_ONCE: usize = 32;

/// How long a worker holds an effect. Longer than [`EFFECT_TIMEOUT_MS`], so that two never do one at a time.
pub const EFFECT_LEASE_MS: u64 = 60_000;

/// How long one effect may take.
pub const EFFECT_TIMEOUT_MS: u64 = 40_000;

/// First wait before an effect is tried again; doubles up to [`RETRY_MAX_MS`].
pub const RETRY_FIRST_MS: u64 = 500;

/// Longest wait before an effect is tried again.
pub const RETRY_MAX_MS: u64 = 60_000;

/// Tries after which a person is told that an effect keeps failing.
pub const TRIES_BEFORE_NOTICE: u32 = 10;

/// Tries after which the deletion of a registration is left to the sweep.
pub const DEREGISTER_TRIES: u32 = 6;

/// Up to so many claims, registrations are looked up by their names; the list of all is cheaper beyond.
pub const NAMES_LOOKED_UP: u32 = 4;

/// How long a sweep holds its lease.
pub const SWEEP_LEASE_MS: u64 = 5 * 60_000;

/// Failed deliveries are looked for so far back: GitHub keeps them for three days.
pub const REDELIVER_WINDOW_MS: u64 = 3 * 24 * 3_600_000;

/// Most deliveries that one sweep asks for again.
pub const REDELIVERIES_PER_SWEEP: usize = 100;

/// Scopes whose registered runners a sweep lists beside those that have runners: the others take turns, so that many
/// quiet repositories do not use up GitHub's limits.
pub const QUIET_SCOPES_PER_SWEEP: usize = 20;

/// Webhooks whose failed deliveries one sweep looks for; the others take turns.
pub const HOOKS_PER_SWEEP: usize = 20;

/// A scope counts as having runners for so long after its last one was gone: its registration may stay behind.
pub const SCOPE_USED_MS: u64 = 10 * 60_000;

/// Milliseconds between two `idle` reports of an agent.
pub const HEARTBEAT_MS: u64 = 15_000;

/// Wait that an agent is told when its runner is not known (yet): after a loss of the store it will be adopted.
pub const UNKNOWN_WAIT_MS: u64 = 5_000;

/// Wait that an agent is told when GitHub did not answer.
pub const GITHUB_WAIT_MS: u64 = 2_000;

/// How long a registration token is used: short against its hour, so that one which GitHub has withdrawn, or which is
/// about to end, is soon replaced. Making one costs as much as one just-in-time configuration.
pub const REGISTRATION_TOKEN_MS: u64 = 10 * 60_000;

/// GitHub's secondary limit: 900 points a minute and endpoint class (FACTS §2).
pub const GITHUB_POINTS: Bucket = Bucket::new(900, 900);

/// Points of a reading call.
pub const READ_POINTS: u32 = 1;

/// Points of a writing call.
pub const WRITE_POINTS: u32 = 5;

/// What an operator may set of the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Base URL of the control plane, as the machines reach it.
    pub url: String,
    /// Milliseconds between two `idle` reports.
    pub heartbeat_ms: u64,
    /// Whether failed webhook deliveries are asked for again.
    pub redeliver: bool,
    /// Whether the open jobs of all repositories of an owner are looked up, not only of those named.
    pub discover: bool,
    /// How often repositories are looked at for open jobs, and at what expense.
    pub pace: Pace,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8080".into(),
            heartbeat_ms: HEARTBEAT_MS,
            redeliver: true,
            discover: true,
            pace: Pace::default(),
        }
    }
}
