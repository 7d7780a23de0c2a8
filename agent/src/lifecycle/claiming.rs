//! Steps from the first claim to the start of the runner.
//!
//! Apart from the other steps because nothing runs yet: whatever comes here, the machine may end at once.

use fleet::wire::{ClaimAnswer, Credentials, EndReason};

use super::Lifecycle;
use super::types::{Action, Launch, Phase};
use crate::claim::Outcome;
use crate::exit::code;

impl Lifecycle {
    pub(super) fn claim(&mut self, now: u64, give_up_at: u64, out: &mut Vec<Action>) {
        if now >= give_up_at {
            self.code = Some(code::UNREACHABLE);
            self.why = Some(EndReason::NotConnected);
            return self.report_end(now, out);
        }
        self.phase = Phase::Claiming { next_at: None, give_up_at };
        out.push(Action::Claim);
    }

    pub(super) fn claimed(&mut self, now: u64, outcome: Outcome, out: &mut Vec<Action>) {
        // A SIGTERM may have come while the call was under way: then its answer is of no use. A registration made for
        // it is never used, and the control plane's sweep removes it.
        let Phase::Claiming { give_up_at, .. } = self.phase else { return };
        match outcome {
            Outcome::Retry { after_ms } => {
                let next_at = (now + self.backoff.after_failure(after_ms)).min(give_up_at.max(now));
                self.phase = Phase::Claiming { next_at: Some(next_at), give_up_at };
            }
            Outcome::Refused(refusal) => self.leave(refusal.code(), out),
            Outcome::Answer(ClaimAnswer::Go) => self.leave(code::OK, out),
            Outcome::Answer(ClaimAnswer::Wait { retry_after_ms }) => {
                self.backoff.reset();
                let wait = retry_after_ms.clamp(MIN_WAIT_MS, MAX_WAIT_MS);
                self.phase = Phase::Claiming { next_at: Some(now + wait), give_up_at: now + wait + CLAIM_DEADLINE_MS };
            }
            Outcome::Answer(ClaimAnswer::Run { name, credentials, boot_timeout_ms, idle_timeout_ms, heartbeat_ms }) => {
                self.boot_deadline = now.saturating_add(boot_timeout_ms);
                self.idle_timeout_ms = idle_timeout_ms;
                self.heartbeat_ms = heartbeat_ms.max(MIN_HEARTBEAT_MS);
                self.begin(name, credentials, out);
            }
        }
    }

    pub(super) fn begin(&mut self, name: String, credentials: Credentials, out: &mut Vec<Action>) {
        let launch = match credentials {
            Credentials::Jit(config) => {
                self.phase = Phase::Booting;
                Launch::Jit { name, config }
            }
            Credentials::Token { url, token, labels, group } => {
                self.phase = Phase::Configuring;
                Launch::Configure { name, url, token, labels, group }
            }
        };
        out.push(Action::Launch(launch));
    }
}

/// How long claims may fail, without one answer, before the agent gives up.
pub(super) const CLAIM_DEADLINE_MS: u64 = 10 * 60 * 1000;

/// Bounds of what the control plane may ask for in `wait`.
const MIN_WAIT_MS: u64 = 50;
const MAX_WAIT_MS: u64 = 10 * 60 * 1000;

/// Heartbeats never come faster than this.
const MIN_HEARTBEAT_MS: u64 = 100;
