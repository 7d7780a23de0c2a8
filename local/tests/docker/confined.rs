//! The contract of engines, and what a container may and may not.

use bollard::query_parameters::InspectContainerOptions;
use controller::{contract, contract::facts};
use libtest_mimic::Trial;

use crate::{
    bench::{TOKEN, World, docker, facts_of, tell},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("the_engine_keeps_the_contract", the_engine_keeps_the_contract),
        trial("a_container_has_the_limits_of_its_class", a_container_has_the_limits_of_its_class),
        trial("a_container_is_told_what_the_protocol_says", a_container_is_told_what_the_protocol_says),
    ]
}

async fn the_engine_keeps_the_contract() {
    contract::engine::all(World::new).await.unwrap();
}

async fn a_container_has_the_limits_of_its_class() {
    let world = World::new().await;
    let mut spec = facts::launch("sr-dev-limits", 1);
    (spec.size.cpu_milli, spec.size.memory_mb) = (500, 256);
    world.begin(&spec).await;
    let seen = facts_of(&spec);
    for fact in ["memory=268435456 ", "pids=16384 ", "cpu=50000 ", "no_new_privs=1"] {
        assert!(seen.contains(fact), "`{fact}` is not in `{seen}`");
    }
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE, SYS_CHROOT: nothing else.
    assert!(seen.contains("caps=00000000000404fb "), "{seen}");
    tell(&spec, "0");
    world.gone().await;
    world.is_empty().await;
}

async fn a_container_is_told_what_the_protocol_says() {
    let world = World::with(|settings| settings.runner_dir = Some("/opt/runner".into())).await;
    let spec = facts::launch("sr-dev-env", 2);
    let id = world.begin(&spec).await;
    let seen = docker().inspect_container(id.as_str(), None::<InspectContainerOptions>).await.unwrap();
    let config = seen.config.unwrap();
    let env = config.env.unwrap();
    let mut names: Vec<&str> = env.iter().filter_map(|one| Some(one.split_once('=')?.0)).collect();
    // An engine may give an image a path of its own.
    names.retain(|name| *name != "PATH");
    names.sort_unstable();
    let expected = [
        "BENCH_HOST",
        "BENCH_PORT",
        "SELF_RUNNERS_ATTEMPT",
        "SELF_RUNNERS_CLAIM_TOKEN",
        "SELF_RUNNERS_RUNNER",
        "SELF_RUNNERS_RUNNER_DIR",
        "SELF_RUNNERS_URL",
    ];
    assert_eq!(names, expected);
    let labels = config.labels.unwrap();
    for (key, value) in
        [("stage", world.stage.as_str()), ("runner", "sr-dev-env"), ("attempt", "2"), ("class", "linux")]
    {
        assert_eq!(labels.get(&format!("self-runners.{key}")).map(String::as_str), Some(value), "{key}");
    }
    // The token is in the environment alone.
    let rest = format!("{labels:?} {:?} {:?} {:?}", config.cmd, config.entrypoint, seen.host_config);
    assert!(!rest.contains(TOKEN), "{rest}");
    tell(&spec, "0");
    world.gone().await;
    world.is_empty().await;
}
