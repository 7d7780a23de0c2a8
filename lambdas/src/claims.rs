//! What claim tokens are made with: derived from what is shown to GitHub, because a secret of its own would cost as much as
//! all else at rest.
//!
//! A change of that value must cost no machine that is on its way. For a day the value before it still signs: copies of
//! `AgentHandler` that began before the change know no other. Both are taken for two days, longer than a copy lives that
//! began in the first; and what a copy does not take makes it read again.

use std::time::Duration;

use async_trait::async_trait;
use aws::secrets::{AGAIN_AFTER, PREVIOUS_FOR, SecretKind, Vault, Versions};
use controller::{
    ports::{PortError, PortResult},
    token::ClaimKeys,
};
use tokio::{sync::Mutex, time::Instant};

/// For so long both values are taken after a change.
const TAKEN_FOR: Duration = Duration::from_secs(48 * 3_600);

/// After a read that failed the next one is made no sooner.
const FAILED_FOR: Duration = Duration::from_secs(2);

/// Where keys are read again.
#[async_trait]
pub trait KeysAgain: Send + Sync {
    /// The keys that are good now; `None`: they were read a moment ago.
    async fn again(&self) -> PortResult<Option<ClaimKeys>>;
}

/// The secret.
#[derive(Debug)]
pub struct ClaimSecret {
    vault: Vault,
    stage: String,
    arn: String,
    kind: SecretKind,
    last: Mutex<LastRead>,
}

/// When the keys were read, and why they were not.
#[derive(Debug)]
struct LastRead {
    at: Instant,
    failed: Option<PortError>,
}

impl ClaimSecret {
    /// That of a stage. Read by the caller first, with [`ClaimSecret::read`].
    #[must_use]
    pub fn new(vault: Vault, stage: &str, arn: &str, kind: SecretKind) -> Self {
        Self {
            vault,
            stage: stage.into(),
            arn: arn.into(),
            kind,
            last: Mutex::new(LastRead { at: Instant::now(), failed: None }),
        }
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// As [`Vault::read`].
    pub async fn read(&self) -> PortResult<ClaimKeys> {
        let versions = self.vault.versions(&self.arn, self.kind, TAKEN_FOR).await?;
        Ok(keys(&self.stage, versions))
    }
}

#[async_trait]
impl KeysAgain for ClaimSecret {
    /// Strangers can send wrong tokens as fast as they like, and each read costs.
    async fn again(&self) -> PortResult<Option<ClaimKeys>> {
        let mut last = self.last.lock().await;
        match &last.failed {
            Some(error) if last.at.elapsed() < FAILED_FOR => return Err(error.clone()),
            None if last.at.elapsed() < AGAIN_AFTER => return Ok(None),
            Some(_) | None => {}
        }
        let read = self.read().await;
        *last = LastRead { at: Instant::now(), failed: read.as_ref().err().cloned() };
        read.map(Some)
    }
}

fn keys(stage: &str, versions: Versions) -> ClaimKeys {
    let Versions { current, previous, age } = versions;
    let keys = match previous {
        Some(previous) if age < PREVIOUS_FOR => vec![previous, current],
        Some(previous) => vec![current, previous],
        None => vec![current],
    };
    ClaimKeys::new(stage, keys)
}

#[cfg(test)]
mod tests {
    use controller::ports::Secret;
    use fleet::ids::RunnerName;

    use super::*;

    /// Keys as read so many hours after a change.
    fn after(hours: u64) -> ClaimKeys {
        let age = Duration::from_secs(hours * 3_600);
        let previous = (age < TAKEN_FOR).then(|| Secret::new("old"));
        keys("dev", Versions { current: Secret::new("new"), previous, age })
    }

    #[test]
    fn whatever_a_copy_signs_is_taken_by_the_copies_that_may_be_asked() {
        let runner = RunnerName::from("sr-dev-a");
        let signed = |keys: &ClaimKeys| keys.make(&runner, 1).unwrap();
        let takes = |keys: &ClaimKeys, token: &Secret| keys.verify(token.expose(), &runner, 1);
        let before = ClaimKeys::new("dev", vec![Secret::new("old")]);
        for hours in [0, 12, 23] {
            assert!(takes(&before, &signed(&after(hours))), "a copy from before, asked after {hours} h");
            assert!(takes(&after(hours + 24), &signed(&after(hours))), "a copy lives a day");
        }
        assert!(takes(&after(24), &signed(&before)), "a copy from before that still signs");
        assert!(!takes(&before, &signed(&after(24))) && takes(&after(0), &signed(&after(24))));
        assert!(!takes(&after(48), &signed(&before)), "a value that leaked is good for nothing in the end");
    }
}
