//! The process engine with real processes.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use controller::{
    contract,
    contract::facts,
    ports::{Compute, ErrorKind},
};
use local::process::ProcessSettings;

use crate::process_bench::{TOKEN, World, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_keeps_the_contract() {
    contract::engine::all(World::new).await.unwrap();
}

#[tokio::test]
async fn an_agent_is_given_a_scrubbed_environment_and_folders_of_its_own() {
    let world = World::with(|settings| settings.pass_env = vec!["CARGO_PKG_NAME".into()]).await;
    let spec = facts::launch("sr-dev-env", 2);
    let id = world.begin(&spec).await;
    let dir = world.task(&id);
    let text = fs::read_to_string(world.seen("env")).unwrap();
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    // These three are the shell's own.
    names.retain(|name| !["PWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    let expected = [
        "CARGO_PKG_NAME",
        "HOME",
        "LANG",
        "PATH",
        "RUNNER_TRACKING_ID",
        "SELF_RUNNERS_ATTEMPT",
        "SELF_RUNNERS_CLAIM_TOKEN",
        "SELF_RUNNERS_RUNNER",
        "SELF_RUNNERS_RUNNER_DIR",
        "SELF_RUNNERS_TASK_DIR",
        "SELF_RUNNERS_URL",
        "TMPDIR",
    ];
    assert_eq!(names, expected);
    for (name, folder) in [("HOME", "home"), ("TMPDIR", "tmp"), ("SELF_RUNNERS_RUNNER_DIR", "runner")] {
        assert!(text.contains(&format!("{name}={}\n", dir.join(folder).display())), "{name}");
    }
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(dir.join("runner/run.sh").exists() && !dir.join("runner/.credentials").exists());
    check_token(&dir);
    world.end_with(&spec, 0);
    world.gone().await;
}

/// The token is in no file and no argument of the agent.
fn check_token(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()), "{:?}", entry.path());
    }
    let started = fs::read_to_string(dir.join("started")).unwrap();
    let pid = started.split_whitespace().next().unwrap();
    let cmdline = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(cmdline.contains("agent.sh") && !cmdline.contains(TOKEN));
    assert!(fs::read_to_string(format!("/proc/{pid}/limits")).unwrap().contains("Max core file size        0"));
}

#[tokio::test]
async fn exit_codes_and_signals_are_told() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-code", 1);
    let id = world.begin(&spec).await;
    world.end_with(&spec, 72);
    assert_eq!(world.gone().await, ("sr-dev-code".into(), "the agent exited with 72".into()));
    until("the folder is gone", || !world.task(&id).exists()).await;
}

#[tokio::test]
async fn one_that_does_not_end_in_its_grace_is_killed() {
    let world = World::new().await;
    let id = world.begin(&facts::launch("sr-dev-stubborn", 1)).await;
    world.engine.stop(&id, "its lifetime is over").await.unwrap();
    let (_, why) = world.gone().await;
    assert_eq!(why, "stopped: its lifetime is over (the agent was killed by signal 9)");
}

#[tokio::test]
async fn nothing_of_a_task_outlives_its_report() {
    let world = World::new().await;
    let spec = facts::launch("sr-dev-orphans", 1);
    world.begin(&spec).await;
    let orphans = fs::read_to_string(world.seen("orphans")).unwrap();
    let pids: Vec<&str> = orphans.lines().collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| is_alive(pid)));
    world.end_with(&spec, 0);
    world.gone().await;
    assert!(!pids.iter().any(|pid| is_alive(pid)), "orphans live on");
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_for_good() {
    let world = World::with(|settings| settings.program = "/no/such/agent".into()).await;
    let spec = facts::launch("sr-dev-bad", 1);
    let error = world.launch(&spec).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    assert!(error.message.contains("/no/such/agent"), "{error}");
    assert_eq!(world.engine.list().await.unwrap(), vec![]);

    let not_executable = |settings: &mut ProcessSettings| settings.program = settings.runner_dir.join("run.sh");
    let world = World::of(world.dir.clone(), not_executable).await;
    let error = world.launch(&spec).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");

    let world = World::of(world.dir.clone(), |settings| settings.runner_dir = "/no/such/runner".into()).await;
    let error = world.launch(&spec).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    assert!(error.message.contains("/no/such/runner"), "{error}");

    // The same attempt goes when the cause is mended: it was never started.
    let world = World::of(world.dir.clone(), |_| {}).await;
    world.begin(&spec).await;
    world.end_with(&spec, 0);
    world.gone().await;
}

#[tokio::test]
async fn logs_are_kept_where_that_is_wanted() {
    let world = World::with(|settings| settings.keep = true).await;
    let spec = facts::launch("sr-dev-kept", 1);
    let id = world.begin(&spec).await;
    world.end_with(&spec, 0);
    world.gone().await;
    until("it is marked", || world.task(&id).join("kept").exists()).await;
    assert_eq!(world.engine.list().await.unwrap(), vec![]);
    let log = fs::read_to_string(world.task(&id).join("agent.log")).unwrap();
    assert_eq!(log, "agent of sr-dev-kept.1\n");
    until("the rest is gone", || !world.task(&id).join("home").exists()).await;
    let world = World::of(world.dir.clone(), |_| {}).await;
    assert_eq!(world.launch(&spec).await.unwrap(), id);
    assert_eq!((world.count(&spec), world.engine.list().await.unwrap()), (1, vec![]));
}

#[tokio::test]
async fn what_a_kill_left_beside_kept_logs_goes_at_the_next_start() {
    let world = World::with(|settings| settings.keep = true).await;
    let spec = facts::launch("sr-dev-half", 1);
    let id = world.begin(&spec).await;
    world.end_with(&spec, 0);
    world.gone().await;
    until("the rest is gone", || !world.task(&id).join("tmp").exists()).await;
    // As it is when the daemon is killed right after it marked the folder.
    for part in ["runner/_diag", "home/cache", "tmp"] {
        fs::create_dir_all(world.task(&id).join(part)).unwrap();
    }
    fs::remove_dir_all(world.task(&id).join("diag")).unwrap_or_default();
    fs::write(world.task(&id).join("runner/_diag/Worker.log"), "what it did").unwrap();
    let world = World::of(world.dir.clone(), |settings| settings.keep = true).await;
    for part in ["runner", "home", "tmp"] {
        assert!(!world.task(&id).join(part).exists(), "{part}");
    }
    assert_eq!(fs::read_to_string(world.task(&id).join("diag/Worker.log")).unwrap(), "what it did");
    assert_eq!(fs::read_to_string(world.task(&id).join("agent.log")).unwrap(), "agent of sr-dev-half.1\n");
}

#[tokio::test]
async fn names_that_are_no_folders_are_refused() {
    let world = World::new().await;
    let error = world.launch(&facts::launch("../escape", 1)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(!world.dir.path().join("engine/escape.1").exists());
}

#[tokio::test]
async fn a_stop_of_something_that_is_ending_is_fine() {
    let world = World::with(|settings| settings.stop_grace = Duration::from_secs(60)).await;
    let spec = facts::launch("sr-dev-ending", 1);
    let id = world.begin(&spec).await;
    for _ in 0..3 {
        world.engine.stop(&id, "no longer needed").await.unwrap();
    }
    let (_, why) = world.gone().await;
    assert_eq!(why, "stopped: no longer needed (the agent exited with 143)");
}
