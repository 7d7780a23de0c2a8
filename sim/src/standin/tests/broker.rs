//! A broker for tests: the wire's calls over a plain socket, answers set by the test.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::standin::wire::{AcquireAnswer, CompleteRequest, Credentials, LogRequest, RegisterRequest, Settings};

/// The longest that a test waits for anything.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Shorter than the real one, so that tests end quickly.
const LONG_POLL: Duration = Duration::from_millis(300);
pub(super) const KEY: &str = "key-of-the-runner";
pub(super) const TOKEN: &str = "registration-token";

#[derive(Default)]
pub(super) struct State {
    pub(super) jobs: VecDeque<(u64, AcquireAnswer)>,
    /// Status of the session call; 0 means 200.
    pub(super) session_status: u16,
    /// Status of the message call; 0 means the real answer.
    pub(super) message_status: u16,
    pub(super) cancel: bool,
    pub(super) open_sessions: usize,
    pub(super) sessions: usize,
    pub(super) polls: usize,
    pub(super) acquired: Option<AcquireAnswer>,
    pub(super) refuse_acquire: usize,
    pub(super) log: Vec<(u32, String)>,
    pub(super) completed: Vec<CompleteRequest>,
    pub(super) registered: Option<RegisterRequest>,
    pub(super) job_gone: bool,
    pub(super) bad_keys: usize,
}

pub(super) struct Broker {
    pub(super) base: String,
    state: Mutex<State>,
    changed: Condvar,
}

impl Broker {
    pub(super) fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let broker = Arc::new(Self { base, state: Mutex::default(), changed: Condvar::new() });
        let server = Arc::clone(&broker);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || while server.serve(&stream).is_some() {});
            }
        });
        broker
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            agent_id: 7,
            agent_name: "sr-test-1".into(),
            server_url: self.base.clone(),
            git_hub_url: format!("{}/acme", self.base),
            work_folder: "_work".into(),
            ephemeral: true,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits until a condition holds.
    pub(super) fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.state();
        while !holds(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for: {what}; log: {:?}", state.log);
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until a step wrote `waiting`.
    pub(super) fn step_waits(&self) {
        self.until("the step runs", |state| state.log.iter().any(|(_, line)| line == "waiting"));
    }

    fn serve(&self, mut stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let path = target.split('?').next().unwrap_or_default();
        let known = headers.get("authorization").is_some_and(|value| value == &format!("Bearer {KEY}"));
        if !known && !path.ends_with("/register") {
            self.change(|state| state.bad_keys += 1);
        }
        let (status, answer) = self.answer(&method, path, &body);
        let text = if answer.is_null() { String::new() } else { answer.to_string() };
        write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{text}", text.len()).ok()
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let call = path.rsplit('/').next().unwrap_or_default();
        let answer = match (method, call) {
            ("POST", "session") => self.session(),
            ("DELETE", "session") => {
                self.state().open_sessions -= 1;
                (204, Value::Null)
            }
            ("GET", "message") => self.message(),
            ("POST", "acquire") => self.acquire(),
            ("POST", "renew") if self.state().job_gone => (404, Value::Null),
            ("POST", "renew") => (200, json!({ "cancel": self.state().cancel })),
            ("POST", "log") => self.log(&serde_json::from_slice(body).unwrap()),
            ("POST", "complete") => {
                self.state().completed.push(serde_json::from_slice(body).unwrap());
                (204, Value::Null)
            }
            ("POST", "register") => self.register(serde_json::from_slice(body).unwrap()),
            _ => (400, Value::Null),
        };
        self.changed.notify_all();
        answer
    }

    fn session(&self) -> (u16, Value) {
        let mut state = self.state();
        state.sessions += 1;
        match state.session_status {
            0 => {
                state.open_sessions += 1;
                (200, json!({ "session": "s" }))
            }
            status => (status, Value::Null),
        }
    }

    fn message(&self) -> (u16, Value) {
        let mut state = self.state();
        state.polls += 1;
        self.changed.notify_all();
        let waited = self
            .changed
            .wait_timeout_while(state, LONG_POLL, |state| state.message_status == 0 && state.jobs.is_empty());
        let state = waited.unwrap().0;
        match (state.message_status, state.jobs.front()) {
            (0, None) => (204, Value::Null),
            (0, Some((id, job))) => (200, json!({"job_id": id, "request_id": "r", "name": job.spec.name})),
            (status, _) => (status, Value::Null),
        }
    }

    fn acquire(&self) -> (u16, Value) {
        let mut state = self.state();
        if state.refuse_acquire > 0 {
            state.refuse_acquire -= 1;
            return (409, Value::Null);
        }
        let Some((_, job)) = state.jobs.pop_front() else { return (409, Value::Null) };
        state.acquired = Some(job.clone());
        (200, json!(job))
    }

    fn log(&self, request: &LogRequest) -> (u16, Value) {
        let mut state = self.state();
        assert_eq!(request.first as usize, state.log.len(), "no line lost, none doubled");
        state.log.extend(request.lines.iter().map(|line| (line.step, line.text.clone())));
        (204, Value::Null)
    }

    fn register(&self, request: RegisterRequest) -> (u16, Value) {
        let good = request.token == TOKEN;
        self.state().registered = Some(request);
        if !good {
            return (404, Value::Null);
        }
        (200, json!({"settings": self.settings(), "credentials": Credentials::bearer(KEY)}))
    }
}
