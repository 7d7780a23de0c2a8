//! Deploying a stage: a change set says what would be done, the functions' code goes into a bucket of the account,
//! CloudFormation does it. And taking it away again.
//!
//! | module | what it holds |
//! |---|---|
//! | `artefacts` | the functions' code as `cargo xtask dist` made it, checked |
//! | `bucket` | where it lies for CloudFormation |
//! | `formation` | CloudFormation: change sets, events |
//! | `change` | what a change set says, and what of it a person must know; pure |
//! | `progress` | what the events of a stack tell, and what broke first; pure |

mod artefacts;
mod bucket;
mod change;
mod formation;
mod progress;

use std::collections::BTreeMap;

use controller::ports::{ErrorKind, PortError, PortResult};

pub use artefacts::Artefacts;
pub use change::{Act, Change, Replacement};
pub use formation::Proposal;
pub use progress::{Happening, advice, first_cause};

use self::{
    bucket::Bucket,
    formation::{Formation, TemplateAt},
};
use crate::{Cloud, Identity, stack::stack_name};

/// What tells a person how it goes on.
pub type Tell<'a> = dyn FnMut(&Happening) + Send + 'a;

/// How a stage stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is nothing, or nothing but a change set that nobody carried out.
    Nothing,
    /// It is deployed: CloudFormation's word for how, and the outputs.
    Deployed {
        /// As CloudFormation calls it: `UPDATE_COMPLETE`.
        status: String,
        /// The outputs by name.
        outputs: BTreeMap<String, String>,
    },
    /// A first deployment failed; its remains must be taken away before the next.
    Broken(String),
    /// Something is under way.
    Busy(String),
    /// CloudFormation could not take an update back: a person must look.
    Stuck(String),
}

/// A stage in an account.
#[derive(Debug)]
pub struct Deployer {
    name: String,
    formation: Formation,
    bucket: Bucket,
    /// Whose account it is.
    pub identity: Identity,
    /// The Region.
    pub region: String,
}

impl Deployer {
    /// Looks whose account it is.
    ///
    /// # Errors
    /// No Region is known, or AWS does not accept the credentials.
    pub async fn open(cloud: &Cloud, stage: &str) -> PortResult<Self> {
        let region = cloud.region().map(str::to_owned).ok_or_else(|| {
            let why = "no Region: write `region` below [aws], or set AWS_REGION";
            PortError::new(ErrorKind::Invalid, why)
        })?;
        let identity = cloud.identity().await?;
        let bucket = Bucket::new(cloud, &identity.account, &region);
        Ok(Self { name: stack_name(stage), formation: Formation::new(cloud), bucket, identity, region })
    }

