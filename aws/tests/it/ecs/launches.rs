//! Launches that go wrong, each in its own way: what is sent, what is repeated, what is said.

use std::{collections::BTreeSet, time::Duration};

use aws::ecs::{EcsEngine, placement, placement::Provider};
use controller::{
    contract::facts,
    ports::{ClaimEnv, Compute, ErrorKind, PortError, Secret},
};
use fleet::{
    class::{Class, Size},
    effect::LaunchSpec,
    labels::LabelSet,
    wire::env,
    wishes::Allow,
};
use serde_json::{Value, json};
use sim::aws::ecs::{
    Refusal,
    faults::{Shortage, Trick},
    model::Definition,
};

use super::bench::{TOKEN, World, claim, region, settings};

fn spec() -> LaunchSpec {
    facts::launch("sr-dev-a", 1)
}

/// A launch's attempt as the core makes it: each on the next placement.
fn attempt(n: u32) -> LaunchSpec {
    LaunchSpec { placement: n - 1, ..facts::launch("sr-dev-a", n) }
}

fn says(error: &PortError, kind: ErrorKind, words: &str) {
    assert!(error.kind == kind && error.message.contains(words), "{words}: {:?} {error}", error.kind);
}

async fn meets(trick: Trick) -> PortError {
    let world = World::new().await;
    world.ecs(|ecs, _| ecs.tricks.push_back(("RunTask", trick)));
    let error = world.launch(&spec()).await.unwrap_err();
    assert_eq!(world.tasks(), 0);
    error
}

#[tokio::test]
async fn a_lost_answer_is_looked_for_and_not_repeated() {
    let world = World::new().await;
    world.ecs(|ecs, _| ecs.tricks.push_back(("RunTask", Trick::LoseAnswer)));
    let id = world.launch(&spec()).await.unwrap();
    assert_eq!((world.tasks(), world.calls("RunTask")), (1, 1));
    assert_eq!(world.launch(&spec()).await.unwrap(), id, "asked for again, the same");
    assert_eq!(world.tasks(), 1);
}

#[tokio::test]
async fn a_lost_answer_that_lists_do_not_show_yet_is_repeated_under_its_token() {
    let world = World::new().await;
    world.ecs(|ecs, _| {
        ecs.tricks.push_back(("RunTask", Trick::LoseAnswer));
        ecs.faults.list_lag_ms = 3_600_000;
    });
    says(&world.launch(&spec()).await.unwrap_err(), ErrorKind::Retry, "the same launch again");
    world.launch(&spec()).await.unwrap();
    assert_eq!((world.tasks(), world.calls("RunTask")), (1, 2));
}

#[tokio::test]
async fn a_call_that_hangs_is_given_up_and_looked_for() {
    let world = World::new().await;
    let engine = world.engine_with(|settings| settings.call_timeout = Duration::from_millis(300));
    world.ecs(|ecs, _| ecs.tricks.push_back(("RunTask", Trick::Hang)));
    engine.launch(&spec(), &claim()).await.unwrap();
    assert_eq!((world.tasks(), world.calls("RunTask")), (1, 1));
}

#[tokio::test]
async fn a_lost_answer_stays_unknown_when_we_may_not_look() {
    let world = World::new().await;
    world.ecs(|ecs, _| {
        ecs.tricks.push_back(("RunTask", Trick::LoseAnswer));
        ecs.tricks.push_back(("ListTasks", Trick::Refuse(Refusal::denied("ecs:ListTasks"))));
    });
    // A definite refusal would open another attempt, beside the task that there is.
    says(&world.launch(&spec()).await.unwrap_err(), ErrorKind::Retry, "permission ecs:ListTasks");
    world.launch(&spec()).await.unwrap();
    assert_eq!(world.tasks(), 1);
}

#[tokio::test]
async fn a_failure_of_aws_starts_nothing_and_is_tried_again() {
    says(&meets(Trick::FailBefore).await, ErrorKind::Retry, "not known");
}

