//! The client: GitHub's side of the ports, over REST.
//!
//! It asks and reads; whether and when to ask again is the caller's to decide, who has the budget. No token and no JIT
//! config is ever in an error, a log or a `Debug`.

mod app_deliveries;
mod check;
mod deliveries;
mod etags;
mod fetch;
mod glance;
mod groups;
mod jobs;
mod known;
mod own_hook;
mod pages;
mod releases;
mod runners;
mod transport;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use controller::ports::{
    Clock, ErrorKind, FailedDelivery, GitHub, JitConfig, JitRequest, Look, PortResult, RegistrationToken,
};
use fleet::{
    event::{Event, Registration},
    ids::{JobId, RegistrationId, Repo, Scope},
    rota::How,
};
use tokio::sync::OnceCell;

use self::{app_deliveries::Recent, etags::Etags, glance::Glances, jobs::Cursors, known::Known, transport::Transport};
pub use self::{
    check::Checked,
    groups::RunnerGroup,
    own_hook::{HookSet, HookState},
    runners::RunnerToken,
};
use crate::{
    settings::{self, GITHUB_COM, Settings},
    token::TokenSource,
    wire::Wire,
};

/// The REST client.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    transport: Transport,
    /// Runner groups by scope and lower-case name.
    groups: Known<(Scope, String)>,
    /// Our webhooks.
    hooks: Known<Scope>,
    /// Whether the App's webhook is ours.
    app_hook: OnceCell<bool>,
    /// The App's deliveries as they were listed last.
    recent: Mutex<Option<Recent>>,
    /// Repositories' numbers.
    repositories: Known<Repo>,
    glances: Glances,
    cursors: Cursors,
}

impl Client {
    /// A client. Nothing is asked yet.
    ///
    /// # Errors
    /// `Invalid` if the settings cannot work.
    pub fn new(settings: Settings, tokens: Arc<dyn TokenSource>, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let releases_url = settings.releases_url.as_deref().unwrap_or(GITHUB_COM);
        let elsewhere = settings::base(releases_url)? != settings::base(&settings.base_url)?;
        let releases = elsewhere.then(|| Wire::new(releases_url, &settings, clock.clone())).transpose()?;
        let github = Wire::new(&settings.base_url, &settings, clock)?;
        let transport = Transport { github, releases, tokens, etags: Mutex::new(Etags::default()) };
        Ok(Self {
            settings,
            transport,
            groups: Known::new(),
            hooks: Known::new(),
            app_hook: OnceCell::new(),
            recent: Mutex::new(None),
            repositories: Known::new(),
            glances: Glances::default(),
            cursors: Cursors::default(),
        })
    }
}

/// "There is no such thing" as a value.
fn found<T>(result: PortResult<T>) -> PortResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl GitHub for Client {
    async fn jit_config(&self, request: &JitRequest) -> PortResult<JitConfig> {
        self.make_jit_config(request).await
    }

    async fn registration_token(&self, scope: &Scope) -> PortResult<RegistrationToken> {
        self.make_registration_token(scope).await
    }

    async fn runners(&self, scope: &Scope) -> PortResult<Vec<Registration>> {
        self.list_runners(scope).await
    }

    async fn runner_by_name(&self, scope: &Scope, name: &str) -> PortResult<Option<Registration>> {
        self.find_runner(scope, name).await
    }

    async fn runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<Option<Registration>> {
        self.read_runner(scope, id).await
    }

    async fn delete_runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<()> {
        self.end_runner(scope, id).await
    }

    async fn job(&self, repo: &Repo, id: JobId) -> PortResult<Option<Event>> {
        self.read_job(repo, id).await
    }

    async fn open_jobs(&self, repo: &Repo) -> PortResult<Vec<Event>> {
        Ok(self.list_open_jobs(repo).await?.jobs.unwrap_or_default())
    }

    async fn look(&self, repo: &Repo, how: How) -> PortResult<Look> {
        self.look_at(repo, how).await
    }

    async fn repositories(&self, owner: &str) -> PortResult<Vec<Repo>> {
        self.list_repositories(owner).await
    }

    async fn rerun_job(&self, repo: &Repo, id: JobId) -> PortResult<()> {
        self.rerun(repo, id).await
    }

    async fn failed_deliveries(&self, scope: &Scope, since_ms: u64) -> PortResult<Vec<FailedDelivery>> {
        self.list_failed(scope, since_ms).await
    }

    async fn redeliver(&self, scope: &Scope, id: u64) -> PortResult<()> {
        self.deliver_again(scope, id).await
    }
}
