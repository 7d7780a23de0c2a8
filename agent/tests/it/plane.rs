//! A fake control plane: answers claims from a list, takes down reports.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fleet::wire::{
    CLAIM_PATH, ClaimAnswer, ClaimRequest, Credentials, PROTOCOL, REPORT_PATH, Report, ReportAnswer, ReportRequest,
};

/// The claim token that the bench gives to its agents.
pub(crate) const TOKEN: &str = "claim-token-that-must-not-leak";

/// The just-in-time configuration of [`Plane::run`].
pub(crate) const JIT: &str = "jit-config-that-must-not-leak";

/// What to do with one claim.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Answer it.
    Answer(ClaimAnswer),
    /// Answer with this status.
    Status(u16),
    /// Take it, and break the connection.
    Lost,
}

type ReportHandler = dyn FnMut(&Report) -> Result<ReportAnswer, u16> + Send;

/// What is shared with the serving threads.
struct State {
    replies: VecDeque<Reply>,
    claims: usize,
    reports: Vec<Report>,
    on_report: Box<ReportHandler>,
}

/// The fake control plane.
pub(crate) struct Plane {
    pub(crate) url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Plane {
    /// A control plane that answers claims so, the last reply for ever.
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            replies: replies.into_iter().collect(),
            claims: 0,
            reports: Vec::new(),
            on_report: Box::new(|_| Ok(ReportAnswer::Ok)),
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = Arc::clone(&serving);
                thread::spawn(move || serve(stream.unwrap(), &serving));
            }
        });
        Self { url, state }
    }

    /// Answers reports by this function (default: `ok`). It runs before the report is taken down.
    pub(crate) fn on_report(&self, handler: impl FnMut(&Report) -> Result<ReportAnswer, u16> + Send + 'static) {
        self.state.0.lock().unwrap().on_report = Box::new(handler);
    }

    /// How many claims came.
    pub(crate) fn claims(&self) -> usize {
        self.state.0.lock().unwrap().claims
    }

    /// All reports that were taken, without heartbeats.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let state = self.state.0.lock().unwrap();
        state.reports.iter().filter(|report| **report != Report::Idle).cloned().collect()
    }

    /// Waits for a report.
    pub(crate) fn wait_for(&self, wanted: &Report) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut state = self.state.0.lock().unwrap();
        while !state.reports.contains(wanted) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {wanted:?} came, only {:?}", state.reports);
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// "Run", with ample time for everything.
pub(crate) fn run() -> Reply {
    run_with(60_000, 60_000)
}

/// "Run", with these deadlines.
pub(crate) fn run_with(boot_timeout_ms: u64, idle_timeout_ms: u64) -> Reply {
    run_as("sr-test-a-1", Credentials::Jit(JIT.into()), boot_timeout_ms, idle_timeout_ms)
}

/// "Run", with everything chosen.
pub(crate) fn run_as(name: &str, credentials: Credentials, boot_timeout_ms: u64, idle_timeout_ms: u64) -> Reply {
    let name = name.to_owned();
    Reply::Answer(ClaimAnswer::Run { name, credentials, boot_timeout_ms, idle_timeout_ms, heartbeat_ms: 100 })
}

fn serve(mut stream: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let Some((path, authorization, body)) = read_request(&mut stream) else { return };
    let response = if authorization != format!("Bearer {TOKEN}") {
        status(401)
    } else if path == CLAIM_PATH {
        let request: ClaimRequest = serde_json::from_slice(&body).unwrap();
        assert_eq!((request.protocol, request.runner.as_str(), request.attempt), (PROTOCOL, "sr-test-a", 1));
        claim(&mut shared.0.lock().unwrap())
    } else {
        assert_eq!(path, REPORT_PATH);
        let request: ReportRequest = serde_json::from_slice(&body).unwrap();
        report(&mut shared.0.lock().unwrap(), request.report)
    };
    shared.1.notify_all();
    stream.write_all(response.as_bytes()).ok();
}

fn read_request(stream: &mut TcpStream) -> Option<(String, String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.clone_into(&mut authorization),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, authorization, body))
}

fn claim(state: &mut State) -> String {
    state.claims += 1;
    let reply = state.replies.pop_front().expect("a claim too many");
    if state.replies.is_empty() {
        state.replies.push_back(reply.clone());
    }
    match reply {
        Reply::Answer(answer) => json(&serde_json::to_string(&answer).unwrap()),
        Reply::Status(code) => status(code),
        Reply::Lost => String::new(),
    }
}

fn report(state: &mut State, report: Report) -> String {
    match (state.on_report)(&report) {
        Ok(answer) => {
            state.reports.push(report);
            json(&serde_json::to_string(&answer).unwrap())
        }
        Err(code) => status(code),
    }
}

fn json(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn status(code: u16) -> String {
    format!("HTTP/1.1 {code} No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}
