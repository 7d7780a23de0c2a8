//! `ScalerHandler` between a simulated GitHub and a simulated ECS.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws::{
    AccessKey, Cloud, CloudSettings,
    ecs::{EcsEngine, EcsSettings, placement::EcsClass},
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
    ids::Repo,
    job::JobFacts,
    policy::{Owner, Policy},
};
use github::{Client, StaticToken};
use lambdas::{
    agent::AgentFunction,
    claims::KeysAgain,
    scaler::{Caller, Letter, ScalerFunction},
    sweep::SweepFunction,
    wake::{Later, Wakes},
};
use serde_json::json;
use sim::{
    aws::ecs::{
        Ecs,
        model::{Definition, Times},
        server::{Server, serve},
    },
    http::{self, Options, world::now_ms},
    hub::{Hub, model::NewJob},
};
use tokio::time::Instant;

use crate::bench::request;

const STAGE: &str = "dev";
const TOKEN: &str = "ghs_a0token0of0this0test";
const CLAIM_KEY: &str = "a-claim-key-of-this-test";
const CLUSTER: &str = "self-runners-dev";

struct Wall(AtomicU64);

impl Clock for Wall {
    fn moment(&self) -> Moment {
        Moment { now_ms: now_ms(), nonce: self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) }
    }
}

struct Deaf;

#[async_trait]
impl Notifier for Deaf {
    async fn notify(&self, _notice: &Notice) -> PortResult<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Calls(Mutex<Vec<u64>>);

#[async_trait]
impl Later for Calls {
    async fn wake(&self, due_ms: u64, now_ms: u64) -> PortResult<()> {
        self.0.lock().unwrap().push(due_ms - now_ms);
        Ok(())
    }
}

struct Desk {
    function: ScalerFunction,
    store: Arc<MemStore>,
    calls: Arc<Calls>,
    ecs: Server,
    github: http::Server,
}

impl Desk {
    async fn open(change: impl FnOnce(&mut Ecs)) -> Self {
        let mut region = Ecs::new(7);
        region.times = Times::quick();
        region.add_cluster(CLUSTER, &["FARGATE", "FARGATE_SPOT"]);
        region.add_definition(Definition::new("runner"));
        change(&mut region);
        let ecs = serve(region).await.unwrap();
        let mut hub = Hub::new(7);
        hub.add_repo(&Repo::parse("acme/web").unwrap(), false);
        let github = http::serve(hub, Options::new(TOKEN, "secret")).await.unwrap();
        let (store, wall) = (Arc::new(MemStore::new()), Arc::new(Wall(AtomicU64::new(1))));
        let base = github::Settings { base_url: github.url().to_owned(), ..github::Settings::default() };
        let ports = Ports {
            github: Arc::new(Client::new(base, Arc::new(StaticToken::new(TOKEN)), wall.clone()).unwrap()),
            compute: Arc::new(EcsEngine::new(&cloud(ecs.url()).await, engine())),
            store: store.clone(),
            notifier: Arc::new(Deaf),
            clock: wall.clone(),
        };
        let keys = ClaimKeys::new(STAGE, vec![Secret::new(CLAIM_KEY)]);
        let controller = Arc::new(Controller::new(ports, policy(), Settings::default(), keys, "scaler-1"));
        controller.handle(&[Event::Inventory]).await.unwrap();
        let calls = Arc::new(Calls::default());
        let wakes = Wakes { store: store.clone(), later: calls.clone() };
        let caller = Caller { controller, wakes, clock: wall };
        let function = ScalerFunction { stage: STAGE.into(), caller };
        Self { function, store, calls, ecs, github }
    }

    async fn answer(&self, bodies: &[String]) -> Vec<String> {
        let letter = |(at, body): (usize, &String)| Letter { id: at.to_string(), body: body.clone() };
        let batch = bodies.iter().enumerate().map(letter).collect();
        self.function.answer(batch, Instant::now() + Duration::from_secs(20)).await
    }

