//! Rows C1–C18 of the contract: arguments, exit codes, signals, lines, files.

use rustix::process::Signal;

use super::broker::TOKEN;
use super::stage::{Stage, processes, until};
use crate::standin::wire::{CREDENTIALS_FILE, SETTINGS_FILE};
use crate::standin::{LISTENER, WORKER};
use crate::workflow::spec::Conclusion;

const TRIVIAL: &str = "    steps: [{run: echo hello}]\n";
/// A step that says when it runs and then waits until it is ended.
const WAITING: &str = "    steps: [{run: 'echo waiting; sleep 600'}]\n";

fn shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

#[test]
fn c1_c4_c6_c18_one_job_and_done() {
    let stage = Stage::new();
    stage.offer(TRIVIAL);
    let mut command = stage.command("run.sh");
    command.args(["--jitconfig", &stage.jit()]).env("ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT", "1");
    let mut process = stage.start(command);
    assert_eq!(process.code(), 0);
    let text = process.text();
    shows(&text, &["√ Connected to GitHub", "Current runner version: '2.337.0'", "Z: Listening for Jobs"]);
    shows(&text, &["Z: Running job: build", "Z: Job build completed with result: Succeeded", " INFO Runner] "]);
    let state = stage.broker.state();
    assert_eq!(state.completed.len(), 1);
    assert_eq!(state.completed[0].conclusion, Conclusion::Success);
    assert!(state.log.contains(&(1, "hello".to_owned())), "{:?}", state.log);
    assert_eq!((state.open_sessions, state.bad_keys), (0, 0));
    assert!(stage.workspace().is_dir());
    assert!(!stage.path().join(SETTINGS_FILE).exists() && !stage.path().join(CREDENTIALS_FILE).exists());
    let names: Vec<_> =
        stage.path().join("_diag").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.len() >= 2, "listener and worker each have a file: {names:?}");
}

#[test]
fn c2_token_registration() {
    let stage = Stage::new();
    let configure = |token: &str| {
        let mut command = stage.command("config.sh");
        let url = format!("{}/acme/web", stage.broker.base);
        command.args(["--unattended", "--ephemeral", "--url", &url, "--token", token, "--name", "sr-test-1"]);
        command.args(["--labels", "linux,big", "--no-default-labels", "--disableupdate"]);
        let mut process = stage.start(command);
        (process.code(), process.text())
    };
    let (code, text) = configure("wrong");
    assert_eq!(code, 1);
    assert!(!text.contains("wrong"), "the token is never shown: {text}");
    let (code, text) = configure(TOKEN);
    assert_eq!(code, 0, "{text}");
    shows(&text, &["√ Runner successfully added", "√ Settings Saved."]);
    let request = stage.broker.state().registered.clone().unwrap();
    assert_eq!((request.labels, request.ephemeral), (vec!["linux".to_owned(), "big".to_owned()], true));
    assert_eq!(configure(TOKEN).0, 1, "it is configured already");
    stage.offer(TRIVIAL);
    assert_eq!(stage.start(stage.command("run.sh")).code(), 0);
    assert_eq!(stage.broker.state().completed.len(), 1);
}

#[test]
fn c3_root_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let stage = Stage::new();
    for program in ["run.sh", "config.sh"] {
        let mut command = stage.command(program);
        command.env_remove("RUNNER_ALLOW_RUNASROOT");
        let mut process = stage.start(command);
        assert_eq!(process.code(), 1);
        shows(&process.text(), &["Must not run"]);
    }
}

#[test]
fn c5_c13_processes_and_a_signal_with_a_job() {
    let stage = Stage::new();
    stage.offer(WAITING);
    let mut process = stage.run();
    stage.broker.step_waits();
    let here = stage.path().to_string_lossy().into_owned();
    let (listener, worker) = (processes(LISTENER, &here), processes(WORKER, &here));
    assert_eq!((listener.len(), worker.len()), (1, 1), "one of each");
    let group = |pid: u32| rustix::process::getpgid(rustix::process::Pid::from_raw(pid.cast_signed())).unwrap();
    assert_eq!(group(listener[0]), group(worker[0]));
    crate::standin::signals::send(listener[0], Signal::INT);
    assert_eq!(process.code(), 0);
    shows(&process.text(), &["Exiting...", "completed with result: Canceled"]);
    assert_eq!(stage.broker.state().completed[0].conclusion, Conclusion::Cancelled);
}

#[test]
fn c7_bad_configuration_and_gone_registration() {
    let stage = Stage::new();
    let listener = |arg: &str| {
        let mut command = stage.command("bin/Runner.Listener");
        command.args(["run", "--jitconfig", arg]);
        stage.start(command).code()
    };
    assert_eq!(listener("rubbish"), 1);
    assert_eq!(stage.start(stage.command("bin/Runner.Listener")).code(), 1, "not configured");
    for status in [401, 404] {
        stage.broker.change(|state| state.session_status = status);
        assert_eq!(listener(&stage.jit()), 1);
    }
    let mut process = stage.run();
    assert_eq!(process.code(), 0, "run.sh does not repeat the 1 (C11)");
    shows(&process.text(), &["has been deleted", "terminated error"]);
}