#[tokio::test]
async fn a_launch_whose_settings_changed_in_between_gets_the_task_that_there_is() {
    let world = World::new().await;
    let id = world.launch(&spec()).await.unwrap();
    let changed = world.engine_with(|settings| settings.security_groups = vec!["sg-2".into()]);
    assert_eq!(changed.launch(&spec(), &claim()).await.unwrap(), id);
    // A conflict that names nobody, too.
    let conflict = Refusal::new("ConflictException", "in use");
    world.ecs(|ecs, _| ecs.tricks.push_back(("RunTask", Trick::Refuse(conflict))));
    assert_eq!(changed.launch(&spec(), &claim()).await.unwrap(), id);
    assert_eq!(world.tasks(), 1);
}

fn on_spot(settings: &mut aws::ecs::EcsSettings) {
    settings.classes.iter_mut().for_each(|(_, class)| *class = class.clone().on_spot());
}

#[tokio::test]
async fn without_capacity_it_is_tried_in_each_subnet_then_on_demand_then_not_at_all() {
    let world = World::new().await;
    let engine = world.engine_with(on_spot);
    assert_eq!(placement::placements(2, &settings().classes[&facts::class().name].clone().on_spot()), 4);
    world.ecs(|ecs, _| {
        ecs.faults.shortages = vec![Shortage::of("FARGATE_SPOT", None), Shortage::of("FARGATE", Some("subnet-a"))];
    });
    let mut tried = Vec::new();
    for n in 1..=4 {
        match engine.launch(&attempt(n), &claim()).await {
            Ok(_) => {
                tried.push(n);
                break;
            }
            Err(error) => says(&error, ErrorKind::Capacity, "Capacity is unavailable"),
        }
    }
    assert_eq!(world.tasks(), 1);
    assert!(tried == [3] || tried == [4], "{tried:?}");
    let used = world.ecs(|ecs, _| ecs.subnets_used("FARGATE").into_iter().map(str::to_owned).collect::<BTreeSet<_>>());
    assert_eq!(used, ["subnet-b".to_owned()].into());
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_back_pressure_with_its_name() {
    let mut ecs = region();
    ecs.limits.vcpus = Some(6);
    let world = World::with(ecs, settings()).await;
    world.launch(&spec()).await.unwrap();
    let error = world.launch(&facts::launch("sr-dev-b", 1)).await.unwrap_err();
    says(&error, ErrorKind::Capacity, "Fargate On-Demand vCPU resource count");
}

#[tokio::test]
async fn throttled_launches_come_back_later_and_not_all_at_once() {
    let mut ecs = region();
    ecs.limits.run_task_calls = Some(fleet::budget::Bucket::new(1, 1));
    let world = World::with(ecs, settings()).await;
    world.launch(&spec()).await.unwrap();
    let mut times = BTreeSet::new();
    for n in 0..8 {
        let error = world.launch(&facts::launch(&format!("sr-dev-t{n}"), 1)).await.unwrap_err();
        let ErrorKind::RateLimited { until_ms } = error.kind else { panic!("{:?} {error}", error.kind) };
        times.insert(until_ms);
    }
    assert!(times.len() > 4, "{times:?}");
    assert_eq!((world.tasks(), world.calls("RunTask")), (1, 9), "each was sent once");
}

#[tokio::test]
async fn what_we_may_not_or_what_is_not_there_says_what_to_do() {
    says(&meets(Trick::Refuse(Refusal::denied("iam:PassRole"))).await, ErrorKind::Denied, "permission iam:PassRole");
    let expired = Refusal::new("ExpiredTokenException", "The security token included in the request is expired");
    says(&meets(Trick::Refuse(expired)).await, ErrorKind::Denied, "log in again");
    let world = World::new().await;
    let with = async |change: fn(&mut aws::ecs::EcsSettings)| {
        world.engine_with(change).launch(&spec(), &claim()).await.unwrap_err()
    };
    says(&with(|all| all.cluster = "gone".into()).await, ErrorKind::Invalid, "no such cluster in this Region");
    says(&with(|all| all.classes.clear()).await, ErrorKind::Invalid, "no task definition: run `self-runners deploy`");
    says(&with(|all| all.subnets.clear()).await, ErrorKind::Invalid, "no subnet");
    let unknown = |all: &mut aws::ecs::EcsSettings| {
        all.classes.iter_mut().for_each(|(_, class)| class.task_definition = "unknown".into());
    };
    says(&with(unknown).await, ErrorKind::Invalid, "TaskDefinition not found");
    world.ecs(|ecs, _| ecs.add_definition(Definition { active: false, ..Definition::new("runner") }));
    says(&with(|_| ()).await, ErrorKind::Invalid, "TaskDefinition is inactive");
    let elsewhere = |all: &mut aws::ecs::EcsSettings| {
        all.classes.iter_mut().for_each(|(_, class)| class.providers = vec![Provider::Named("nobody's".into())]);
    };
    world.ecs(|ecs, _| ecs.add_definition(Definition::new("runner")));
    says(&with(elsewhere).await, ErrorKind::Invalid, "associate it with the cluster");
    assert_eq!(world.tasks(), 0);
}

#[tokio::test]
async fn a_long_url_is_told_before_ecs_is_asked() {
    let world = World::new().await;
    let long = ClaimEnv::Ask { url: format!("https://{}", "x".repeat(8_000)), token: Secret::new(TOKEN) };
    says(&world.engine.launch(&spec(), &long).await.unwrap_err(), ErrorKind::Invalid, "ECS takes 8192: shorten");
    assert_eq!(world.calls("RunTask"), 0);
}

#[tokio::test]
async fn credentials_take_the_place_of_url_and_token_and_a_repeated_launch_with_others_finds_its_task() {
    let world = World::new().await;
    let given = |text: &str| ClaimEnv::Given(Secret::new(text));
    let first = world.engine.launch(&spec(), &given("one")).await.unwrap();
    let variables = json!([
        {"name": env::RUNNER, "value": "sr-dev-a"},
        {"name": env::ATTEMPT, "value": "1"},
        {"name": env::CREDENTIALS, "value": "one"},
    ]);
    assert_eq!(world.request()["overrides"]["containerOverrides"][0]["environment"], variables);
    assert_eq!(world.engine.launch(&spec(), &given("another")).await.unwrap(), first);
    assert_eq!(world.tasks(), 1);
    let long = given(&"x".repeat(8_000));
    says(&world.engine.launch(&spec(), &long).await.unwrap_err(), ErrorKind::Invalid, "too long for `credentials");
}

#[tokio::test]
async fn the_engine_sees_four_variables_and_no_secret_but_the_claim_token() {
    let world = World::new().await;
    world.launch(&spec()).await.unwrap();
    let request = world.request();
    let overrides = json!({"containerOverrides": [{"name": "runner", "environment": [
        {"name": env::RUNNER, "value": "sr-dev-a"},
        {"name": env::ATTEMPT, "value": "1"},
        {"name": env::URL, "value": "https://example.test"},
        {"name": env::CLAIM_TOKEN, "value": TOKEN},
    ]}]});
    assert_eq!(request["overrides"], overrides);
    assert_eq!(request["clientToken"], "sr-dev-a.1");
    assert_eq!(request["startedBy"], "self-runners/dev/linux/sr-dev-a/1");
    assert_eq!(request["taskDefinition"], "runner:1");
    assert_eq!((&request["launchType"], &request["capacityProviderStrategy"]), (&json!("FARGATE"), &Value::Null));
    let vpc = &request["networkConfiguration"]["awsvpcConfiguration"];
    assert_eq!((&vpc["assignPublicIp"], &vpc["securityGroups"]), (&json!("ENABLED"), &json!(["sg-1"])));
    assert_eq!(vpc["subnets"].as_array().map(Vec::len), Some(1));
    let mut rest = request.clone();
    rest["overrides"] = Value::Null;
    assert!(!rest.to_string().contains(TOKEN) && !request.to_string().contains("a-secret-of-this-bench"));
}

#[tokio::test]
async fn spot_and_other_providers_are_named_and_another_size_is_overridden() {
    let requests = async |change: fn(&mut aws::ecs::EcsSettings), spec: LaunchSpec| {
        let world = World::new().await;
        let engine: EcsEngine = world.engine_with(change);
        engine.launch(&spec, &claim()).await.unwrap();
        world.request()
    };
    let spot = requests(on_spot, spec()).await;
    assert_eq!(spot["capacityProviderStrategy"], json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]));
    assert_eq!(spot["launchType"], Value::Null);
    let instances = |all: &mut aws::ecs::EcsSettings| {
        all.classes.iter_mut().for_each(|(_, class)| class.providers = vec![Provider::Named("instances".into())]);
    };
    let named = requests(instances, spec()).await;
    assert_eq!(named["capacityProviderStrategy"][0]["capacityProvider"], "instances");
    assert_eq!(named["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"], Value::Null);
    let sized = |all: &mut aws::ecs::EcsSettings| {
        all.classes.iter_mut().for_each(|(_, class)| {
            (class.providers, class.size) = (vec![Provider::Named("instances".into())], Some(Size::default()));
        });
    };
    let large = Size { cpu_milli: 48_000, memory_mb: 100_000, disk_gb: 500, ..Size::default() };
    let overrides = requests(sized, LaunchSpec { size: large, ..spec() }).await["overrides"].clone();
    // An instance's disk is not the task's to ask for.
    assert_eq!((&overrides["memory"], &overrides["ephemeralStorage"]), (&json!("100000"), &Value::Null));
    let usual = |all: &mut aws::ecs::EcsSettings| {
        all.classes.iter_mut().for_each(|(_, class)| class.size = Some(Size::default()));
    };
    assert_eq!(requests(usual, spec()).await["overrides"]["cpu"], Value::Null);
    let small = Size { cpu_milli: 500, memory_mb: 2_048, disk_gb: 30, ..Size::default() };
    let overrides = requests(usual, LaunchSpec { size: small, ..spec() }).await["overrides"].clone();
    assert_eq!((&overrides["cpu"], &overrides["memory"]), (&json!("512"), &json!("2048")));
    assert_eq!(overrides["ephemeralStorage"], json!({"sizeInGiB": 30}));
}

