//! The daemon dies and comes back, the engine dies and comes back: every crash window.

use std::{collections::HashMap, process::Command, sync::Arc, time::Duration};

use bollard::{
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptionsBuilder, InspectContainerOptions},
};
use controller::{
    contract::facts,
    ports::{Compute, ErrorKind},
};
use fleet::{effect::LaunchSpec, ids::TaskId, wire::env};
use libtest_mimic::Trial;
use local::docker::Visitor;

use crate::{
    CONTROL,
    bench::{IMAGE, World, began, docker, host, tell, until},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("what_lives_is_watched_by_the_next_life", what_lives_is_watched_by_the_next_life),
        trial("an_end_that_nobody_saw_is_reported", an_end_that_nobody_saw_is_reported),
        trial("an_end_that_was_not_stored_is_reported_again", an_end_that_was_not_stored_is_reported_again),
        trial("a_container_that_was_not_started_is_started_once", a_container_that_was_not_started_is_started_once),
        trial("a_container_that_was_not_started_can_be_stopped", a_container_that_was_not_started_can_be_stopped),
        trial("others_containers_are_invisible", others_containers_are_invisible),
    ];
    if std::env::var_os(CONTROL).is_some() {
        trials.push(trial("an_engine_that_is_started_anew_is_found", an_engine_that_is_started_anew_is_found));
    }
    trials
}

async fn what_lives_is_watched_by_the_next_life() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-live", 1);
    let id = world.begin(&spec).await;
    let world = world.next_life().await;
    assert_eq!(world.engine.list().await.unwrap().len(), 1);
    assert_eq!(world.launch(&spec).await.unwrap(), id);
    tell(&spec, "0");
    assert_eq!(world.gone().await, ("sr-dev-live".into(), "the agent exited with 0".into()));
    assert_eq!(began(&spec), 1);
    world.is_empty().await;
}

async fn an_end_that_nobody_saw_is_reported() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-unseen", 1);
    let id = world.begin(&spec).await;
    let (dir, stage) = (world.dir.clone(), world.stage.clone());
    drop(world);
    tell(&spec, "5");
    until("it ends", async || !Visitor::of(&host()).unwrap().containers(&stage).await.unwrap()[0].runs).await;
    let world = World::of(dir, stage, |_| {}).await;
    assert_eq!(world.gone().await.1, "the agent exited with 5");
    assert_eq!(world.launch(&spec).await.unwrap(), id, "the launch that was under way is asked for again");
    assert_eq!(began(&spec), 1);
    world.is_empty().await;
}

async fn an_end_that_was_not_stored_is_reported_again() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-twice", 1);
    world.begin(&spec).await;
    tell(&spec, "0");
    // The daemon is killed with the word in its hands.
    drop(world.word().await.unwrap());
    let world = world.next_life().await;
    assert_eq!(world.containers().await, ["sr-dev-twice.1"]);
    assert_eq!(world.gone().await.0, "sr-dev-twice");
    world.is_empty().await;
}

/// A container as it is when the daemon was killed between creation and start.
async fn half_done(world: &World, spec: &LaunchSpec) -> TaskId {
    let pool = &spec.pool;
    let labels = [
        ("stage", world.stage.clone()),
        ("runner", spec.runner.to_string()),
        ("attempt", spec.attempt.to_string()),
        ("class", pool.class.to_string()),
        ("pool", pool.id.to_string()),
        ("scope", pool.scope.to_string()),
        ("labels", pool.labels.to_string()),
        ("created-ms", spec.created_ms.to_string()),
    ];
    let labels: HashMap<String, String> =
        labels.into_iter().map(|(key, value)| (format!("self-runners.{key}"), value)).collect();
    let env = vec![format!("{}={}", env::RUNNER, spec.runner), format!("{}={}", env::ATTEMPT, spec.attempt)];
    create(&format!("{}.{}", spec.runner, spec.attempt), labels, env).await
}

async fn create(name: &str, labels: HashMap<String, String>, env: Vec<String>) -> TaskId {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let body = ContainerCreateBody {
        image: Some(IMAGE.into()),
        labels: Some(labels),
        env: Some(env),
        ..ContainerCreateBody::default()
    };
    docker().create_container(Some(options), body).await.unwrap();
    name.into()
}

async fn a_container_that_was_not_started_is_started_once() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-half", 1);
    let id = half_done(&world, &spec).await;
    let world = world.next_life().await;
    assert_eq!(world.engine.list().await.unwrap()[0].stopped, None, "it may still be launched");
    assert_eq!(world.begin(&spec).await, id);
    tell(&spec, "0");
    world.gone().await;
    assert_eq!(began(&spec), 1);
    world.is_empty().await;
}

async fn a_container_that_was_not_started_can_be_stopped() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-unborn", 1);
    let id = half_done(&world, &spec).await;
    let (stopped, gone) = tokio::join!(world.engine.stop(&id, "not wanted"), world.gone());
    stopped.unwrap();
    assert_eq!(gone.1, "stopped: not wanted (it never began)");
    world.is_empty().await;
    assert_eq!(world.launch(&spec).await.unwrap(), id);
    assert_eq!(began(&spec), 0);
    assert!(world.containers().await.is_empty());
}

async fn others_containers_are_invisible() {
    let (world, other) = (World::new().await, World::new().await);
    let spec = facts::launch("sr-other-a", 1);
    let id = other.begin(&spec).await;
    let stranger = create("sr-dev-stranger.1", HashMap::new(), Vec::new()).await;
    assert_eq!(world.engine.list().await.unwrap(), []);
    for id in [&id, &stranger] {
        assert_eq!(world.engine.read(id).await.unwrap(), None);
        world.engine.stop(id, "it is not ours").await.unwrap();
    }
    // A name that somebody else has taken is theirs.
    let refused = world.launch(&facts::launch("sr-dev-stranger", 1)).await.unwrap_err();
    assert!(refused.kind == ErrorKind::Retry && refused.message.contains("already in use"), "{refused}");
    assert_eq!(other.engine.list().await.unwrap()[0].stopped, None);
    tell(&spec, "0");
    other.gone().await;
    let seen = docker().inspect_container(stranger.as_str(), None::<InspectContainerOptions>).await;
    assert!(seen.is_ok(), "a stranger's container is never removed");
    Visitor::of(&host()).unwrap().remove(stranger.as_str()).await.unwrap();
}

fn control(word: &str) {
    let command = std::env::var(CONTROL).unwrap();
    let done = Command::new("bash").args(["-c", &format!("{command} {word}")]).status().unwrap();
    assert!(done.success(), "the engine does not {word}");
}

async fn an_engine_that_is_started_anew_is_found() {
    let world = Arc::new(World::new().await);
    let spec = facts::launch("sr-dev-outage", 1);
    world.begin(&spec).await;
    tokio::task::spawn_blocking(|| control("stop")).await.unwrap();
    let next = facts::launch("sr-dev-after", 1);
    let error = world.launch(&next).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry, "{error}");
    assert!(error.message.contains("systemctl start docker"), "{error}");
    assert_eq!(world.engine.list().await.unwrap_err().kind, ErrorKind::Retry);
    tokio::task::spawn_blocking(|| control("start")).await.unwrap();
    // Its containers ended with it, while nobody could listen.
    let (runner, why) = world.gone().await;
    assert!(runner == "sr-dev-outage" && why.contains("the agent exited with"), "{why}");
    world.begin(&next).await;
    tell(&next, "0");
    let told = tokio::time::timeout(Duration::from_secs(30), world.gone()).await.unwrap();
    assert_eq!(told.0, "sr-dev-after", "its events are heard again");
    world.is_empty().await;
}
