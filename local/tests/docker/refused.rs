//! Launches that cannot be: each a kind that the controller knows what to do with, and words that say what to do next.

use controller::{
    contract::facts,
    ports::{Compute, ErrorKind},
};
use libtest_mimic::Trial;
use local::docker::{DockerEngine, DockerSettings, Pull};
use tokio::sync::mpsc;

use crate::{
    bench::{BROKEN, World, began, settings},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("an_image_that_is_not_there_is_named", an_image_that_is_not_there_is_named),
        trial(
            "a_registry_that_is_not_reached_is_a_want_of_capacity",
            a_registry_that_is_not_reached_is_a_want_of_capacity,
        ),
        trial("a_program_that_is_not_there_leaves_nothing_behind", a_program_that_is_not_there_leaves_nothing_behind),
        trial("no_engine_is_told_with_what_to_start", no_engine_is_told_with_what_to_start),
        trial("no_network_is_told_with_how_to_make_it", no_network_is_told_with_how_to_make_it),
    ]
}

async fn an_image_that_is_not_there_is_named() {
    let world = World::with(|settings| settings.image = Some("self-runners-test:missing".into())).await;
    let spec = facts::launch("sr-dev-blank", 1);
    let error = world.launch(&spec).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("docker pull self-runners-test:missing"), "{error}");
    // The next attempt of another class's image is not harmed.
    let mut spec = facts::launch("sr-dev-blank", 2);
    spec.image = Some(crate::bench::IMAGE.into());
    let id = world.begin(&spec).await;
    world.engine.stop(&id, "test").await.unwrap();
    world.gone().await;
    world.is_empty().await;
}

async fn a_registry_that_is_not_reached_is_a_want_of_capacity() {
    let world = World::with(|settings| {
        settings.pull = Pull::Missing;
        settings.image = Some("127.0.0.1:9/self-runners-test:missing".into());
    })
    .await;
    let error = world.launch(&facts::launch("sr-dev-far", 1)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Capacity);
    assert!(error.message.contains("is the registry reached?"), "{error}");
    assert!(world.containers().await.is_empty());
}

async fn a_program_that_is_not_there_leaves_nothing_behind() {
    let world = World::with(|settings| settings.image = Some(BROKEN.into())).await;
    let spec = facts::launch("sr-dev-broken", 1);
    let error = world.launch(&spec).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    assert!(error.message.contains("/nothing"), "{error}");
    assert!(world.containers().await.is_empty());
    assert_eq!(began(&spec), 0);
}

async fn no_engine_is_told_with_what_to_start() {
    let dir = tempfile::tempdir().unwrap();
    for host in [format!("unix://{}/none.sock", dir.path().display()), "tcp://127.0.0.1:9".into()] {
        let (sender, _words) = mpsc::channel(1);
        let settings = DockerSettings { host, ..settings("t", &dir) };
        let error = DockerEngine::start(settings, sender).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Retry);
        assert!(error.message.contains("systemctl start docker"), "{error}");
    }
}

async fn no_network_is_told_with_how_to_make_it() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, _words) = mpsc::channel(1);
    let settings = DockerSettings { network: "runners".into(), ..settings("t", &dir) };
    let error = DockerEngine::start(settings, sender).await.unwrap_err();
    assert!(error.message.contains("docker network create runners"), "{error}");
}
