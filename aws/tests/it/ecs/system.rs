//! A whole system for stories: the real controller, the real GitHub client and the real engine, between a simulated
//! GitHub and a simulated ECS, in real time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws::ecs::{EcsEngine, EcsSettings, event, placement};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use controller::{
    contract::facts,
    mem::MemStore,
    ports::{Clock, Notifier, PortResult, Ports, Secret, Store},
    service::Controller,
    settings::Settings,
    token::ClaimKeys,
};
use fleet::{
    class::Class,
    decide::Moment,
    effect::Notice,
    event::Event,
    ids::{JobId, Repo},
    policy::{Owner, Policy},
    runner::Runner,
};
use github::{
    Client, StaticToken,
    webhook::{self, Webhook},
};
use serde_json::Value;
use sim::{
    aws::ecs::{Ecs, model::Status, server},
    http::{self, Options, world::now_ms},
    hub::{Hub, model::NewJob},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

use super::{
    agents::{self, Site},
    bench::{self, STAGE, until},
};

/// Most live runners of all.
pub(crate) const CAP: u32 = 6;

const TOKEN: &str = "ghp_of_the_story";

/// How often the sweep looks.
const SWEEP: Duration = Duration::from_millis(300);

struct Wall(AtomicU64);

impl Clock for Wall {
    fn moment(&self) -> Moment {
        Moment { now_ms: now_ms(), nonce: self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) }
    }
}

/// Remembers what a person was told.
#[derive(Default)]
struct Ear(Mutex<Vec<Notice>>);

#[async_trait]
impl Notifier for Ear {
    async fn notify(&self, notice: &Notice) -> PortResult<()> {
        self.0.lock().unwrap().push(notice.clone());
        Ok(())
    }
}

pub(crate) struct System {
    pub(crate) github: http::Server,
    pub(crate) ecs: server::Server,
    pub(crate) store: Arc<MemStore>,
    gate: watch::Sender<bool>,
    ear: Arc<Ear>,
    tasks: tokio::task::JoinSet<()>,
}

fn repo() -> Repo {
    Repo::parse("acme/web").unwrap()
}

fn policy(settings: &EcsSettings) -> Policy {
    let class = facts::class();
    let placements = placement::placements(settings.subnets.len(), &settings.classes[&class.name]);
    let class = Class { max: 10, placements, idle_timeout_ms: 2_000, ..class };
    let owner = Owner { organization: true, repositories: None };
    Policy {
        stage: STAGE.into(),
        max: CAP,
        classes: vec![class],
        owners: [("acme".into(), owner)].into(),
        confirm_after_ms: 400,
        ..Policy::default()
    }
}

impl System {
    /// A system on this ECS, whose jobs do not end before [`System::open_gate`].
    pub(crate) async fn begin(ecs: Ecs) -> Self {
        let mut hub = Hub::new(7);
        hub.add_repo(&repo(), false);
        let github = http::serve(hub, Options::new(TOKEN, "secret")).await.unwrap();
        let ecs = server::serve(ecs).await.unwrap();
        let mut settings = bench::settings();
        settings.list_lag_ms = 500;
        settings.classes.iter_mut().for_each(|(_, class)| *class = class.clone().on_spot());
        let (store, ear) = (Arc::new(MemStore::new()), Arc::new(Ear::default()));
        let wall = Arc::new(Wall(AtomicU64::new(1)));
        let base = github::Settings { base_url: github.url().to_owned(), ..github::Settings::default() };
        let client = Client::new(base, Arc::new(StaticToken::new(TOKEN)), wall.clone()).unwrap();
        let policy = policy(&settings);
        let ports = Ports {
            github: Arc::new(client),
            compute: Arc::new(EcsEngine::new(&bench::cloud(ecs.url()).await, settings)),
            store: store.clone(),
            notifier: ear.clone(),
            clock: wall,
        };
        let keys = ClaimKeys::new(STAGE, vec![Secret::new("a-claim-key-of-the-story")]);
        let controller = Arc::new(Controller::new(ports, policy, Settings::default(), keys, "story"));
        let (gate, opens) = watch::channel(false);
        let mut system = Self { github, ecs, store, gate, ear, tasks: tokio::task::JoinSet::new() };
        system.start(&controller, opens).await;
        system
    }

