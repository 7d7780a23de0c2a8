//! A deployed stage, looked at and asked: its store is read where it lies, and what a person wants goes into its queue as
//! an event like any other.

use std::{collections::BTreeMap, future::Future, time::Duration};

use async_trait::async_trait;
use aws::{
    Backend, Cloud, Tables,
    deploy::{Deployer, Standing},
    dynamo::DynamoStore,
    queue::EventQueue,
    secrets::Vault,
    settings::State,
    valkey::ValkeyStore,
};
use controller::ports::{About, PortError, PortResult, Secret, Store};
use fleet::{
    decide::{Moment, decide},
    event::{Event, Outcome},
    ledger::Ledger,
    policy::Policy,
    view::{Keys, Record, View},
};
use tokio::time::{Instant, sleep, timeout};

use super::site::{Site, told};
use crate::{
    cloud_args::StageArgs,
    control::{NotDone, Unreachable},
    failure::Failure,
    picture::StageFacts,
    serve::now_ms,
};

/// How long a Valkey may take to answer: one that only the VPC reaches does not.
const STORE_WITHIN: Duration = Duration::from_secs(10);

/// How long a stage may take to do what a person wants: a function's start, and a batch before it.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks whether it is done.
const LOOK_EACH: Duration = Duration::from_millis(500);

/// A stage that is deployed.
pub(crate) struct Stage {
    pub(super) site: Site,
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) status: String,
    pub(super) region: String,
}

/// What is read of a store.
#[async_trait]
trait Rows: Store {
    async fn all(&self) -> PortResult<Ledger>;
}

#[async_trait]
impl<B: Backend> Rows for Tables<B> {
    async fn all(&self) -> PortResult<Ledger> {
        self.ledger().await
    }
}

impl Stage {
    /// Looks for it.
    pub(crate) fn open(args: &StageArgs) -> Result<Self, Failure> {
        let site = Site::open(args)?;
        let (deployer, standing) = site.runtime.block_on(async {
            let deployer = Deployer::open(&site.cloud, site.stage()).await.map_err(told)?;
            let standing = deployer.standing().await.map_err(told)?;
            Ok::<_, Failure>((deployer, standing))
        })?;
        Self::of(site, &deployer, standing)
    }

    /// The one that was found.
    pub(super) fn of(site: Site, deployer: &Deployer, standing: Standing) -> Result<Self, Failure> {
        let (name, account, region) = (deployer.name(), &deployer.identity.account, deployer.region.clone());
        let deploy = format!("`self-runners deploy --stage {}`", site.stage());
        let (status, outputs) = match standing {
            Standing::Deployed { status, outputs } => (status, outputs),
            // While an update runs, the stage works on.
            Standing::Busy(status) | Standing::Stuck(status) => {
                let outputs = site.runtime.block_on(deployer.outputs()).map_err(told)?;
                // One that is made for the first time, or goes, has none.
                if outputs.is_empty() {
                    let what = format!("{name} is {status}: wait until that has ended, then run this again");
                    return Err(Failure::failed(what));
                }
                (status, outputs)
            }
            Standing::Nothing => {
                let what = format!("there is no {name} in account {account} and {region}: {deploy} makes it");
                return Err(Failure::failed(what));
            }
            Standing::Broken(status) => {
                return Err(Failure::failed(format!("{name} is not deployed ({status}): {deploy} begins anew")));
            }
        };
        Ok(Self { site, outputs, status, region })
    }

    pub(super) fn cloud(&self) -> &Cloud {
        &self.site.cloud
    }

    /// Does it, with AWS's words where it fails.
    pub(super) fn run<T>(&self, doing: impl Future<Output = PortResult<T>>) -> Result<T, Failure> {
        self.site.runtime.block_on(doing).map_err(told)
    }

