//! An engine over stand-in agents (`agent.sh`), and what they leave to see.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use controller::{
    contract::engine::Bench,
    ports::{ClaimEnv, Compute, PortResult, Secret},
};
use fleet::{effect::LaunchSpec, event::Event, ids::TaskId, runner::RunnerInput};
use local::{
    process::{ProcessEngine, ProcessSettings},
    word::Word,
};
use tokio::sync::{Mutex, mpsc};

pub(crate) const TOKEN: &str = "a-claim-token-that-nobody-else-may-see";
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) dir: Arc<tempfile::TempDir>,
    pub(crate) engine: ProcessEngine,
    words: Mutex<mpsc::Receiver<Word>>,
}

/// Settings for agents in `dir`.
pub(crate) fn settings(dir: &Path) -> ProcessSettings {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/agent.sh");
    let program = dir.join("program");
    fs::create_dir_all(program.join("bin")).unwrap();
    fs::write(program.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::write(program.join(".credentials"), "of another runner").unwrap();
    fs::create_dir_all(dir.join("seen")).unwrap();
    ProcessSettings {
        args: vec![script.into(), dir.join("seen").to_string_lossy().into()],
        stop_grace: Duration::from_millis(200),
        unborn_grace: Duration::from_millis(100),
        ..ProcessSettings::new(dir.join("engine"), "bash", program)
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ProcessSettings)) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::of(dir, change).await
    }

    pub(crate) async fn of(dir: Arc<tempfile::TempDir>, change: impl FnOnce(&mut ProcessSettings)) -> Self {
        let mut settings = settings(dir.path());
        change(&mut settings);
        let (sender, words) = mpsc::channel(16);
        let engine = ProcessEngine::start(settings, sender).await.unwrap();
        Self { dir, engine, words: Mutex::new(words) }
    }

    pub(crate) fn seen(&self, file: &str) -> PathBuf {
        self.dir.path().join("seen").join(file)
    }

    pub(crate) fn task(&self, id: &TaskId) -> PathBuf {
        self.dir.path().join("engine/runners").join(id.as_str())
    }

    pub(crate) async fn launch(&self, spec: &LaunchSpec) -> PortResult<TaskId> {
        self.engine.launch(spec, &claim()).await
    }

    /// Launches and waits until the agent has begun.
    pub(crate) async fn begin(&self, spec: &LaunchSpec) -> TaskId {
        let id = self.launch(spec).await.unwrap();
        until("an agent begins", || self.count(spec) > 0).await;
        id
    }

    /// The next report of an end.
    pub(crate) async fn gone(&self) -> (String, String) {
        match self.event(DEADLINE).await {
            Some(Event::Runner { runner, input: RunnerInput::TaskGone { why } }) => {
                (runner.to_string(), why.to_string())
            }
            other => panic!("not an end: {other:?}"),
        }
    }

    pub(crate) fn count(&self, spec: &LaunchSpec) -> usize {
        let begun = fs::read_to_string(self.seen(&format!("{}.{}.begun", spec.runner, spec.attempt)));
        begun.unwrap_or_default().lines().count()
    }

    /// Lets an agent that has begun end with a code.
    pub(crate) fn end_with(&self, spec: &LaunchSpec, code: u8) {
        let path = self.seen(&format!("{}.{}.end", spec.runner, spec.attempt));
        fs::write(path, code.to_string()).unwrap();
    }
}

pub(crate) fn claim() -> ClaimEnv {
    ClaimEnv::Ask { url: "http://127.0.0.1:9".into(), token: Secret::new(TOKEN) }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await; // deadline
    }
}

#[async_trait]
impl Bench for World {
    fn engine(&self) -> Arc<dyn Compute> {
        Arc::new(self.engine.clone())
    }

    async fn begun(&self, spec: &LaunchSpec) -> usize {
        self.count(spec)
    }

    async fn end(&self, spec: &LaunchSpec) {
        self.end_with(spec, 0);
    }

    async fn event(&self, at_most: Duration) -> Option<Event> {
        let word = tokio::time::timeout(at_most, self.words.lock().await.recv()).await.ok().flatten()?;
        let event = word.event().clone();
        word.kept();
        Some(event)
    }
}
