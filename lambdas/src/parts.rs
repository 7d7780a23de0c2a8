//! A function is put together here: from its environment, the adapters that this names, and nothing else. Read once, when
//! a copy of the function begins; a copy that cannot begin ends with the reason, and is not called.

use std::sync::Arc;

use async_trait::async_trait;
use aws::{
    Cloud, CloudSettings,
    dynamo::DynamoStore,
    ecs::EcsEngine,
    environment::{Credential, Environment, Store as StoreName},
    queue::EventQueue,
    secrets::{API_TOKEN, APP_KEY, KeptSecret, KeptUrl, Vault, WEBHOOK_SECRET},
    valkey::ValkeyStore,
};
use controller::{
    ports::{ClaimEnv, Compute, ErrorKind, PortError, PortResult, Ports, Secret, Store},
    service::Controller,
    settings::Settings,
};
use fleet::{
    effect::LaunchSpec,
    event::{Event, Task},
    ids::TaskId,
};
use github::{App, AppTokens, Client, TokenSource};
use lambda_runtime::Error;

use crate::{
    agent::AgentFunction,
    claims::ClaimSecret,
    clock::WallClock,
    credentials::{SecretKey, SecretToken},
    notices::CountedNotices,
    scaler::Caller,
    wake::{Later, Wakes},
    webhook::{Queue, WebhookFunction, WebhookSecrets},
};

/// Where a function is.
pub struct Parts {
    environment: Environment,
    cloud: Cloud,
    vault: Vault,
}

impl Parts {
    /// Reads the environment. Talks to nobody.
    ///
    /// # Errors
    /// A variable is missing: the message says what to do.
    pub async fn open() -> Result<Self, Error> {
        let environment = Environment::from_env()?;
        let cloud = Cloud::open(&CloudSettings::default()).await;
        let vault = Vault::new(&cloud);
        Ok(Self { environment, cloud, vault })
    }

