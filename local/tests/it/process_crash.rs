//! The daemon dies around a launch or an end, and comes back: every crash window of the engine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use controller::{contract::facts, ports::Compute};
use fleet::effect::LaunchSpec;
use local::process::ProcessEngine;
use tokio::sync::mpsc;

use crate::process_bench::{World, claim, settings, until};

const DIR: &str = "TEST_ENGINE_DIR";
const ROUNDS: u32 = 12;

/// Turns of a spinning processor until the kill: some milliseconds.
const MOMENT_MAX: u32 = 300_000;

/// Begins a world in a life of its own and ends that life: its tasks stop being watched, its agents live on.
fn in_an_earlier_life(dir: &Arc<tempfile::TempDir>, spec: &LaunchSpec) {
    let (dir, spec) = (dir.clone(), spec.clone());
    let life = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async { World::of(dir, |_| {}).await.begin(&spec).await });
        runtime.shutdown_background();
    });
    life.join().unwrap();
}

fn new_dir() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// A folder as it is when the daemon was killed between `launch.json` and the spawn.
fn half_done(dir: &Path, spec: &LaunchSpec) -> PathBuf {
    let settings = settings(dir);
    let task = settings.root.join(format!("runners/{}.{}", spec.runner, spec.attempt));
    for folder in ["home", "tmp", "runner"] {
        fs::create_dir_all(task.join(folder)).unwrap();
    }
    fs::write(task.join("launch.json"), serde_json::to_string(spec).unwrap()).unwrap();
    task
}

/// An agent that an earlier life spawned.
fn spawn_agent(dir: &Path, spec: &LaunchSpec, task: &Path) -> std::process::Child {
    let settings = settings(dir);
    let mut agent = Command::new(settings.program);
    agent.args(settings.args).env("SELF_RUNNERS_TASK_DIR", task).env("SELF_RUNNERS_RUNNER", spec.runner.as_str());
    agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test]
async fn what_lives_is_watched_again() {
    let dir = new_dir();
    let spec = facts::launch("sr-dev-live", 1);
    in_an_earlier_life(&dir, &spec);
    let world = World::of(dir, |_| {}).await;
    let listed = world.engine.list().await.unwrap();
    assert_eq!((listed.len(), listed[0].stopped.clone()), (1, None));
    assert_eq!(world.launch(&spec).await.unwrap(), listed[0].id);
    world.end_with(&spec, 0);
    let (runner, why) = world.gone().await;
    assert_eq!(runner, "sr-dev-live");
    assert!(why.contains("started anew"), "{why}");
    assert_eq!(world.count(&spec), 1);
    until("the folder is gone", || !world.task(&listed[0].id).exists()).await;
}

#[tokio::test]
async fn what_lives_can_be_stopped_and_killed() {
    for name in ["sr-dev-meek", "sr-dev-stubborn"] {
        let dir = new_dir();
        let spec = facts::launch(name, 1);
        in_an_earlier_life(&dir, &spec);
        let world = World::of(dir, |_| {}).await;
        world.engine.stop(&"sr-dev-meek.1".into(), "test").await.unwrap();
        world.engine.stop(&"sr-dev-stubborn.1".into(), "test").await.unwrap();
        let (_, why) = world.gone().await;
        assert!(why.starts_with("stopped: test"), "{why}");
    }
}

#[tokio::test]
async fn a_folder_that_was_never_launched_is_swept_away() {
    let dir = new_dir();
    let spec = facts::launch("sr-dev-half", 1);
    let task = half_done(dir.path(), &spec);
    fs::remove_file(task.join("launch.json")).unwrap();
    let world = World::of(dir, |_| {}).await;
    assert!(!task.exists());
    world.begin(&spec).await;
    world.end_with(&spec, 0);
    world.gone().await;
}

#[tokio::test]
async fn a_launch_that_is_not_repeated_is_reported_gone_and_can_never_begin() {
    let dir = new_dir();
    let spec = facts::launch("sr-dev-unborn", 1);
    half_done(dir.path(), &spec);
    let world = World::of(dir, |_| {}).await;
    assert_eq!(world.engine.list().await.unwrap()[0].stopped, None, "it may still be launched");
    let (runner, why) = world.gone().await;
    assert!(runner == "sr-dev-unborn" && why.contains("never began"), "{why}");
    world.launch(&spec).await.unwrap();
    assert_eq!(world.count(&spec), 0);
}

