//! The demo: whole, cut short, and its parts where a story needs them by hand.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use self_runners::demo::{
    chaos::Trouble,
    machines::Engine,
    play::{Play, Settings},
    processes,
    screen::Screen,
};
use serde_json::Value;
use sim::workflow::Workflow;

use crate::bench::{program, until};

#[test]
fn it_loses_nothing_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let output = program().env("TMPDIR", place.path()).args(["demo", "--jobs", "5", "--json"]).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{out}");
    let told: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let summary = &told["summary"];
    for (key, value) in [("jobs_done", 5), ("jobs_failed", 0), ("lost", 0), ("left", 0), ("daemon_kills", 0)] {
        assert_eq!(summary[key], value, "{key}: {summary}");
    }
    assert!(summary["peak"].as_u64().is_some_and(|peak| (1..=6).contains(&peak)), "{summary}");
    assert!(summary["runners_started"].as_u64() >= Some(1) && summary["wait_ms_p95"].is_u64(), "{summary}");
    assert_eq!(told["jobs"].as_array().unwrap().len(), 5);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "the folder is removed");
}

#[test]
fn it_tells_the_life_of_each_job() {
    let output = program().args(["demo", "--jobs", "1"]).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    for words in ["1 jobs go to a simulated GitHub", "build (1) is queued", "build (1) runs on sr-demo-", "announced"] {
        assert!(out.contains(words), "`{words}` is not in {out}");
    }
    assert!(out.contains("1 jobs done (0 failed, 0 interrupted), 0 lost, 0 left over"), "{out}");
    assert!(out.contains("Next: `self-runners demo --faults`"), "{out}");
}

#[test]
fn what_it_was_told_to_keep_is_no_left_over() {
    let place = tempfile::tempdir().unwrap();
    let output = program().env("TMPDIR", place.path()).args(["demo", "--jobs", "1", "--keep"]).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.contains("0 lost, 0 left over"), "{out}");
    let kept = fs::read_dir(place.path()).unwrap().next().expect("the folder stays").unwrap().path();
    assert!(processes::below(&kept).is_empty());
}

#[test]
fn a_demo_that_is_interrupted_ends_everything_it_began() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().canonicalize().unwrap();
    let mut command = program();
    command.env("TMPDIR", &dir).args(["demo", "--jobs", "50"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(" runs on "))).unwrap().unwrap();
    assert!(processes::below(&dir).len() > 1, "a daemon and runners live");
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    lines.for_each(drop);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(err.contains("interrupted; everything of the demo was ended"), "{err}");
    assert_eq!(processes::below(&dir), []);
    until("the folder's removal", || (fs::read_dir(&dir).unwrap().count() == 0).then_some(()));
}

/// A person stops the daemon for an upgrade: running jobs go on, and the next one finds them.
#[test]
fn running_jobs_outlive_a_daemon_that_is_ended_and_are_adopted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = Settings {
            seed: 1,
            max: 2,
            trouble: Trouble::default(),
            github_faults: false,
            keep: false,
            engine: Engine::Process,
        };
        let mut play = Play::begin(settings, Path::new(env!("CARGO_BIN_EXE_self-runners"))).await.unwrap();
        let result = upgrade(&mut play).await;
        play.end().await;
        result.unwrap();
    });
}

async fn upgrade(play: &mut Play) -> Result<(), String> {
    let text = "jobs: {long: {runs-on: self-hosted, steps: [{run: 'until test -e go; do sleep 0.05; done'}]}}";
    play.submit(vec![Workflow::parse(text).unwrap()]);
    let mut screen = Screen::new(true);
    while play.github.sight().jobs.first().is_none_or(|job| job.started_ms.is_none()) {
        play.step(&mut screen).await.map_err(|failure| failure.to_string())?;
        tokio::time::sleep(Duration::from_millis(20)).await; // deadline
    }
    let before: Vec<_> = processes::agents(&play.site.runners_root());
    let well = play.restart_daemon().await.map_err(|failure| failure.to_string())?;
    if !well || before.len() != 1 || processes::agents(&play.site.runners_root()) != before {
        return Err(format!("ended well: {well}; the runner was {before:?}"));
    }
    release(&play.site.runners_root());
    while !play.step(&mut screen).await.map_err(|failure| failure.to_string())? {
        tokio::time::sleep(Duration::from_millis(20)).await; // deadline
    }
    let left = play.wind_up().await;
    let summary = play.summary(left);
    if summary.is_clean() && summary.jobs_failed == 0 { Ok(()) } else { Err(format!("{summary:?}")) }
}

/// Lets the job end: its step waits for a file in its workspace.
fn release(root: &Path) {
    for worker in processes::below(root) {
        let cwd = fs::read_link(format!("/proc/{}/cwd", worker.pid));
        if let Ok(cwd) = cwd.as_ref().map(|cwd| cwd.join("go")) {
            fs::write(cwd, "").unwrap();
        }
    }
}
