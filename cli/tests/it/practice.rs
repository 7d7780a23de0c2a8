//! What a newcomer does: the simulated GitHub alone, a first configuration, `serve`, some jobs, and `why`. Each as a
//! command of its own, over HTTP, with a webhook and without.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use self_runners::demo::processes;

use crate::bench::{Daemon, Ran, program, ran, until};

#[test]
fn a_newcomer_sees_jobs_wait_ignored_and_done_with_a_webhook() {
    let desk = Desk::open(true);
    let daemon = desk.serve(&[]);
    desk.jobs_wait_are_ignored_and_end();
    let (code, log) = daemon.end();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("ERROR") && !log.contains("practice-token") && !log.contains("practice-secret"), "{log}");
}

#[test]
fn a_newcomer_sees_the_same_without_a_webhook() {
    let desk = Desk::open(false);
    let _daemon = desk.serve(&[("SELF_RUNNERS_SWEEP_INTERVAL_MS", "200"), ("SELF_RUNNERS_CONFIRM_AFTER_MS", "200")]);
    desk.jobs_wait_are_ignored_and_end();
}

#[test]
fn runners_register_with_a_token_where_the_class_says_so() {
    registers_with("token");
}

/// Without a claim, and without a report.
#[test]
fn runners_are_told_their_credentials_at_the_launch_where_the_class_says_so() {
    let log = registers_with("env");
    assert!(!log.contains("Report"), "{log}");
}

/// Jobs run, on runners that were given these credentials alone; the daemon's log.
fn registers_with(credentials: &str) -> String {
    let desk = Desk::open(true);
    desk.init();
    let text = fs::read_to_string(desk.config()).unwrap();
    assert_eq!(text.matches("[[classes]]\n").count(), 1, "{text}");
    let class = format!("[[classes]]\ncredentials = \"{credentials}\"\n");
    fs::write(desk.config(), text.replace("[[classes]]\n", &class)).unwrap();
    let daemon = desk.start(&[]);
    desk.jobs_wait_are_ignored_and_end();
    let (code, log) = daemon.end();
    assert_eq!(code, 0, "{log}");
    let given: Vec<&str> = log.lines().filter(|line| line.contains("gave a runner its credentials")).collect();
    assert!(given.len() >= 2 && given.iter().all(|line| line.contains(credentials)), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("practice-token"), "{log}");
    log
}

#[test]
fn what_cannot_run_and_what_is_not_there_is_told() {
    let desk = Desk::open(false);
    assert!(desk.get("/practice").contains("POST /practice/runs"));
    assert!(desk.get("/practice/jobs").contains("no job yet"));
    let said = desk.post("/practice/runs", "jobs: {a: {runs-on: x, needs: b, steps: [{run: y}]}}");
    assert!(said.contains(" 422 ") && said.contains("needs `b`"), "{said}");
    let approval = desk.post("/practice/jobs/7/approve", "");
    assert!(approval.contains(" 404 ") && approval.contains("7 is no job"), "{approval}");
    let again = program().args(["practice", "--port", &desk.port.to_string()]).current_dir(desk.dir.path()).output();
    ran(again.unwrap()).failed(1, &[&format!("127.0.0.1:{}", desk.port), "--port"]);
}

/// A folder, a simulated GitHub that is a process of its own, and the port of a daemon.
struct Desk {
    dir: TempDir,
    github: Child,
    port: u16,
    daemon_port: u16,
}

impl Desk {
    fn open(webhook: bool) -> Self {
        let (dir, daemon_port) = (tempfile::tempdir().unwrap(), free_port());
        let to = format!("http://127.0.0.1:{daemon_port}/webhook");
        let mut command = program();
        command.args(["practice", "--port", "0", "--repo", "acme/web"]).current_dir(dir.path());
        if webhook {
            command.args(["--webhook", &to]);
        }
        let mut github = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        let mut out = BufReader::new(github.stdout.take().unwrap());
        while !told.contains("why JOB") {
            assert!(out.read_line(&mut told).unwrap() > 0, "{told}");
        }
        std::thread::spawn(move || out.lines().for_each(drop));
        let port = told.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
        Self { dir, github, port: port.unwrap_or_else(|| panic!("{told}")), daemon_port }
    }

