//! A newcomer's way with containers: the simulated GitHub alone, a first configuration as it prints it, `serve`, some jobs,
//! `why`. Each is a command of its own.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use tempfile::TempDir;

use crate::stage::{LOOK_EACH, LOOKS_MAX, PROGRAM};

pub(crate) async fn practises() {
    let host = std::env::var(crate::HOST).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut practice =
        Running::of(&dir, &["practice", "--engine", "docker", "--docker-host", &host, "--port", "0"], &[]);
    let told = practice.until("self-runners why JOB");
    let line = |word: &str| told.lines().find(|line| line.contains(word)).unwrap().trim().to_owned();
    let exports = line("export ");
    let vars: Vec<(&str, &str)> = exports.split(' ').filter_map(|word| word.split_once('=')).collect();
    let init = line("config init");
    let url = init.split(' ').find(|word| word.starts_with("http://")).unwrap().to_owned();
    let words: Vec<&str> = init.split(' ').skip(1).collect();
    assert!(Command::new(PROGRAM).args(words).current_dir(&dir).output().unwrap().status.success(), "{init}");
    let mut serve = Running::of(&dir, &["serve", "--listen", "127.0.0.1:0"], &vars);
    serve.until("containers reach it at http://");
    let page = |method: &str, page: &str| {
        let line = ["--silent", "--show-error", "--request", method, &format!("{url}/practice/{page}")];
        String::from_utf8(Command::new("curl").args(line).output().unwrap().stdout).unwrap()
    };
    page("POST", "runs");
    let containers = || {
        let line = ["--host", &host, "ps", "--all", "--quiet", "--filter", "label=self-runners.stage=dev"];
        String::from_utf8(Command::new("docker").args(line).output().unwrap().stdout).unwrap()
    };
    let mut jobs = String::new();
    for _ in 0..LOOKS_MAX {
        jobs = page("GET", "jobs");
        if jobs.lines().filter(|job| job.contains(" succeeded ")).count() == SERVED && containers().is_empty() {
            break;
        }
        tokio::time::sleep(LOOK_EACH).await; // deadline
    }
    assert_eq!(containers(), "", "{jobs}");
    let why = |job: &str| {
        let id = job.split(' ').next().unwrap();
        let said = Command::new(PROGRAM).args(["why", id]).current_dir(&dir).output().unwrap();
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let job = |word: &str| why(jobs.lines().find(|job| job.contains(word)).unwrap_or_else(|| panic!("{word}: {jobs}")));
    assert!(job("build (1)").contains("ended: success"), "{jobs}");
    assert!(job("train").contains("no class has all its labels"), "{jobs}");
    serve.end();
    practice.end();
}

/// Jobs of the built-in workflow that a runner is started for.
const SERVED: usize = 9;

/// A command that runs until it is asked to end.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn of(dir: &TempDir, words: &[&str], vars: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(Path::new(dir.path()).join(format!("{}.log", words[0]))).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(words).envs(vars.iter().copied()).current_dir(dir).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it says up to a line with these words.
    fn until(&mut self, words: &str) -> String {
        let mut told = String::new();
        for line in self.lines.by_ref() {
            told.push_str(&line.unwrap());
            told.push('\n');
            if told.contains(words) {
                return told;
            }
        }
        panic!("it ended without `{words}`: {told}");
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _gone = self.child.kill();
    }
}