    pub(super) fn output(&self, name: &str) -> PortResult<&str> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            PortError::retry(format!(
                "the stack has no output {name}: run `self-runners deploy` again, with this version"
            ))
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.site.stage()
    }

    /// The rules that the configuration sets.
    pub(crate) fn policy(&self) -> &Policy {
        &self.site.deployment.policy
    }

    /// What it says of itself.
    pub(crate) fn facts(&self) -> Result<StageFacts, Failure> {
        Ok(StageFacts {
            name: self.name().into(),
            region: self.region.clone(),
            status: self.status.clone(),
            webhook_url: self.webhook_url()?,
            dead_letters: self.run(async { self.queue("DeadLetterQueueUrl")?.depth().await })?,
            sweep_interval_ms: self.site.deployment.operator.sweep_interval_ms,
        })
    }

    /// Where GitHub sends webhooks.
    pub(crate) fn webhook_url(&self) -> Result<String, Failure> {
        self.output("WebhookUrl").map(str::to_owned).map_err(told)
    }

    /// What GitHub signs webhooks with.
    pub(crate) fn webhook_secret(&self) -> Result<Secret, Failure> {
        let kind = aws::secrets::WEBHOOK_SECRET;
        let read = self.run(Vault::new(self.cloud()).read(&kind.path(self.name()), kind))?;
        read.into_iter().next().ok_or_else(|| Failure::failed("the webhook's secret is empty"))
    }

    /// Events that wait to be handled, about.
    pub(crate) fn letters(&self) -> Result<u64, Failure> {
        self.run(async { self.queue("QueueUrl")?.depth().await })
    }

    /// All tables.
    pub(crate) fn ledger(&self) -> Result<Ledger, Failure> {
        self.run(async { self.store().await?.all().await })
    }

    /// Entries of the log of decisions, newest first.
    pub(crate) fn records(&self, about: &About, limit: usize) -> Result<Vec<Record>, Failure> {
        self.run(async { self.store().await?.records(about, limit).await })
    }

    pub(super) fn queue(&self, output: &str) -> PortResult<EventQueue> {
        Ok(EventQueue::new(self.cloud(), self.output(output)?))
    }

    async fn store(&self) -> PortResult<Box<dyn Rows>> {
        let (url, secret) = match &self.site.deployment.settings.state {
            State::DynamoDb => {
                return Ok(Box::new(DynamoStore::open(self.cloud(), self.output("StateTableName")?)));
            }
            State::Valkey => (self.output("StateUrl")?, None),
            State::ValkeyAt(at) => (at.url.as_str(), at.secret.as_deref()),
        };
        let full = Vault::new(self.cloud()).server_url(url, secret).await?;
        match timeout(STORE_WITHIN, ValkeyStore::open(full.expose(), self.name())).await {
            Ok(opened) => Ok(Box::new(opened?)),
            Err(_) => Err(PortError::retry(format!(
                "the stage's state is in Valkey at {url}, which does not answer from here: run this on a machine that \
                 reaches it, as inside its VPC"
            ))),
        }
    }

    /// Puts what a person wants into the queue and waits until it is done. What a decision would say to it now is what is
    /// told, and what it would refuse is refused here.
    pub(crate) fn wish(&self, event: Event) -> Result<String, NotDone> {
        let doing = async {
            let store = self.store().await?;
            let view = self.view(&*store, &event).await?;
            let said = match self.outcome(&view, &event) {
                Ok(said) => said,
                Err(why) => return Ok(Err(NotDone::Refused(why))),
            };
            self.queue("QueueUrl")?.append(std::slice::from_ref(&event)).await?;
            let deadline = Instant::now() + DONE_WITHIN;
            while Instant::now() < deadline {
                let now = self.view(&*store, &event).await?;
                if (&now.drains, &now.runners) != (&view.drains, &view.runners) {
                    return Ok(Ok(said));
                }
                sleep(LOOK_EACH).await;
            }
            let seconds = DONE_WITHIN.as_secs();
            let name = self.name();
            Ok(Err(NotDone::Refused(format!(
                "asked, and not done within {seconds} s: `self-runners status --stage {name}` shows whether it is later"
            ))))
        };
        let done: PortResult<Result<String, NotDone>> = self.site.runtime.block_on(doing);
        done.unwrap_or_else(|error| {
            let what = error.message;
            Err(NotDone::Unreachable(Unreachable {
                what,
                next: format!("`self-runners doctor --stage {}` looks", self.name()),
            }))
        })
    }

    /// What a decision on it rests on.
    async fn view(&self, store: &dyn Rows, event: &Event) -> PortResult<View> {
        let keys = Keys::of(self.policy(), std::slice::from_ref(event));
        store.load(&keys, now_ms()).await
    }

    /// What would be done, or why nothing.
    fn outcome(&self, view: &View, event: &Event) -> Result<String, String> {
        let moment = Moment { now_ms: now_ms(), nonce: fastrand::u64(..) };
        let decision = decide(self.policy(), view, std::slice::from_ref(event), moment);
        match decision.outcomes.into_iter().next() {
            Some(Outcome::Accepted(text)) => Ok(text),
            Some(Outcome::Refused(why)) => Err(why),
            Some(Outcome::Unknown) => Err("no such runner is known here".into()),
            _ => Err("that changes nothing".into()),
        }
    }
}