#[tokio::test]
async fn a_launch_that_is_repeated_begins_once() {
    let dir = new_dir();
    let spec = facts::launch("sr-dev-again", 1);
    half_done(dir.path(), &spec);
    let world = World::of(dir, |settings| settings.unborn_grace = Duration::from_secs(600)).await;
    world.begin(&spec).await;
    world.end_with(&spec, 0);
    assert_eq!(world.gone().await.1, "the agent exited with 0");
    assert_eq!(world.count(&spec), 1);
}

#[tokio::test]
async fn an_unborn_task_can_be_stopped() {
    let dir = new_dir();
    let spec = facts::launch("sr-dev-unborn", 1);
    half_done(dir.path(), &spec);
    let world = World::of(dir, |settings| settings.unborn_grace = Duration::from_secs(600)).await;
    world.engine.stop(&"sr-dev-unborn.1".into(), "not wanted").await.unwrap();
    let (_, why) = world.gone().await;
    assert!(why.starts_with("stopped: not wanted"), "{why}");
    assert_eq!(world.count(&spec), 0);
}

#[tokio::test]
async fn two_agents_in_one_folder_are_one() {
    for _ in 0..8 {
        let dir = new_dir();
        let spec = facts::launch("sr-dev-twins", 1);
        let task = half_done(dir.path(), &spec);
        let mut twin = spawn_agent(dir.path(), &spec, &task);
        let world = World::of(dir, |_| {}).await;
        world.begin(&spec).await;
        assert_eq!(world.engine.list().await.unwrap().len(), 1);
        world.end_with(&spec, 0);
        world.gone().await;
        assert_eq!(world.count(&spec), 1);
        twin.wait().unwrap();
    }
}

#[tokio::test]
async fn an_end_that_was_not_reported_is_reported() {
    let dir = new_dir();
    let spec = facts::launch("sr-dev-ended", 1);
    let task = half_done(dir.path(), &spec);
    fs::write(task.join("started"), "1 1\n").unwrap();
    fs::write(task.join("ended"), "the agent exited with 7").unwrap();
    let world = World::of(dir, |_| {}).await;
    assert_eq!(world.gone().await, ("sr-dev-ended".into(), "the agent exited with 7".into()));
}

#[tokio::test]
async fn an_end_that_nobody_saw_is_reported() {
    let dir = new_dir();
    let spec = facts::launch("sr-dev-unseen", 1);
    let task = half_done(dir.path(), &spec);
    fs::write(task.join("lock"), "").unwrap();
    // The number of a process that lives, but began at another time: it must not be taken for the agent.
    fs::write(task.join("started"), format!("{} 1\n", std::process::id())).unwrap();
    let world = World::of(dir, |_| {}).await;
    assert_eq!(world.gone().await.0, "sr-dev-unseen");
}

/// Launches one after the other until it is killed. Does nothing unless the test below runs it as its child.
#[tokio::test]
async fn child_that_launches() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (sender, _events) = mpsc::channel(16);
    let engine = ProcessEngine::start(settings(Path::new(&dir)), sender).await.unwrap();
    for number in 0.. {
        engine.launch(&facts::launch(&format!("sr-dev-{number}"), 1), &claim()).await.unwrap();
    }
}

#[tokio::test]
async fn a_launch_that_a_kill_cut_off_begins_once() {
    for _ in 0..ROUNDS {
        let dir = new_dir();
        let mut daemon = Command::new(std::env::current_exe().unwrap());
        daemon.args(["--exact", "process_crash::child_that_launches"]);
        let mut daemon = daemon.env(DIR, dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let runners = dir.path().join("engine/runners");
        let wanted = fastrand::usize(1..4);
        let made = || fs::read_dir(&runners).map_or(0, |entries| entries.count());
        until("launches", || made() >= wanted).await;
        (0..fastrand::u32(0..MOMENT_MAX)).for_each(|_| std::hint::spin_loop());
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let last = made();
        let world = World::of(dir.clone(), |settings| settings.unborn_grace = Duration::from_secs(600)).await;
        for number in 0..last {
            let spec = facts::launch(&format!("sr-dev-{number}"), 1);
            world.begin(&spec).await;
            assert_eq!(world.count(&spec), 1, "launch {number} of {last}");
        }
        for number in 0..last {
            world.end_with(&facts::launch(&format!("sr-dev-{number}"), 1), 0);
        }
        for _ in 0..last {
            world.gone().await;
        }
        for number in 0..last {
            assert_eq!(world.count(&facts::launch(&format!("sr-dev-{number}"), 1)), 1);
        }
    }
}
