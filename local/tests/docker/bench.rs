//! The bench of the Docker engine: an image made here, agents in containers that talk to this process over the bridge.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex as SyncMutex, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bollard::Docker;
use controller::{
    contract::engine::Bench,
    ports::{ClaimEnv, Compute, PortResult, Secret},
};
use fleet::{effect::LaunchSpec, event::Event, ids::TaskId, runner::RunnerInput};
use local::{
    docker::{DockerEngine, DockerSettings, Pull, Visitor},
    word::Word,
};
use tokio::sync::{Mutex, mpsc};

pub(crate) const TOKEN: &str = "a-claim-token-of-this-bench";
pub(crate) const IMAGE: &str = "self-runners-test:bench";
/// An image whose program is not there.
pub(crate) const BROKEN: &str = "self-runners-test:broken";
const DEADLINE: Duration = Duration::from_secs(30);

/// The engine under test.
pub(crate) fn host() -> String {
    std::env::var(crate::HOST).unwrap_or_default()
}

pub(crate) fn docker() -> Docker {
    let path = host();
    Docker::connect_with_unix(path.trim_start_matches("unix://"), 60, bollard::API_DEFAULT_VERSION).unwrap()
}

/// What the agents told: how often each began, and the line to each.
#[derive(Default)]
struct Heard {
    began: BTreeMap<String, Vec<String>>,
    lines: BTreeMap<String, TcpStream>,
}

fn heard() -> &'static SyncMutex<Heard> {
    static HEARD: OnceLock<SyncMutex<Heard>> = OnceLock::new();
    HEARD.get_or_init(SyncMutex::default)
}

/// Opens the ear on the bridge and makes the images.
pub(crate) async fn prepare() {
    let visitor = Visitor::of(&host()).unwrap();
    let gateway = visitor.gateway("bridge").await.unwrap().unwrap();
    let ear = TcpListener::bind((gateway, 0)).unwrap();
    let port = ear.local_addr().unwrap().port();
    std::thread::spawn(move || ear.incoming().flatten().for_each(hear));
    let changes = |program: &str| ["ENTRYPOINT [\"", program, "\"]"].concat();
    let env = vec![format!("ENV BENCH_HOST={gateway}"), format!("ENV BENCH_PORT={port}")];
    let with = |program: &str| [env.clone(), vec![changes(program)]].concat();
    visitor.make_image(IMAGE, files(), with("/agent")).await.unwrap();
    visitor.make_image(BROKEN, files(), with("/nothing")).await.unwrap();
}

fn hear(line: TcpStream) {
    let mut first = String::new();
    let read = BufReader::new(line.try_clone().unwrap()).read_line(&mut first);
    if read.is_err() {
        return;
    }
    let (name, facts) = first.trim().split_once(' ').unwrap_or_default();
    let mut heard = heard().lock().unwrap();
    heard.began.entry(name.to_owned()).or_default().push(facts.to_owned());
    heard.lines.insert(name.to_owned(), line);
}

fn files() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path, bytes).unwrap();
    };
    let bash = std::fs::read("/bin/bash-static").expect("install bash-static");
    add("bin/bash", &bash);
    add("agent", include_bytes!("agent.sh"));
    tar.into_inner().unwrap()
}

pub(crate) struct World {
    pub(crate) dir: Arc<tempfile::TempDir>,
    pub(crate) stage: String,
    pub(crate) engine: DockerEngine,
    words: Mutex<mpsc::Receiver<Word>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut DockerSettings)) -> Self {
        let stage = format!("t{:08x}", fastrand::u32(..));
        Self::of(Arc::new(tempfile::tempdir().unwrap()), stage, change).await
    }

    pub(crate) async fn of(
        dir: Arc<tempfile::TempDir>,
        stage: String,
        change: impl FnOnce(&mut DockerSettings),
    ) -> Self {
        let mut settings = settings(&stage, &dir);
        change(&mut settings);
        let (sender, words) = mpsc::channel(16);
        let engine = DockerEngine::start(settings, sender).await.unwrap();
        Self { dir, stage, engine, words: Mutex::new(words) }
    }

    /// The daemon dies and another one begins: nobody listens to the first one any more.
    pub(crate) async fn next_life(self) -> Self {
        let Self { dir, stage, engine, words } = self;
        drop((engine, words));
        Self::of(dir, stage, |_| {}).await
    }

    pub(crate) async fn launch(&self, spec: &LaunchSpec) -> PortResult<TaskId> {
        self.engine.launch(spec, &claim()).await
    }

    /// Launches and waits until the agent has begun.
    pub(crate) async fn begin(&self, spec: &LaunchSpec) -> TaskId {
        let id = self.launch(spec).await.unwrap();
        until("an agent begins", async || began(spec) > 0).await;
        id
    }

    /// The next word of the engine, kept.
    pub(crate) async fn gone(&self) -> (String, String) {
        match self.event(DEADLINE).await {
            Some(Event::Runner { runner, input: RunnerInput::TaskGone { why } }) => {
                (runner.to_string(), why.to_string())
            }
            other => panic!("not an end: {other:?}"),
        }
    }

    /// The next word of the engine, not kept.
    pub(crate) async fn word(&self) -> Option<Word> {
        tokio::time::timeout(DEADLINE, self.words.lock().await.recv()).await.ok().flatten()
    }

    /// The stage's containers in the engine.
    pub(crate) async fn containers(&self) -> Vec<String> {
        let seen = Visitor::of(&host()).unwrap().containers(&self.stage).await.unwrap();
        seen.into_iter().map(|seen| seen.name).collect()
    }

    pub(crate) async fn is_empty(&self) {
        until("the containers are removed", async || self.containers().await.is_empty()).await;
    }
}

pub(crate) fn settings(stage: &str, dir: &tempfile::TempDir) -> DockerSettings {
    DockerSettings {
        host: host(),
        image: Some(IMAGE.into()),
        pull: Pull::Never,
        stop_grace: Duration::from_secs(1),
        ..DockerSettings::new(stage, dir.path())
    }
}

pub(crate) fn claim() -> ClaimEnv {
    ClaimEnv::Ask { url: "http://127.0.0.1:9".into(), token: Secret::new(TOKEN) }
}

fn name(spec: &LaunchSpec) -> String {
    format!("{}.{}", spec.runner, spec.attempt)
}

/// How often an agent began.
pub(crate) fn began(spec: &LaunchSpec) -> usize {
    heard().lock().unwrap().began.get(&name(spec)).map_or(0, Vec::len)
}

/// What an agent told of its confinement.
pub(crate) fn facts_of(spec: &LaunchSpec) -> String {
    heard().lock().unwrap().began[&name(spec)][0].clone()
}

/// Tells an agent what to do: a number is the code to end with.
pub(crate) fn tell(spec: &LaunchSpec, word: &str) {
    let mut line = heard().lock().unwrap().lines[&name(spec)].try_clone().unwrap();
    writeln!(line, "{word}").unwrap();
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await; // deadline
    }
}

#[async_trait]
impl Bench for World {
    fn engine(&self) -> Arc<dyn Compute> {
        Arc::new(self.engine.clone())
    }

    async fn begun(&self, spec: &LaunchSpec) -> usize {
        began(spec)
    }

    async fn end(&self, spec: &LaunchSpec) {
        tell(spec, "0");
    }

    async fn event(&self, at_most: Duration) -> Option<Event> {
        let word = tokio::time::timeout(at_most, self.words.lock().await.recv()).await.ok().flatten()?;
        let event = word.event().clone();
        word.kept();
        Some(event)
    }
}
