//! The adapters of a daemon: store, engine, GitHub. Each failure is told with what to do next.

use std::{net::IpAddr, sync::Arc, time::Duration};

use controller::ports::{Compute, PortError};
use local::{
    docker::{DockerEngine, DockerSettings, Pull},
    process::{ProcessEngine, ProcessSettings},
    programs::Programs,
    sqlite::SqliteStore,
    word::Word,
};
use tokio::sync::mpsc;

use super::{
    config::{EngineSection, PullWhen},
    credentials,
    plan::Plan,
    programs::GitHubSource,
};
use crate::failure::Failure;

/// The adapters.
pub(crate) struct Parts {
    /// The SQLite file.
    pub(crate) store: Arc<SqliteStore>,
    /// The engine.
    pub(crate) compute: Arc<dyn Compute>,
    /// GitHub.
    pub(crate) github: Arc<github::Client>,
    /// This machine's address on the machines' own network, if they have one.
    pub(crate) gateway: Option<IpAddr>,
    /// What the engine says of its machines.
    pub(crate) words: mpsc::Receiver<Word>,
}

impl Parts {
    /// Opens all of them.
    pub(crate) async fn open(plan: &Plan) -> Result<Self, Failure> {
        // The store first: it is what keeps a second daemon out.
        let store = Arc::new(SqliteStore::open(plan.store_path()).await.map_err(told)?);
        let (speak, words) = mpsc::channel(WORDS_MAX);
        let github = credentials::client(plan).map_err(told)?;
        let (compute, gateway) = engine(plan, github.clone(), speak).await?;
        Ok(Self { store, compute, github, gateway, words })
    }
}

async fn engine(
    plan: &Plan,
    github: Arc<github::Client>,
    words: mpsc::Sender<Word>,
) -> Result<(Arc<dyn Compute>, Option<IpAddr>), Failure> {
    if let Some(settings) = docker(plan) {
        let engine = DockerEngine::start(settings, words).await.map_err(told)?;
        let gateway = engine.gateway();
        return Ok((Arc::new(engine), gateway));
    }
    let engine = ProcessEngine::start(processes(plan, github)?, words).await.map_err(told)?;
    Ok((Arc::new(engine), None))
}

fn processes(plan: &Plan, github: Arc<github::Client>) -> Result<ProcessSettings, Failure> {
    let program =
        std::env::current_exe().map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    let runner_dir = plan.runner_dir.clone().unwrap_or_default();
    let fetched = plan.runner_dir.is_none().then(|| Programs::open(&plan.data_dir, Arc::new(GitHubSource(github))));
    let mut settings = ProcessSettings::new(&plan.data_dir, program, runner_dir);
    settings.programs = fetched.transpose().map_err(told)?.map(Arc::new);
    if let EngineSection::Process { pass_env, keep_logs, half_launch_wait_ms, .. } = &plan.file.engine {
        settings.pass_env.clone_from(pass_env);
        settings.keep = *keep_logs;
        settings.unborn_grace = Duration::from_millis(*half_launch_wait_ms);
    }
    Ok(settings)
}

fn docker(plan: &Plan) -> Option<DockerSettings> {
    let EngineSection::Docker { image, pull, host, network, user, runner_dir, allow_sudo, pass_env, keep_logs } =
        &plan.file.engine
    else {
        return None;
    };
    Some(DockerSettings {
        host: host.clone(),
        image: image.clone(),
        pull: match pull {
            PullWhen::Never => Pull::Never,
            PullWhen::Missing => Pull::Missing,
            PullWhen::Always => Pull::Always,
        },
        network: network.clone(),
        user: user.clone(),
        runner_dir: runner_dir.clone(),
        allow_sudo: *allow_sudo,
        pass_env: pass_env.clone(),
        keep_logs: *keep_logs,
        ..DockerSettings::new(&plan.policy.stage, &plan.data_dir)
    })
}

fn told(error: PortError) -> Failure {
    Failure::failed(error.message)
}

/// Words of the engine that wait to be handled; it waits then, too.
const WORDS_MAX: usize = 256;