#[test]
fn c9_c10_conflict_and_deprecated() {
    for (status, env, of_listener, of_wrapper) in [(409, "0", 5, 0), (426, "0", 1, 0), (426, "1", 7, 7)] {
        let stage = Stage::new();
        stage.broker.change(|state| state.session_status = status);
        for (program, expected) in [("bin/Runner.Listener", of_listener), ("run.sh", of_wrapper)] {
            let mut command = stage.command(program);
            command.env("ACTIONS_RUNNER_INPUT_JITCONFIG", stage.jit());
            command.env("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", env);
            assert_eq!(stage.start(command).code(), expected, "{program} at {status}");
        }
    }
}

#[test]
fn c8_a_listener_that_ends_with_2_is_started_again() {
    let stage = Stage::new();
    stage.offer(TRIVIAL);
    // The first start fails as if the network were gone for long; the real time limit would be too long for a test.
    let listener = stage.path().join("bin").join(LISTENER);
    let real = std::fs::read_to_string(&listener).unwrap();
    let once = "failed=\"${0%/*}/failed\"; [[ -f $failed ]] || { touch \"$failed\"; exit 2; }\n";
    std::fs::write(&listener, real.replacen('\n', &format!("\n{once}"), 1)).unwrap();
    let script = stage.path().join("run.sh");
    let quick = std::fs::read_to_string(&script).unwrap().replace("retry_s=5", "retry_s=0");
    std::fs::write(&script, quick).unwrap();
    let mut process = stage.run();
    assert_eq!(process.code(), 0);
    shows(&process.text(), &["retryable error", "Restarting runner...", "result: Succeeded"]);
}

#[test]
fn c8_an_unreachable_server_is_tried_again() {
    let stage = Stage::new();
    stage.broker.change(|state| state.session_status = 503);
    let mut process = stage.run();
    stage.broker.until("a second try", |state| state.sessions >= 2);
    assert!(process.runs());
    stage.offer(TRIVIAL);
    stage.broker.change(|state| state.session_status = 0);
    assert_eq!(process.code(), 0);
    assert_eq!(stage.broker.state().completed.len(), 1);
}

#[test]
fn c12_c13_c14_signals_to_the_wrapper_while_idle() {
    for (signal, expected) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let stage = Stage::new();
        let mut command = stage.command("run.sh");
        command.env("ACTIONS_RUNNER_INPUT_JITCONFIG", stage.jit()).env("RUNNER_MANUALLY_TRAP_SIG", "1");
        let mut process = stage.start(command);
        stage.broker.until("it listens", |state| state.polls > 0);
        process.signal(signal);
        assert_eq!(process.code(), expected, "{}", process.text());
        shows(&process.text(), &["Exiting...", "Exiting runner..."]);
        stage.broker.until("the session is ended", |state| state.open_sessions == 0);
        assert!(stage.path().join(SETTINGS_FILE).exists(), "it does not deregister itself");
    }
}

#[test]
fn c12_a_job_ends_cancelled_when_the_wrapper_is_asked_to_end() {
    let stage = Stage::new();
    stage.offer(WAITING);
    let mut command = stage.command("run.sh");
    command.env("ACTIONS_RUNNER_INPUT_JITCONFIG", stage.jit()).env("RUNNER_MANUALLY_TRAP_SIG", "1");
    let mut process = stage.start(command);
    stage.broker.step_waits();
    process.signal(Signal::TERM);
    assert_eq!(process.code(), 143);
    assert_eq!(stage.broker.state().completed[0].conclusion, Conclusion::Cancelled);
}

#[test]
fn c15_a_ghost_waits() {
    let stage = Stage::new();
    let mut process = stage.run();
    stage.broker.until("it listens", |state| state.polls > 0);
    stage.broker.change(|state| state.message_status = 404);
    until("it notes the end", || {
        let folder = stage.path().join("_diag").read_dir().unwrap();
        folder.flatten().any(|file| {
            std::fs::read_to_string(file.path()).unwrap_or_default().contains("the registration is gone; waiting on")
        })
    });
    assert!(process.runs());
}

#[test]
fn a_job_that_another_runner_got_is_let_go() {
    let stage = Stage::new();
    stage.broker.change(|state| state.refuse_acquire = 1);
    let state = stage.finish(TRIVIAL);
    assert_eq!(state.completed.len(), 1);
}

#[test]
fn a_killed_listener_takes_its_worker_along() {
    let stage = Stage::new();
    stage.offer(WAITING);
    let _process = stage.run();
    stage.broker.step_waits();
    let here = stage.path().to_string_lossy().into_owned();
    crate::standin::signals::send(processes(LISTENER, &here)[0], Signal::KILL);
    until("no process is left", || processes(WORKER, &here).is_empty() && processes("sleep", &here).is_empty());
    assert!(stage.broker.state().completed.is_empty(), "a dead runner reports nothing");
}

#[test]
fn a_killed_worker_fails_the_job() {
    let stage = Stage::new();
    stage.offer(WAITING);
    let mut process = stage.run();
    stage.broker.step_waits();
    let here = stage.path().to_string_lossy().into_owned();
    crate::standin::signals::send(processes(WORKER, &here)[0], Signal::KILL);
    assert_eq!(process.code(), 0);
    assert_eq!(stage.broker.state().completed[0].conclusion, Conclusion::Failure);
    // The step's own group is left behind by a killed worker; the test must not leave it.
    processes("sleep", &here).into_iter().for_each(|pid| crate::standin::signals::send(pid, Signal::KILL));
}
