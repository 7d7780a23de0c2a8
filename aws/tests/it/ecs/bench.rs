//! The bench of the engine: a simulated ECS with one cluster, and engines that talk to it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws::{
    AccessKey, Cloud, CloudSettings,
    ecs::{EcsEngine, EcsSettings, event, placement::EcsClass},
};
use controller::{
    contract::{engine::Bench, facts},
    ports::{ClaimEnv, Compute, PortResult, Secret},
};
use fleet::{effect::LaunchSpec, event::Event, ids::TaskId, runner::RunnerInput, wire::env};
use serde_json::Value;
use sim::aws::ecs::{
    Ecs,
    model::{Definition, Status, Times},
    server::{Server, serve},
};
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, timeout},
};

pub(crate) const STAGE: &str = "dev";
pub(crate) const CLUSTER: &str = "self-runners-dev";
pub(crate) const TOKEN: &str = "a-claim-token-of-this-bench";

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) cloud: Cloud,
    pub(crate) engine: EcsEngine,
    events: Mutex<mpsc::UnboundedReceiver<Value>>,
}

/// A Region with our cluster, in which nothing takes long.
pub(crate) fn region() -> Ecs {
    let mut ecs = Ecs::new(7);
    ecs.times = Times::quick();
    ecs.add_cluster(CLUSTER, &["FARGATE", "FARGATE_SPOT", "instances"]);
    ecs.add_definition(Definition::new("runner"));
    ecs
}

pub(crate) fn settings() -> EcsSettings {
    let class = EcsClass::new("runner:1", "runner");
    EcsSettings {
        subnets: vec!["subnet-a".into(), "subnet-b".into()],
        security_groups: vec!["sg-1".into()],
        classes: [(facts::class().name, class)].into(),
        ..EcsSettings::new(STAGE, CLUSTER)
    }
}

pub(crate) async fn cloud(url: &str) -> Cloud {
    let key = AccessKey { id: "AKIATEST".into(), secret: Secret::new("a-secret-of-this-bench") };
    let (region, endpoint_url) = (Some("eu-west-1".into()), Some(url.to_owned()));
    Cloud::open(&CloudSettings { region, endpoint_url, key: Some(key), profile: None }).await
}

pub(crate) fn claim() -> ClaimEnv {
    ClaimEnv::Ask { url: "https://example.test".into(), token: Secret::new(TOKEN) }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(region(), settings()).await
    }

    pub(crate) async fn with(ecs: Ecs, settings: EcsSettings) -> Self {
        let server = serve(ecs).await.unwrap();
        let cloud = cloud(server.url()).await;
        let engine = EcsEngine::new(&cloud, settings);
        let events = Mutex::new(server.handle().events());
        Self { server, cloud, engine, events }
    }

    /// Another engine on the same ECS.
    pub(crate) fn engine_with(&self, change: impl FnOnce(&mut EcsSettings)) -> EcsEngine {
        let mut settings = settings();
        change(&mut settings);
        EcsEngine::new(&self.cloud, settings)
    }

    /// Does something with the simulated ECS.
    pub(crate) fn ecs<T>(&self, work: impl FnOnce(&mut Ecs, u64) -> T) -> T {
        self.server.handle().with(work)
    }

    pub(crate) async fn launch(&self, spec: &LaunchSpec) -> PortResult<TaskId> {
        self.engine.launch(spec, &claim()).await
    }

    /// Launches and waits until the agent has begun.
    pub(crate) async fn begin(&self, spec: &LaunchSpec) -> TaskId {
        let id = self.launch(spec).await.unwrap();
        until("an agent begins", async || self.begun(spec).await > 0).await;
        id
    }

    /// Tasks that were ever started.
    pub(crate) fn tasks(&self) -> usize {
        self.ecs(|ecs, _| ecs.tasks().count())
    }

    /// How often an operation was called.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.ecs(|ecs, _| ecs.calls(operation))
    }

    /// The request that started the only task.
    pub(crate) fn request(&self) -> Value {
        self.ecs(|ecs, _| ecs.tasks().next().map(|task| (*task.request).clone())).unwrap()
    }

    /// The next event that says something to our stage.
    pub(crate) async fn word(&self) -> Event {
        let next = async {
            loop {
                let event = self.events.lock().await.recv().await.unwrap();
                if let Some(word) = event::told(STAGE, &event["detail"]) {
                    return word.event;
                }
            }
        };
        timeout(DEADLINE, next).await.expect("an event")
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await; // deadline
    }
}

/// The tasks of a launch.
fn is_of(task: &sim::aws::ecs::model::Task, spec: &LaunchSpec) -> bool {
    let environment = task.environment();
    let says = |name: &str, value: &str| environment.get(name).is_some_and(|own| own == value);
    says(env::RUNNER, spec.runner.as_str()) && says(env::ATTEMPT, &spec.attempt.to_string())
}

#[async_trait]
impl Bench for World {
    fn engine(&self) -> Arc<dyn Compute> {
        Arc::new(self.engine.clone())
    }

    async fn begun(&self, spec: &LaunchSpec) -> usize {
        let ran = |ecs: &Ecs| {
            ecs.tasks().filter(|task| is_of(task, spec) && task.since_ms(Status::Running).is_some()).count()
        };
        self.ecs(|ecs, _| ran(ecs))
    }

    async fn end(&self, spec: &LaunchSpec) {
        self.ecs(|ecs, now_ms| {
            let arns: Vec<_> =
                ecs.running_now().filter(|task| is_of(task, spec)).map(|task| task.arn.clone()).collect();
            arns.iter().for_each(|arn| ecs.exit(now_ms, arn, 0, None));
        });
    }

    async fn event(&self, at_most: Duration) -> Option<Event> {
        let next = async {
            loop {
                let event = self.word().await;
                // That it runs is no news to who waits for an end.
                if !matches!(event, Event::Runner { input: RunnerInput::Launched { .. }, .. }) {
                    return event;
                }
            }
        };
        timeout(at_most, next).await.ok()
    }
}