    fn live(&self) -> usize {
        self.ecs.handle().look(Ecs::live)
    }
}

async fn cloud(url: &str) -> Cloud {
    let key = AccessKey { id: "AKIATEST".into(), secret: Secret::new("a-secret-of-this-test") };
    let (region, endpoint_url) = (Some("eu-west-1".into()), Some(url.to_owned()));
    Cloud::open(&CloudSettings { region, endpoint_url, key: Some(key), profile: None }).await
}

fn engine() -> EcsSettings {
    EcsSettings {
        subnets: vec!["subnet-a".into()],
        classes: [(facts::class().name, EcsClass::new("runner:1", "runner"))].into(),
        ..EcsSettings::new(STAGE, CLUSTER)
    }
}

fn policy() -> Policy {
    let owner = Owner { organization: true, repositories: None };
    Policy {
        stage: STAGE.into(),
        classes: vec![Class { max: 10, ..facts::class() }],
        owners: [("acme".into(), owner)].into(),
        ..Policy::default()
    }
}

fn queued(id: u64) -> String {
    let Event::Job { facts, input } = facts::queued(id).remove(0) else { panic!("another event") };
    // One that is hours old is read at GitHub before anything is started for it.
    let facts = JobFacts { created_ms: now_ms(), ..facts };
    json!({ "event": Event::Job { facts, input } }).to_string()
}

fn wake() -> String {
    json!({ "wake": { "due_ms": now_ms() } }).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_decided_together_and_its_runners_start_in_the_same_call() {
    let desk = Desk::open(|_| {}).await;
    let jobs: Vec<String> = (1..=8).map(queued).collect();
    assert_eq!(desk.answer(&jobs).await, Vec::<String>::new());
    assert_eq!((desk.live(), desk.store.scan().await.unwrap().open_jobs.len()), (6, 8), "six of six, and two wait");
    assert_eq!(desk.answer(&jobs).await, Vec::<String>::new(), "the queue brings all of it again");
    assert_eq!(desk.live(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_not_understood_is_given_back_alone() {
    let desk = Desk::open(|_| {}).await;
    let batch = [queued(1), "poison".into(), queued(2), r#"{"of a later version":1}"#.into(), wake()];
    assert_eq!(desk.answer(&batch).await, ["1", "3"]);
    assert_eq!(desk.live(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ecs_tells_frees_the_place_for_who_waits() {
    let desk = Desk::open(|_| {}).await;
    let mut events = desk.ecs.handle().events();
    desk.answer(&(1..=7).map(queued).collect::<Vec<_>>()).await;
    let first = desk.ecs.handle().look(|ecs| ecs.tasks().next().unwrap().arn.to_string());
    let mut told = Vec::new();
    let mut stopped = false;
    while !stopped {
        let event = events.recv().await.unwrap();
        let running = event["detail"]["lastStatus"] == "RUNNING" && event["detail"]["taskArn"] == first.as_str();
        stopped = event["detail"]["lastStatus"] == "STOPPED";
        // In the wrong order and twice, as EventBridge may.
        told.insert(0, event.to_string());
        told.push(event.to_string());
        if running {
            desk.ecs.handle().with(|ecs, now_ms| ecs.exit(now_ms, &first, 1, None));
        }
    }
    assert_eq!(desk.answer(&told).await, Vec::<String>::new());
    let rows = desk.store.scan().await.unwrap().runners;
    assert_eq!(rows.iter().filter(|row| !row.state.is_live()).count(), 1);
    assert_eq!(desk.live(), 6, "the seventh job's runner has started");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_is_called_once_for_what_falls_due_later() {
    let desk = Desk::open(|ecs| ecs.faults.no_capacity = 1.0).await;
    desk.answer(&[queued(1)]).await;
    assert_eq!(desk.live(), 0);
    let calls = desk.calls.0.lock().unwrap().clone();
    assert!(calls.len() == 1 && (1_000..=900_000).contains(&calls[0]), "{calls:?}");
    desk.answer(&[wake()]).await;
    assert_eq!(desk.calls.0.lock().unwrap().len(), 1, "that it waits is known already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_answered_by_the_protocols_table() {
    let desk = Desk::open(|_| {}).await;
    desk.answer(&[queued(1)]).await;
    let runner = desk.store.scan().await.unwrap().runners[0].name.clone();
    let token = ClaimKeys::new(STAGE, vec![Secret::new(CLAIM_KEY)]).make(&runner, 1).unwrap();
    let function = AgentFunction { caller: desk.function.caller.clone(), secret: Arc::new(Keys::default()) };
    let call = async |path: &str, token: &str, body: &str| {
        let headers = [("authorization", token)];
        function.answer(&request("POST", path, &headers[..usize::from(!token.is_empty())], body, false)).await
    };
    let right = format!("Bearer {}", token.expose());
    let claim = format!(r#"{{"protocol":1,"runner":"{runner}","attempt":1}}"#);
    for (path, token, body, status) in [
        ("/agent/v1/claim", "", claim.as_str(), 401),
        ("/agent/v1/claim", "Bearer guess", &claim, 401),
        ("/agent/v1/claim", &format!("{right},{right}"), &claim, 401),
        ("/agent/v1/claim", &right, "{", 400),
        ("/agent/v1/claim", &right, &claim.replace("\"protocol\":1", "\"protocol\":9"), 426),
        ("/agent/v1/claim", &right, &" ".repeat(70_000), 413),
        ("/agent/v1/nothing", &right, &claim, 404),
    ] {
        let answer = call(path, token, body).await;
        assert_eq!(answer.status, status, "{path} {body:.80}: {}", answer.body);
        assert!(!answer.body.to_string().contains(desk_token(&right)), "{}", answer.body);
    }
    let answer = call("/agent/v1/claim", &right, &claim).await;
    assert_eq!((answer.status, &answer.body["answer"]), (200, &"run".into()), "{}", answer.body);
    let booted = format!(r#"{{"protocol":1,"runner":"{runner}","attempt":1,"report":{{"report":"booted"}}}}"#);
    assert_eq!(call("/agent/v1/report", &right, &booted).await.status, 200);
}

/// Keys of claims that are read again once.
#[derive(Default)]
struct Keys(Mutex<Option<ClaimKeys>>);

#[async_trait]
impl KeysAgain for Keys {
    async fn again(&self) -> PortResult<Option<ClaimKeys>> {
        Ok(self.0.lock().unwrap().take())
    }
}

/// This occurs when a copy of the function outlives a change of what is shown to GitHub.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_was_signed_after_a_change_makes_the_keys_be_read_again() {
    let desk = Desk::open(|_| {}).await;
    desk.answer(&[queued(1)]).await;
    let runner = desk.store.scan().await.unwrap().runners[0].name.clone();
    let new = ClaimKeys::new(STAGE, vec![Secret::new("another"), Secret::new(CLAIM_KEY)]);
    let token = format!("Bearer {}", new.make(&runner, 1).unwrap().expose());
    let secret = Arc::new(Keys(Mutex::new(Some(new))));
    let function = AgentFunction { caller: desk.function.caller.clone(), secret };
    let claim = format!(r#"{{"protocol":1,"runner":"{runner}","attempt":1}}"#);
    let call = async |token: &str| {
        let request = request("POST", "/agent/v1/claim", &[("authorization", token)], &claim, false);
        function.answer(&request).await.status
    };
    assert_eq!((call(&token).await, call("Bearer guess").await), (200, 401));
}

/// A log of a function: all lines of this program, whichever test writes them.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Tail;

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A function's whole life: a runner is started, claims its credentials, and somebody guesses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_the_log_of_a_function_that_works() {
    lambdas::start::log_to(|| Tail);
    let desk = Desk::open(|_| {}).await;
    desk.answer(&[queued(1), "{ghs_a0token0of0this0test".into()]).await;
    let runner = desk.store.scan().await.unwrap().runners[0].name.clone();
    let token = ClaimKeys::new(STAGE, vec![Secret::new(CLAIM_KEY)]).make(&runner, 1).unwrap();
    let function = AgentFunction { caller: desk.function.caller.clone(), secret: Arc::new(Keys::default()) };
    let claim = format!(r#"{{"protocol":1,"runner":"{runner}","attempt":1}}"#);
    let call = async |token: &str| {
        let headers = [("authorization", format!("Bearer {token}"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        function.answer(&request("POST", "/agent/v1/claim", &headers, &claim, false)).await
    };
    assert_eq!(call("a-guess-of-somebody").await.status, 401);
    let answer = call(token.expose()).await;
    let text = answer.body.to_string();
    let words = text.split('"').filter(|word| word.len() > 60);
    let given: Vec<String> = words.map(str::to_owned).collect();
    assert!(!given.is_empty(), "credentials are among {text}");
    SweepFunction { caller: desk.function.caller.clone() }.answer(Instant::now() + Duration::from_secs(20)).await;
    let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
    assert!(
        log.contains("swept") && log.contains("do not understand") && log.contains("gave a runner its credentials"),
        "{log}"
    );
    for secret in given.iter().map(String::as_str).chain([TOKEN, CLAIM_KEY, token.expose(), "a-guess-of-somebody"]) {
        assert!(!log.contains(secret), "{secret:.20}… is in the log");
    }
}

fn desk_token(header: &str) -> &str {
    header.trim_start_matches("Bearer ")
}

/// The queue has lost a job's announcement: the sweep finds the job, and starts its runner in the same call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_finds_what_no_message_told() {
    let desk = Desk::open(|_| {}).await;
    let repo = Repo::parse("acme/web").unwrap();
    let job = NewJob::new(&repo, "build", &["self-hosted", "linux"]);
    desk.github.handle().with(|hub, now_ms| hub.submit(now_ms, job));
    let function = SweepFunction { caller: desk.function.caller.clone() };
    function.answer(Instant::now() + Duration::from_secs(20)).await;
    assert_eq!(desk.live(), 1);
}
