//! The claim token: what lets one machine ask for the credentials of one runner.
//!
//! It is an HMAC over (stage, runner, attempt), so it is never stored: a repeated launch computes the same one, and a
//! claim is verified by computing it again. After a rotation the old key is accepted beside the new one.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fleet::ids::RunnerName;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ports::Secret;

/// Keeps these MACs apart from any other use of the same secret.
const PURPOSE: &[u8] = b"self-runners claim v1";

/// The keys of claim tokens: the first makes them, all verify them.
#[derive(Debug, Clone)]
pub struct ClaimKeys {
    keys: Vec<Secret>,
    stage: String,
}

impl ClaimKeys {
    /// Keys of a stage, first the one that makes tokens: one that all who verify know.
    pub fn new(stage: &str, keys: Vec<Secret>) -> Self {
        Self { keys, stage: stage.to_owned() }
    }

    /// The token of a runner's launch attempt; `None` without a key.
    pub fn make(&self, runner: &RunnerName, attempt: u32) -> Option<Secret> {
        let mac = self.mac(self.keys.first()?, runner, attempt)?;
        Some(Secret::new(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
    }

    /// Whether `token` is that runner's. Compares in constant time.
    pub fn verify(&self, token: &str, runner: &RunnerName, attempt: u32) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        self.keys.iter().filter_map(|key| self.mac(key, runner, attempt)).any(|mac| mac.verify_slice(&bytes).is_ok())
    }

    fn mac(&self, key: &Secret, runner: &RunnerName, attempt: u32) -> Option<Hmac<Sha256>> {
        let mut derive = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).ok()?;
        derive.update(PURPOSE);
        let mut mac = Hmac::<Sha256>::new_from_slice(&derive.finalize().into_bytes()).ok()?;
        // Each part is ended by a byte that none can hold, so that no two triples give one text.
        for part in [self.stage.as_str(), runner.as_str(), &attempt.to_string()] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_runner_and_attempt_only_and_survives_a_rotation() {
        let old = ClaimKeys::new("dev", vec![Secret::new("k1")]);
        let both = ClaimKeys::new("dev", vec![Secret::new("k2"), Secret::new("k1")]);
        let runner = RunnerName::from("sr-dev-a");
        let token = old.make(&runner, 1).unwrap();
        assert!(both.verify(token.expose(), &runner, 1));
        assert!(!both.verify(token.expose(), &runner, 2));
        assert!(!both.verify(token.expose(), &"sr-dev-b".into(), 1));
        assert!(!ClaimKeys::new("qa", vec![Secret::new("k1")]).verify(token.expose(), &runner, 1));
        assert!(!both.verify("", &runner, 1));
        assert_eq!(format!("{token:?}"), "***");
    }
}
