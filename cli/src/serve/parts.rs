//! The adapters of a daemon: store, engine, GitHub. Each failure is told with what to do next.

use std::{sync::Arc, time::Duration};

use controller::ports::{Compute, GitHub, PortError};
use local::{
    process::{ProcessEngine, ProcessSettings},
    programs::Programs,
    sqlite::SqliteStore,
    word::Word,
};
use tokio::sync::mpsc;

use super::{
    clock::WallClock,
    config::EngineSection,
    plan::{NO_TOKEN, Plan},
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
    pub(crate) github: Arc<dyn GitHub>,
    /// What the engine says of its machines.
    pub(crate) words: mpsc::Receiver<Word>,
}

impl Parts {
    /// Opens all of them.
    pub(crate) async fn open(plan: &Plan) -> Result<Self, Failure> {
        // The store first: it is what keeps a second daemon out.
        let store = Arc::new(SqliteStore::open(plan.store_path()).await.map_err(told)?);
        let (speak, words) = mpsc::channel(WORDS_MAX);
        let github = github(plan)?;
        let compute = engine(plan, github.clone(), speak).await?;
        Ok(Self { store, compute, github, words })
    }
}

async fn engine(
    plan: &Plan,
    github: Arc<github::Client>,
    words: mpsc::Sender<Word>,
) -> Result<Arc<dyn Compute>, Failure> {
    let program =
        std::env::current_exe().map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    let EngineSection::Process { pass_env, keep_logs, half_launch_wait_ms, .. } = &plan.file.engine;
    let fetched = plan.runner_dir.is_none().then(|| Programs::open(&plan.data_dir, Arc::new(GitHubSource(github))));
    let settings = ProcessSettings {
        programs: fetched.transpose().map_err(told)?.map(Arc::new),
        pass_env: pass_env.clone(),
        keep: *keep_logs,
        unborn_grace: Duration::from_millis(*half_launch_wait_ms),
        ..ProcessSettings::new(&plan.data_dir, program, plan.runner_dir.clone().unwrap_or_default())
    };
    Ok(Arc::new(ProcessEngine::start(settings, words).await.map_err(told)?))
}

fn github(plan: &Plan) -> Result<Arc<github::Client>, Failure> {
    let section = &plan.file.github;
    let settings = github::Settings {
        base_url: section.api_url.clone(),
        // A GitHub of this machine has everything itself.
        releases_url: section.api_url.starts_with("http://").then(|| section.api_url.clone()),
        hook_url: section.webhook_url.clone(),
        ..github::Settings::default()
    };
    let token = plan.secrets.github_token.as_ref().ok_or_else(|| Failure::usage(NO_TOKEN))?;
    let token = Arc::new(github::StaticToken::new(token.expose()));
    let client = github::Client::new(settings, token, Arc::new(WallClock)).map_err(told)?;
    Ok(Arc::new(client))
}

fn told(error: PortError) -> Failure {
    Failure::failed(error.message)
}

/// Words of the engine that wait to be handled; it waits then, too.
const WORDS_MAX: usize = 256;