/// From the labels of a job to what ECS is asked for.
#[tokio::test]
async fn what_a_job_asked_for_in_its_labels_goes_over_its_class() {
    let allow = Allow { cpu_milli: Some([1_000, 8_000]), disk_gb: Some([21, 200]), spot: true, ..Allow::default() };
    let class = Class { allow: Allow { fargate: true, ..allow }, ..facts::class() };
    let asked = async |wishes: &[&str]| {
        let labels = class.offer(&LabelSet::parse(wishes).unwrap()).unwrap();
        let world = World::new().await;
        let engine = world.engine_with(|all| {
            all.classes.iter_mut().for_each(|(_, class)| class.size = Some(Size::default()));
        });
        let size = class.size_of(&labels);
        engine.launch(&LaunchSpec { size, spot: class.spot_of(&labels), ..spec() }, &claim()).await.unwrap();
        world.request()
    };
    let large = asked(&["cpu=8", "disk=100", "spot=true"]).await;
    assert_eq!(large["capacityProviderStrategy"][0]["capacityProvider"], "FARGATE_SPOT");
    let size = &large["overrides"];
    assert_eq!((&size["cpu"], &size["memory"]), (&json!("8192"), &json!("16384")));
    assert_eq!(size["ephemeralStorage"], json!({"sizeInGiB": 100}));
    let usual = asked(&["spot=false"]).await;
    assert_eq!((&usual["launchType"], &usual["overrides"]["cpu"]), (&json!("FARGATE"), &Value::Null));
}
