//! What the tests share: running the program, a place for a daemon, a plain HTTP client.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use controller::ports::Secret;
use rustix::process::{Pid, Signal, kill_process};
use self_runners::demo::processes;
use tempfile::TempDir;

/// The webhook's secret of all tests.
pub(crate) const WEBHOOK_SECRET: &str = "a webhook's secret";

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(30);

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Failed with this code and one line that holds these words.
    pub(crate) fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        let line =
            self.err.lines().find(|line| line.starts_with("self-runners: ")).unwrap_or_else(|| panic!("{self:?}"));
        words.iter().for_each(|word| assert!(line.contains(word), "`{word}` is not in: {line}"));
    }
}

/// The program, without what the surroundings would tell it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_self-runners"));
    let ours = |name: &str| name.starts_with("SELF_RUNNERS_") || name.starts_with("GITHUB_");
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| ours(name)) {
        command.env_remove(name);
    }
    // Tests may run as root, whom the runner program refuses otherwise.
    command.env("RUNNER_ALLOW_RUNASROOT", "1");
    command.stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    ran(program().args(args).output().unwrap())
}

/// What an output says.
pub(crate) fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder with a configuration, a runner program that does nothing, and room for data.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.path("runner")).unwrap();
        fs::write(place.path("runner/run.sh"), "#!/bin/sh\n").unwrap();
        place.configure("");
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration; `first` stands before everything else.
    pub(crate) fn configure(&self, first: &str) {
        let text = format!(
            "{first}\nlisten = \"127.0.0.1:0\"\ndata_dir = {data:?}\n\
             [github]\napi_url = \"http://127.0.0.1:9\"\n\
             [engine]\nkind = \"process\"\nrunner_dir = {runner:?}\npass_env = [\"RUNNER_ALLOW_RUNASROOT\"]\n\
             [owners.Acme]\nrepositories = [\"web\"]\n\
             [[classes]]\nname = \"small\"\nlabels = [\"self-hosted\", \"Linux\"]\nmax = 1\n",
            data = self.path("data"),
            runner = self.path("runner"),
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("self-runners.toml")
    }

    /// `serve` with this configuration.
    pub(crate) fn serve(&self) -> Command {
        let mut command = program();
        command.args(["serve", "--config"]).arg(self.config());
        command.env("GITHUB_TOKEN", "a token").env("GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET);
        command
    }

    /// Runs `serve` where it must fail.
    pub(crate) fn serve_fails(&self) -> Ran {
        ran(self.serve().output().unwrap())
    }

    /// Runs `config check` or another look at the configuration, with a token.
    pub(crate) fn look(&self, what: &str, args: &[&str]) -> Ran {
        let mut command = program();
        command.args(["config", what, "--config"]).arg(self.config()).args(args).env("GITHUB_TOKEN", "a token");
        ran(command.output().unwrap())
    }

    /// Runs a command that reads the daemon's store.
    pub(crate) fn ask(&self, args: &[&str]) -> Ran {
        ran(program().args(args).arg("--config").arg(self.config()).output().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A killed daemon's runners go on: that is their promise. Nobody adopts those of a test.
        let dir = self.dir.path().canonicalize().unwrap();
        until("the end of the runners", || {
            let living = processes::below(&dir);
            living.iter().for_each(processes::kill);
            living.is_empty().then_some(())
        });
    }
}

/// A living daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: String,
}

impl Daemon {
    pub(crate) fn start(place: &Place) -> Self {
        Self::start_as(place.serve())
    }

    pub(crate) fn start_as(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            let mut err = String::new();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            panic!("`{line}` {err}");
        };
        Self { address: address.to_owned(), child }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed()).unwrap()
    }

    /// Asks it to end; its exit code and its log.
    pub(crate) fn end(mut self) -> (i32, String) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (status.code().unwrap_or(-1), log)
    }

    /// Waits until the log holds each of these words, then asks it to end; the log.
    pub(crate) fn end_when(mut self, words: &[&str]) -> String {
        let mut lines = BufReader::new(self.child.stderr.take().unwrap());
        let mut log = String::new();
        let deadline = Instant::now() + WITHIN;
        while !words.iter().all(|word| log.contains(word)) {
            assert!(Instant::now() < deadline, "{words:?} is not in {log}");
            assert!(lines.read_line(&mut log).unwrap() > 0, "{words:?} is not in {log}");
        }
        kill_process(self.pid(), Signal::TERM).unwrap();
        lines.read_to_string(&mut log).unwrap();
        self.child.wait().unwrap();
        log
    }

    /// One request; status and body.
    pub(crate) fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n");
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a large body may close before it has read all of it.
        let _refused = stream.write_all(body);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.unwrap_or_else(|| panic!("no answer: {answer:?}")), body.to_owned())
    }

    /// Delivers a signed webhook.
    pub(crate) fn deliver(&self, event: &str, body: &str) -> (u16, String) {
        let signature = github::webhook::sign(&Secret::new(WEBHOOK_SECRET), body.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", event),
            ("x-github-delivery", "7d1e6a4c-0000-4000-8000-000000000000"),
            ("x-hub-signature-256", &signature),
        ];
        self.call("POST", "/webhook", &headers, body.as_bytes())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After `end` there is nothing to kill any more.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The body of a `workflow_job` delivery. The job is new: of an old one GitHub would be asked first.
pub(crate) fn job(id: u64, repo: &str, labels: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() * 1_000;
    let created = sim::hub::payload::rfc3339(now);
    format!(
        r#"{{"action":"queued","workflow_job":{{"id":{id},"run_id":12000000001,"run_attempt":1,"name":"build",
            "labels":{labels},"status":"queued","created_at":"{created}","runner_id":null,"runner_name":null}},
            "repository":{{"full_name":"{repo}","private":true}}}}"#
    )
}

/// Asks again until the answer is there.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20)); // deadline
    }
}

/// Writes a file into a place.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
