//! How containers end, and what is told of it.

use bollard::query_parameters::RemoveContainerOptionsBuilder;
use controller::{contract::facts, ports::Compute};
use libtest_mimic::Trial;
use local::docker::Visitor;

use crate::{
    bench::{World, docker, host, tell},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("exit_codes_are_told_and_logs_kept", exit_codes_are_told_and_logs_kept),
        trial("a_kill_from_outside_is_told", a_kill_from_outside_is_told),
        trial("a_want_of_memory_is_told", a_want_of_memory_is_told),
        trial("one_that_does_not_end_in_its_grace_is_killed", one_that_does_not_end_in_its_grace_is_killed),
        trial("a_container_that_somebody_removes_is_gone", a_container_that_somebody_removes_is_gone),
        trial("a_paused_one_counts_and_can_be_stopped", a_paused_one_counts_and_can_be_stopped),
    ]
}

async fn exit_codes_are_told_and_logs_kept() {
    let world = World::with(|settings| settings.keep_logs = true).await;
    let spec = facts::launch("sr-dev-code", 1);
    world.begin(&spec).await;
    tell(&spec, "72");
    assert_eq!(world.gone().await, ("sr-dev-code".into(), "the agent exited with 72".into()));
    world.is_empty().await;
    let log = std::fs::read_to_string(world.dir.path().join("logs/sr-dev-code.1.log")).unwrap();
    assert_eq!(log, "sr-dev-code.1 began\n");
}

async fn a_kill_from_outside_is_told() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-shot", 1);
    let id = world.begin(&spec).await;
    Visitor::of(&host()).unwrap().kill(id.as_str()).await.unwrap();
    assert_eq!(world.gone().await.1, "the agent exited with 137 (signal 9)");
    world.is_empty().await;
}

async fn a_want_of_memory_is_told() {
    let world = World::new().await;
    let mut spec = facts::launch("sr-dev-hungry", 1);
    spec.size.memory_mb = 32;
    world.begin(&spec).await;
    tell(&spec, "eat");
    let (_, why) = world.gone().await;
    assert!(why.contains("memory was short in its container"), "{why}");
    world.is_empty().await;
}

async fn one_that_does_not_end_in_its_grace_is_killed() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-stubborn", 1);
    let id = world.begin(&spec).await;
    world.engine.stop(&id, "test").await.unwrap();
    assert_eq!(world.gone().await.1, "stopped: test (the agent exited with 137 (signal 9))");
    world.is_empty().await;
}

async fn a_container_that_somebody_removes_is_gone() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-taken", 1);
    let id = world.begin(&spec).await;
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    docker().remove_container(id.as_str(), Some(force)).await.unwrap();
    let (runner, why) = world.gone().await;
    // The end may be looked at before the removal.
    let seen = ["somebody removed its container", "the agent exited with 137 (signal 9)"];
    assert!(runner == "sr-dev-taken" && seen.contains(&why.as_str()), "{why}");
    assert_eq!(world.engine.read(&id).await.unwrap(), None);
}

async fn a_paused_one_counts_and_can_be_stopped() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-paused", 1);
    let id = world.begin(&spec).await;
    docker().pause_container(id.as_str()).await.unwrap();
    assert_eq!(world.engine.list().await.unwrap()[0].stopped, None);
    world.engine.stop(&id, "test").await.unwrap();
    assert!(world.gone().await.1.starts_with("stopped: test"));
    world.is_empty().await;
}