    /// Name of the stage.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.environment.common.stage
    }

    /// `WebhookHandlerGHA`.
    ///
    /// # Errors
    /// A variable is missing.
    pub fn webhook(&self) -> Result<WebhookFunction, Error> {
        let arn = &self.environment.webhook()?.secret_arn;
        Ok(WebhookFunction {
            policy: self.environment.intake()?.policy()?,
            secrets: Arc::new(Rotated(KeptSecret::new(self.vault.clone(), arn, WEBHOOK_SECRET))),
            queue: Arc::new(self.queue()?),
        })
    }

    /// What the functions with a controller share.
    ///
    /// # Errors
    /// A variable is missing, a secret cannot be read, the store does not answer.
    pub async fn caller(&self, function: &str) -> Result<Caller, Error> {
        let core = self.environment.core()?;
        let policy = self.environment.intake()?.policy()?;
        let (store, clock) = (self.store().await?, Arc::new(WallClock));
        let ports = Ports {
            github: Arc::new(self.github(clock.clone()).await?),
            compute: self.compute(&policy),
            store: store.clone(),
            notifier: Arc::new(CountedNotices { stage: self.stage().to_owned() }),
            clock: clock.clone(),
        };
        let settings = Settings {
            url: core.public_url.trim_end_matches('/').to_owned(),
            heartbeat_ms: core.heartbeat_ms()?,
            redeliver: core.redeliver(),
            discover: core.discover(),
            ..Settings::default()
        };
        let keys = self.claim_secret()?.read().await?;
        let owner = format!("{function}-{:016x}", fastrand::u64(..));
        let controller = Arc::new(Controller::new(ports, policy, settings, keys, &owner));
        Ok(Caller { controller, wakes: Wakes { store, later: Arc::new(self.queue()?) }, clock })
    }

    /// `AgentHandler`.
    ///
    /// # Errors
    /// As [`Parts::caller`].
    pub async fn agent(&self) -> Result<AgentFunction, Error> {
        Ok(AgentFunction { caller: self.caller("agent").await?, secret: Arc::new(self.claim_secret()?) })
    }

    fn claim_secret(&self) -> Result<ClaimSecret, Error> {
        let credential = self.environment.credential()?;
        let kind = match credential {
            Credential::Token(_) => API_TOKEN,
            Credential::App(_) => APP_KEY,
        };
        Ok(ClaimSecret::new(self.vault.clone(), self.stage(), credential.secret_arn(), kind))
    }

    fn queue(&self) -> Result<SqsQueue, Error> {
        Ok(SqsQueue(EventQueue::new(&self.cloud, self.environment.intake()?.queue_url.as_str())))
    }

    fn compute(&self, policy: &fleet::policy::Policy) -> Arc<dyn Compute> {
        match &self.environment.engine {
            Some(engine) => Arc::new(EcsEngine::new(&self.cloud, engine.settings(policy))),
            None => Arc::new(NoEngine),
        }
    }

    async fn store(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(match self.environment.store()? {
            StoreName::Table(table) => Arc::new(DynamoStore::open(&self.cloud, &table.name)),
            StoreName::Valkey(valkey) => {
                let url = KeptUrl::new(self.vault.clone(), &valkey.url, valkey.secret_arn());
                Arc::new(ValkeyStore::open_by(Arc::new(url), self.stage()).await?)
            }
        })
    }

    async fn github(&self, clock: Arc<WallClock>) -> Result<Client, Error> {
        let core = self.environment.core()?;
        let settings = github::Settings {
            base_url: core.github_api_url.clone(),
            hook_url: Some(core.webhook_url.clone()),
            ..github::Settings::default()
        };
        let tokens: Arc<dyn TokenSource> = match self.environment.credential()? {
            Credential::Token(token) => {
                Arc::new(SecretToken::new(KeptSecret::new(self.vault.clone(), &token.secret_arn, API_TOKEN)))
            }
            Credential::App(app) => {
                let keys = SecretKey::new(KeptSecret::new(self.vault.clone(), &app.secret_arn, APP_KEY));
                let app = App { id: app.id.clone(), key: keys.read().await? };
                Arc::new(AppTokens::new(app, &settings, clock.clone())?.with_keys(Arc::new(keys)))
            }
        };
        Ok(Client::new(settings, tokens, clock)?)
    }
}

/// The webhook's secrets.
struct Rotated(KeptSecret);

#[async_trait]
impl WebhookSecrets for Rotated {
    async fn current(&self) -> PortResult<Vec<Secret>> {
        self.0.current().await
    }

    async fn again(&self) -> PortResult<Vec<Secret>> {
        self.0.again().await
    }
}

/// The queue, as the functions use it.
struct SqsQueue(EventQueue);

#[async_trait]
impl Queue for SqsQueue {
    async fn append(&self, event: &Event) -> PortResult<()> {
        self.0.append(std::slice::from_ref(event)).await
    }
}

#[async_trait]
impl Later for SqsQueue {
    async fn wake(&self, due_ms: u64, now_ms: u64) -> PortResult<()> {
        self.0.wake(due_ms, now_ms).await
    }
}

/// Of a function that answers agents: it starts and stops nothing.
struct NoEngine;

impl NoEngine {
    fn refused<T>() -> PortResult<T> {
        Err(PortError::new(ErrorKind::Denied, "this function starts and stops nothing"))
    }
}

#[async_trait]
impl Compute for NoEngine {
    async fn launch(&self, _spec: &LaunchSpec, _claim: &ClaimEnv) -> PortResult<TaskId> {
        // Whoever may try next is not refused by this word.
        Err(PortError::retry("this function starts nothing"))
    }

    async fn stop(&self, _task: &TaskId, _why: &str) -> PortResult<()> {
        Self::refused()
    }

    async fn read(&self, _task: &TaskId) -> PortResult<Option<Task>> {
        Self::refused()
    }

    async fn list(&self) -> PortResult<Vec<Task>> {
        Self::refused()
    }
}
