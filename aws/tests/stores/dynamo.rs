//! DynamoDB, as a local AWS speaks it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use aws::{
    AccessKey, Cloud, CloudSettings, Usage,
    cost::JOB_UNITS,
    dynamo::DynamoStore,
    stack::{PARTITION_KEY, SORT_KEY, TTL_KEY},
};
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TimeToLiveSpecification,
    },
};
use controller::{
    contract,
    contract::{facts, facts::START_MS},
    ports::{About, ErrorKind, Scan, Secret, Store},
};
use fleet::{
    job::JobState,
    view::{Decision, Keys},
};
use libtest_mimic::Trial;
use sim::swarm::beside::Beside;

use crate::{
    server::{Server, lossy},
    stories::{Still, play_lives, play_loss, play_mixed},
    trial, views, workers,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("dynamo::it_keeps_the_contract", it_keeps_the_contract),
        trial("dynamo::eight_workers_lose_nothing", eight_workers_lose_nothing),
        trial("dynamo::a_stopped_server_comes_back_with_all", a_stopped_server_comes_back_with_all),
        trial("dynamo::lost_answers_lose_nothing", lost_answers_lose_nothing),
        trial("dynamo::a_large_decision_is_split_or_refused", a_large_decision_is_split_or_refused),
        trial("dynamo::it_answers_as_the_core's_tables_do", it_answers_as_the_cores_tables_do),
        trial("dynamo::what_a_job_costs", what_a_job_costs),
        trial("dynamo::what_a_view_costs", what_a_view_costs),
        trial("dynamo::what_is_wrong_is_told", what_is_wrong_is_told),
    ]
}

/// A local AWS, and a client beside the store's.
struct World {
    server: Server,
    client: Client,
    cloud: Cloud,
    tables: AtomicU32,
}

impl World {
    async fn new() -> Self {
        let server = Server::ministack();
        let url = format!("http://127.0.0.1:{}", server.port());
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(&url)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let cloud = cloud(&url).await;
        Self { server, client: Client::from_conf(config), cloud, tables: AtomicU32::new(0) }
    }

    fn last(&self) -> String {
        format!("stage-{}", self.tables.load(Ordering::Relaxed))
    }

    /// The store in a new, empty table.
    async fn make(&self) -> Arc<DynamoStore> {
        self.tables.fetch_add(1, Ordering::Relaxed);
        create(&self.client, &self.last()).await;
        self.open()
    }

    fn open(&self) -> Arc<DynamoStore> {
        Arc::new(DynamoStore::open(&self.cloud, &self.last()))
    }
}

async fn cloud(url: &str) -> Cloud {
    let key = AccessKey { id: "test".into(), secret: Secret::new("test") };
    let (region, endpoint_url) = (Some("eu-west-1".into()), Some(url.into()));
    Cloud::open(&CloudSettings { region, endpoint_url, key: Some(key), profile: None }).await
}

async fn create(client: &Client, table: &str) {
    let keys = [(PARTITION_KEY, KeyType::Hash), (SORT_KEY, KeyType::Range)];
    let mut making = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in keys {
        let of = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
        making = making.attribute_definitions(of.build().unwrap()).key_schema(key.build().unwrap());
    }
    making.send().await.unwrap();
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(TTL_KEY).build().unwrap();
    client.update_time_to_live().table_name(table).time_to_live_specification(ttl).send().await.unwrap();
}

async fn it_keeps_the_contract() {
    let world = World::new().await;
    contract::store::all(|| world.make()).await.unwrap();
    contract::store::durable(|| world.make(), async |_| world.open()).await.unwrap();
}

async fn eight_workers_lose_nothing() {
    let world = World::new().await;
    world.make().await;
    workers::work(32, async || world.open() as Arc<dyn Store>, async |_| {}).await;
}

/// Killed, it would have nothing: a DynamoDB of AWS never does that.
async fn a_stopped_server_comes_back_with_all() {
    let world = World::new().await;
    world.make().await;
    let table = world.last();
    let World { mut server, cloud, .. } = world;
    let open = async || Arc::new(DynamoStore::open(&cloud, &table)) as Arc<dyn Store>;
    let world = workers::work(32, open, async |world| {
        for ended in [8, 16, 24] {
            workers::until_ended(&world, ended).await;
            server.stop();
            server.restart();
        }
    })
    .await;
    assert!(world.unknown.load(Ordering::SeqCst) > 0, "nobody noticed");
}

async fn lost_answers_lose_nothing() {
    let world = World::new().await;
    world.make().await;
    let (port, lost) = lossy(world.server.port(), 30).await;
    let cloud = cloud(&format!("http://127.0.0.1:{port}")).await;
    let open = async || Arc::new(DynamoStore::open(&cloud, &world.last())) as Arc<dyn Store>;
    workers::work(24, open, async |_| {}).await;
    // The SDK asks again with the same token, so few of them are unknown to us.
    assert!(lost.load(Ordering::SeqCst) > 0, "no answer was lost");
}