    /// The stack's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.bucket.name()
    }

    /// How the stage stands.
    ///
    /// # Errors
    /// `Denied`, `Retry`.
    pub async fn standing(&self) -> PortResult<Standing> {
        self.formation.standing(&self.name).await
    }

    /// The stack's outputs, whatever is under way.
    ///
    /// # Errors
    /// `Denied`, `Retry`.
    pub async fn outputs(&self) -> PortResult<BTreeMap<String, String>> {
        self.formation.outputs(&self.name).await
    }

    /// Asks what would be done; `None`: nothing would. Nothing is made for it but the change set, and, for a template that
    /// is too large to be sent with the question, the bucket.
    ///
    /// # Errors
    /// `Invalid`: CloudFormation refuses the template, with its reason. `Denied`, `Retry`.
    pub async fn propose(&self, artefacts: &Artefacts, template: &str, first: bool) -> PortResult<Option<Proposal>> {
        let place = if template.len() > TEMPLATE_BODY_BYTES_MAX {
            self.bucket.make().await?;
            let key = artefacts::template_key(template);
            self.bucket.put(&key, template.as_bytes()).await?;
            TemplateAt::Url(self.bucket.url(&key))
        } else {
            TemplateAt::Here(template.to_owned())
        };
        let prefix = artefacts.prefix();
        let parameters = [("ArtefactBucket", self.bucket.name()), ("ArtefactPrefix", prefix.as_str())];
        self.formation.propose(&self.name, place, &parameters, first).await
    }

    /// Puts code where the functions take it from, as far as it is not there.
    ///
    /// # Errors
    /// `Denied`, `Retry`.
    pub async fn upload(&self, artefacts: &Artefacts) -> PortResult<()> {
        self.bucket.make().await?;
        for (name, code) in artefacts.files() {
            self.bucket.put(&format!("{}{name}", artefacts.prefix()), code).await?;
        }
        Ok(())
    }

    /// Takes a proposal back: nothing of it stays.
    ///
    /// # Errors
    /// `Denied`, `Retry`.
    pub async fn withdraw(&self, proposal: &Proposal, first: bool) -> PortResult<()> {
        self.formation.withdraw(proposal).await?;
        // The change set of a stack that is not there yet leaves an empty one.
        if first { self.formation.delete(&self.name).await } else { Ok(()) }
    }

    /// Does what was proposed, and tells what happens. The outputs.
    ///
    /// # Errors
    /// `Invalid`: it failed and was taken back; the message is the first cause. `Denied`, `Retry`.
    pub async fn carry_out(&self, proposal: &Proposal, tell: &mut Tell<'_>) -> PortResult<BTreeMap<String, String>> {
        let seen = self.formation.events(&self.name).await?;
        self.formation.execute(proposal).await?;
        let happened = self.formation.follow(&self.name, seen, tell).await?;
        match self.standing().await? {
            Standing::Deployed { status, outputs } if is_well(&status) => Ok(outputs),
            Standing::Deployed { status, .. }
            | Standing::Broken(status)
            | Standing::Busy(status)
            | Standing::Stuck(status) => Err(failed(&status, &happened)),
            Standing::Nothing => Err(failed("gone", &happened)),
        }
    }

    /// Takes the stack away, and tells what happens.
    ///
    /// # Errors
    /// `Invalid`: something cannot be deleted, with the first cause. `Denied`, `Retry`.
    pub async fn destroy(&self, tell: &mut Tell<'_>) -> PortResult<()> {
        let seen = self.formation.events(&self.name).await?;
        self.formation.delete(&self.name).await?;
        let happened = self.formation.follow(&self.name, seen, tell).await?;
        match self.standing().await? {
            Standing::Nothing => Ok(()),
            Standing::Deployed { status, .. }
            | Standing::Broken(status)
            | Standing::Busy(status)
            | Standing::Stuck(status) => Err(failed(&status, &happened)),
        }
    }

    /// Takes the bucket away if no stage of this account and Region uses it; whether it is gone.
    ///
    /// # Errors
    /// `Denied`, `Retry`.
    pub async fn destroy_bucket(&self) -> PortResult<bool> {
        if self.formation.has_others().await? {
            return Ok(false);
        }
        self.bucket.destroy().await?;
        Ok(true)
    }
}

/// What CloudFormation takes of a template with a call
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>).
const TEMPLATE_BODY_BYTES_MAX: usize = 51_200;

/// Whether the last thing that was done to a stack was done as it was meant.
#[must_use]
pub fn is_well(status: &str) -> bool {
    status.ends_with("_COMPLETE") && !status.contains("ROLLBACK")
}

fn failed(status: &str, happened: &[Happening]) -> PortError {
    let cause = first_cause(happened).map_or_else(
        || "CloudFormation tells no cause: look at the stack's events".to_owned(),
        |cause| {
            let advice = advice(&cause.reason).map(|advice| format!(" ({advice})")).unwrap_or_default();
            format!("{} ({}): {}{advice}", cause.id, cause.kind, cause.reason)
        },
    );
    PortError::new(ErrorKind::Invalid, format!("it failed ({status}). The first cause: {cause}"))
}