    async fn start(&mut self, controller: &Arc<Controller>, gate: watch::Receiver<bool>) {
        let (github, ecs) = (self.github.handle().clone(), self.ecs.handle().clone());
        let (events, happenings) = (ecs.events(), ecs.happenings());
        let site = Site { controller: controller.clone(), github, ecs, scope: facts::scope(), gate };
        self.tasks.spawn(agents::play(site, happenings));
        self.tasks.spawn(hear(controller.clone(), events));
        self.tasks.spawn(controller.clone().run_executor());
        self.tasks.spawn(controller.clone().run_sweeper(SWEEP));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(receive)).with_state(controller.clone());
        self.tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        self.github.handle().send_webhooks_to(&url);
    }

    /// Somebody pushes: so many jobs.
    pub(crate) fn push(&self, count: usize) -> Vec<JobId> {
        let job = |n: usize| NewJob::new(&repo(), &format!("job {n}"), &["self-hosted", "linux"]);
        self.github.handle().with(|hub, now_ms| (0..count).map(|n| hub.submit(now_ms, job(n))).collect())
    }

    /// Lets all jobs end that run, or will.
    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    pub(crate) fn running_jobs(&self) -> usize {
        self.github.handle().look(|hub| hub.true_jobs().filter(|(_, job)| job.is_running()).count())
    }

    pub(crate) fn done_jobs(&self) -> usize {
        self.github.handle().look(|hub| hub.true_jobs().filter(|(_, job)| job.is_done()).count())
    }

    /// All rows of runners.
    pub(crate) async fn runners(&self) -> Vec<Runner> {
        self.store.scan().await.unwrap().runners
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.ear.0.lock().unwrap().clone()
    }

    /// Most tasks that lived at once, by ECS's own word.
    pub(crate) fn peak(&self) -> usize {
        let spans: Vec<(u64, u64)> = self.ecs.handle().look(|ecs| {
            let span = |task: &sim::aws::ecs::model::Task| {
                (task.since_ms(Status::Provisioning).unwrap(), task.since_ms(Status::Stopped).unwrap_or(u64::MAX))
            };
            ecs.tasks().map(span).collect()
        });
        spans.iter().map(|(at, _)| spans.iter().filter(|(from, to)| from <= at && at < to).count()).max().unwrap_or(0)
    }

    /// How many tasks each `startedBy` had.
    pub(crate) fn launches(&self) -> BTreeMap<String, usize> {
        self.ecs.handle().look(|ecs| {
            let mut counts = BTreeMap::new();
            for task in ecs.tasks() {
                *counts.entry(task.text("startedBy").unwrap().to_owned()).or_default() += 1;
            }
            counts
        })
    }

    /// Everything has come to rest, and nothing is left.
    pub(crate) async fn comes_to_rest(&self) {
        until("no task lives", async || self.ecs.handle().look(Ecs::live) == 0).await;
        until("no row lives", async || self.runners().await.iter().all(|runner| !runner.state.is_live())).await;
        let registered = || self.github.handle().look(|hub| hub.true_runners().filter(|one| one.is_live()).count());
        until("nothing is registered", async || registered() == 0).await;
        until("nothing is left to do", async || self.store.scan().await.unwrap().effects.is_empty()).await;
    }
}

/// Task events, as the queue would bring them.
async fn hear(controller: Arc<Controller>, mut events: mpsc::UnboundedReceiver<Value>) {
    while let Some(event) = events.recv().await {
        if let Some(word) = event::told(STAGE, &event["detail"]) {
            controller.handle(&[word.event]).await.unwrap();
        }
    }
}

async fn receive(State(controller): State<Arc<Controller>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match webhook::parse(text("content-type"), text(webhook::EVENT_HEADER), &body) {
        Ok(Webhook::Job(event @ Event::Job { .. })) => match controller.handle(&[event]).await {
            Ok(_) => StatusCode::ACCEPTED,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        },
        Ok(_) => StatusCode::OK,
        Err(error) => panic!("not understood: {error}"),
    }
}