async fn a_large_decision_is_split_or_refused() {
    let store = World::new().await;
    let (_server, store) = (&store.server, store.make().await);
    let jobs = |ids: std::ops::Range<u64>| ids.flat_map(|id| facts::job(id, JobState::Queued)).collect::<Vec<_>>();
    // The rows of 50 jobs and their places in the queue, their pool: 101.
    let error = store.commit(&facts::first(jobs(0..50), vec![]), START_MS).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("101 rows, 100 are the most"), "{error}");
    assert_eq!(store.scan().await.unwrap(), Scan::default());
    let records = (0..60).map(|id| facts::record(START_MS, Some(id), None, "queued")).collect();
    let decision = Decision { records, ..facts::first(jobs(0..49), vec![]) };
    store.commit(&decision, START_MS).await.unwrap();
    assert_eq!(store.scan().await.unwrap().open_jobs.len(), 49);
    assert_eq!(store.records(&About::All, 99).await.unwrap().len(), 60);
}

/// A second store in a table of its own, which is left for a new one when it is emptied.
async fn beside(world: &Arc<World>) -> Beside {
    let still = Still::new(world.make().await, Usage::default);
    let (world, store) = (world.clone(), still.clone());
    let runtime = tokio::runtime::Handle::current();
    let clear = move || {
        let (world, (made, new)) = (world.clone(), std::sync::mpsc::channel());
        runtime.spawn(async move {
            let _unheard = made.send(world.make().await);
        });
        *store.store.lock().unwrap() = new.recv().unwrap();
    };
    Beside { store: still, clear: Arc::new(clear) }
}

async fn it_answers_as_the_cores_tables_do() {
    let world = Arc::new(World::new().await);
    for play in [play_mixed, play_loss] {
        let beside = beside(&world).await;
        tokio::task::spawn_blocking(move || play(beside)).await.unwrap();
    }
}

async fn what_a_job_costs() {
    const JOBS: usize = 10;
    let world = World::new().await;
    let store = world.make().await;
    let still = Still::new(store.clone(), move || store.usage());
    let beside = Beside { store: still.clone(), clear: Arc::new(|| {}) };
    tokio::task::spawn_blocking(move || play_lives(beside, JOBS)).await.unwrap();
    let all = still.tell("DynamoDB", JOBS);
    let each = |thousandths: u64| thousandths as f64 / 1e3 / JOBS as f64;
    let counted = (each(all.read_milliunits), each(all.write_milliunits));
    let (reads, writes) = JOB_UNITS;
    let is_near = |counted: f64, said: f64| (counted - said).abs() < said / 10.0;
    let is_so = is_near(counted.0, reads) && is_near(counted.1, writes);
    assert!(is_so, "{counted:?}: aws/src/cost.rs says {JOB_UNITS:?}, docs/performance.md shows a table: both are old");
}

async fn what_a_view_costs() {
    let world = World::new().await;
    let store = world.make().await;
    views::tell("DynamoDB", &*store, || store.usage()).await;
}

async fn what_is_wrong_is_told() {
    let mut world = World::new().await;
    let store = world.make().await;
    let keys = Keys::default();
    let table = world.last();
    // A row of another program.
    let damage = [("pk", "pool"), ("sk", "web"), ("body", "{}")];
    let mut put = world.client.put_item().table_name(&table).item("ver", AttributeValue::N("1".into()));
    for (name, value) in damage {
        put = put.item(name, AttributeValue::S(value.into()));
    }
    put.send().await.unwrap();
    let error = store.load(&keys, 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("row pool/web") && error.message.contains("`stage-1` in eu-west-1"), "{error}");
    // No such table.
    let none = DynamoStore::open(&world.cloud, "none");
    let error = none.load(&keys, 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("there is no such table: deploy the stage"), "{error}");
    // A table of something else.
    let other = world.client.create_table().table_name("other").billing_mode(BillingMode::PayPerRequest);
    let of = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build();
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build();
    other.attribute_definitions(of.unwrap()).key_schema(key.unwrap()).send().await.unwrap();
    let error = DynamoStore::open(&world.cloud, "other").load(&keys, 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("with the string keys pk and sk"), "{error}");
    // Nobody is there; then somebody, who knows of nothing.
    world.server.kill();
    let error = store.load(&keys, 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("DynamoDB is not reached"), "{error}");
    world.server.restart();
    assert_eq!(store.load(&keys, 1).await.unwrap_err().kind, ErrorKind::NotFound);
    create(&world.client, &table).await;
    assert_eq!(store.scan().await.unwrap(), Scan::default());
}