    /// A command in the folder, with what the newcomer exports.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.args(args).current_dir(self.dir.path());
        command.env("GITHUB_TOKEN", "practice-token").env("GITHUB_WEBHOOK_SECRET", "practice-secret");
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args).output().unwrap())
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("self-runners.toml")
    }

    fn init(&self) {
        let url = format!("http://127.0.0.1:{}", self.port);
        let init = ["config", "init", "--repo", "acme/web", "--api-url", &url];
        let made = self.run(&[&init[..], &["--max", "1"]].concat());
        assert_eq!(made.code, 0, "{made:?}");
    }

    fn serve(&self, variables: &[(&str, &str)]) -> Daemon {
        self.init();
        self.start(variables)
    }

    fn start(&self, variables: &[(&str, &str)]) -> Daemon {
        let checked = self.run(&["config", "check"]);
        assert!(checked.code == 0 && checked.out.ends_with("nothing is wrong\n"), "{checked:?}");
        let mut serve = self.command(&["serve", "--listen", &format!("127.0.0.1:{}", self.daemon_port)]);
        serve.envs(variables.iter().copied());
        Daemon::start_as(serve)
    }

    /// The whole story. The steps of the jobs wait for a file, so that nothing depends on time.
    fn jobs_wait_are_ignored_and_end(&self) {
        let go = self.dir.path().join("go");
        let steps = format!("[{{run: 'until test -e {}; do sleep 0.05; done'}}]", go.display());
        let job = |name: &str, labels: &str| format!("{name}: {{runs-on: {labels}, steps: {steps}}}");
        let text = format!(
            "jobs: {{{}, {}, {}}}",
            job("one", "[self-hosted, linux]"),
            job("two", "[self-hosted, linux]"),
            job("train", "[self-hosted, gpu]")
        );
        let said = self.post("/practice/runs", &text);
        assert!(said.contains(" 201 ") && said.contains("/acme/web/actions/runs/"), "{said}");
        let running = until("one job's run", || self.job("runs on sr-dev-"));
        let waiting = until("the other's wait", || self.job("queued for self-hosted, linux"));
        let ignored = self.job("queued for self-hosted, gpu").unwrap();
        self.why(&waiting, "waits: ");
        self.why(&ignored, "ignored: no class has all its labels; the closest is `linux`: it lacks gpu");
        fs::write(&go, "").unwrap();
        until("the end of both", || (self.get("/practice/jobs").matches("succeeded").count() == 2).then_some(()));
        self.why(&running, "success");
        let cancelled = self.post(&format!("/practice/jobs/{ignored}/cancel"), "");
        assert!(cancelled.contains("was cancelled"), "{cancelled}");
    }

    /// The first job that stands so.
    fn job(&self, stands: &str) -> Option<String> {
        let told = self.get("/practice/jobs");
        let line = told.lines().find(|line| line.contains(stands))?;
        Some(line.split("  ").next()?.trim().to_owned())
    }

    /// Asks until the reason is there: a webhook is answered before it is decided.
    fn why(&self, job: &str, words: &str) {
        let mut last = String::new();
        until(&format!("`{words}`"), || {
            last = self.run(&["why", job]).out;
            last.contains(words).then_some(())
        });
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", path, "")
    }

    fn post(&self, path: &str, body: &str) -> String {
        self.ask("POST", path, body)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n");
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _gone = self.github.kill();
        let _reaped = self.github.wait();
        let dir = self.dir.path().canonicalize().unwrap();
        until("the end of the runners", || {
            let living = processes::below(&dir);
            living.iter().for_each(processes::kill);
            living.is_empty().then_some(())
        });
    }
}

/// A port that was free just now, below those that the system gives away by itself.
fn free_port() -> u16 {
    until("a free port", || {
        let port = 20_000 + u16::try_from(std::process::id() % 997 + fresh()).unwrap();
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    })
}

/// Another number each time.
fn fresh() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1_000, std::sync::atomic::Ordering::Relaxed) % 11_000
}
