//! `Runner.Listener`: opens a session, waits for a job, has a worker do it, ends.
//!
//! One loop over one channel: signals and answers of the broker are events. It must not execute anything of a job
//! itself, and never shows a key.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::broker::{Broker, Refusal};
use super::console::Console;
use super::folder::{self, Registration};
use super::signals;
use super::wire::{self, AcquireAnswer, AcquireRequest, Message, RUNNER_VERSION, SessionRequest};
use super::{Exit, arch, configure, launch, os};

/// How long the broker may be unreachable before the listener ends with 2.
const UNREACHABLE_MAX_MS: u64 = 30_000;
/// Between two tries, and after an offer that went to another.
const RETRY_MS: u64 = 500;
/// Between two tries of a runner whose registration is gone (C15).
const GHOST_RETRY_MS: u64 = 5_000;
/// Events that may wait.
const EVENTS_MAX: usize = 16;
/// With this variable at `1`, a refused version is exit code 7.
const DEPRECATED_ENV: &str = "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE";

/// What the listener waits for.
pub(super) enum Event {
    /// A signal came.
    Asked,
    /// A long poll ended.
    Polled(Result<Option<Message>, Refusal>),
    /// The worker ended.
    WorkerEnded(std::io::Result<std::process::ExitStatus>),
}

/// Runs `run`, `configure` or `remove`.
pub(super) fn main(root: &Path, args: &[String]) -> Exit {
    let env = std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let args = Arguments::read(args, env);
    // Asked for its version it writes no file, wherever it stands.
    if args.as_ref().is_ok_and(|args| args.flag("version")) {
        Console::terminal("Runner").say(RUNNER_VERSION);
        return Exit::Done;
    }
    let console = Console::open(root, "Runner");
    let args = match args {
        Ok(args) => args,
        Err(message) => return terminated(&console, &message),
    };
    match args.command.as_str() {
        "run" => run(root, &args, console),
        "configure" => configure::configure(root, &args, &console),
        "remove" => configure::remove(root, &args, &console),
        _ => terminated(&console, "Unrecognized command-line input argument; the commands are run, configure, remove"),
    }
}

fn terminated(console: &Console, message: &str) -> Exit {
    console.complain(message);
    Exit::Terminated
}

fn run(root: &Path, args: &Arguments, console: Console) -> Exit {
    let registration = match prepare(root, args) {
        Ok(registration) => registration,
        Err(message) => return terminated(&console, &message),
    };
    let (to_self, events) = sync_channel(EVENTS_MAX);
    if let Err(error) = signals::forward(to_self.clone(), |_| Event::Asked) {
        return terminated(&console, &format!("cannot receive signals: {error}"));
    }
    let Registration { settings, credentials } = registration;
    let broker = Broker::new(&settings.server_url, settings.agent_id, &credentials.data.key);
    let root = root.to_path_buf();
    Listener { root, settings, key: credentials.data.key, broker, console, events, to_self }.run()
}

/// Writes the files of a JIT configuration, if there is one, and reads what the folder then holds.
fn prepare(root: &Path, args: &Arguments) -> Result<Registration, String> {
    if let Some(config) = args.get("jitconfig") {
        let files = wire::decode_jit_config(config).map_err(|error| error.to_string())?;
        folder::store(root, &files).map_err(|error| format!("cannot write the configuration: {error}"))?;
    }
    if !folder::configured(root) {
        return Err("Not configured. Run config.(sh/cmd) to configure the runner.".to_owned());
    }
    folder::load(root)
}

/// What a listener has.
pub(super) struct Listener {
    pub(super) root: PathBuf,
    pub(super) settings: wire::Settings,
    pub(super) key: String,
    pub(super) broker: Broker,
    pub(super) console: Console,
    pub(super) events: Receiver<Event>,
    pub(super) to_self: SyncSender<Event>,
}

impl Listener {
    fn run(&self) -> Exit {
        match self.open_session() {
            Ok(session) => {
                let exit = self.listen(&session).unwrap_or_else(|exit| exit);
                if let Err(refusal) = self.broker.close_session(&session) {
                    self.console.note(&format!("the session could not be ended: {refusal:?}"));
                }
                exit
            }
            Err(exit) => exit,
        }
    }

    fn open_session(&self) -> Result<String, Exit> {
        let request = SessionRequest {
            name: self.settings.agent_name.clone(),
            version: RUNNER_VERSION.to_owned(),
            os: os().to_owned(),
            arch: arch().to_owned(),
        };
        let began = Instant::now();
        loop {
            match self.broker.open_session(&request) {
                Ok(answer) => {
                    self.greet();
                    return Ok(answer.session);
                }
                Err(refusal) => self.not_opened(&refusal, began)?,
            }
            self.wait(RETRY_MS)?;
        }
    }

    fn greet(&self) {
        self.console.say("\n√ Connected to GitHub\n");
        self.console.say(&format!("Current runner version: '{RUNNER_VERSION}'"));
    }

    /// Says why there is no session. Ok: worth another try.
    fn not_opened(&self, refusal: &Refusal, began: Instant) -> Result<(), Exit> {
        match refusal {
            Refusal::Gone => {
                self.console.complain(
                    "Failed to create a session. The runner registration has been deleted from the server, please re-configure.",
                );
                Err(Exit::Terminated)
            }
            Refusal::Conflict => {
                self.console.complain("A session for this runner already exists.");
                Err(Exit::SessionConflict)
            }
            Refusal::Deprecated => Err(self.deprecated()),
            Refusal::Trouble(why) => self.trouble(why, began),
        }
    }

    fn deprecated(&self) -> Exit {
        self.console.complain(&format!(
            "An error occurred: Runner version v{RUNNER_VERSION} is deprecated and cannot receive messages."
        ));
        let wanted = std::env::var(DEPRECATED_ENV).is_ok_and(|text| text == "1");
        if wanted { Exit::Deprecated } else { Exit::Terminated }
    }

    fn trouble(&self, why: &str, since: Instant) -> Result<(), Exit> {
        self.console.note(&format!("the server cannot be reached: {why}"));
        if since.elapsed() < Duration::from_millis(UNREACHABLE_MAX_MS) {
            return Ok(());
        }
        self.console.complain(&format!("An error occurred: the server cannot be reached: {why}"));
        Err(Exit::Retryable)
    }

    fn listen(&self, session: &str) -> Result<Exit, Exit> {
        self.console.say_now("Listening for Jobs");
        let mut reached = Instant::now();
        let mut ghost = false;
        loop {
            match self.poll(session)? {
                Ok(None) => reached = Instant::now(),
                Ok(Some(message)) => {
                    reached = Instant::now();
                    if let Some(exit) = self.offered(session, &message)? {
                        return Ok(exit);
                    }
                }
                // As the official program: it does not see that it will never get a job, and waits (C15).
                Err(Refusal::Gone) => {
                    if !std::mem::replace(&mut ghost, true) {
                        self.console.note("the registration is gone; waiting on");
                    }
                    reached = Instant::now();
                    self.wait(GHOST_RETRY_MS)?;
                }
                Err(Refusal::Deprecated) => return Err(self.deprecated()),
                Err(Refusal::Conflict) => return Err(Exit::SessionConflict),
                Err(Refusal::Trouble(why)) => {
                    self.trouble(&why, reached)?;
                    self.wait(RETRY_MS)?;
                }
            }
        }
    }

    /// One long poll, on a thread of its own so that a signal is heard meanwhile.
    fn poll(&self, session: &str) -> Result<Result<Option<Message>, Refusal>, Exit> {
        let (broker, session, to_self) = (self.broker.clone(), session.to_owned(), self.to_self.clone());
        let poll = move || {
            // Nobody listens any more when the process ends: then the answer does not matter.
            let _ = to_self.send(Event::Polled(broker.message(&session)));
        };
        if let Err(error) = std::thread::Builder::new().name("poll".to_owned()).spawn(poll) {
            return Ok(Err(Refusal::Trouble(error.to_string())));
        }
        loop {
            match self.events.recv() {
                Ok(Event::Polled(answer)) => return Ok(answer),
                Ok(Event::WorkerEnded(_)) => {}
                Ok(Event::Asked) => return Err(self.asked_to_end()),
                Err(_) => return Err(Exit::Terminated),
            }
        }
    }

    /// Waits without being deaf.
    fn wait(&self, wait_ms: u64) -> Result<(), Exit> {
        match self.events.recv_timeout(Duration::from_millis(wait_ms)) {
            Ok(Event::Asked) => Err(self.asked_to_end()),
            Ok(Event::Polled(_) | Event::WorkerEnded(_)) | Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Exit::Terminated),
        }
    }

    fn asked_to_end(&self) -> Exit {
        self.console.say("Exiting...");
        Exit::Done
    }

    /// A job is offered. Some: it was the last one.
    fn offered(&self, session: &str, message: &Message) -> Result<Option<Exit>, Exit> {
        let request = AcquireRequest { request_id: message.request_id.clone(), session: session.to_owned() };
        match self.broker.acquire(message.job_id, &request) {
            Ok(answer) => Ok(self.execute(message.job_id, answer)),
            // Another runner was faster, or the answer got lost: GitHub offers it again or gives it away.
            Err(refusal) => {
                self.console.note(&format!("job {} was not acquired: {refusal:?}", message.job_id));
                self.wait(RETRY_MS)?;
                Ok(None)
            }
        }
    }

    fn execute(&self, job: u64, answer: AcquireAnswer) -> Option<Exit> {
        let name = answer.spec.name.clone();
        self.console.say_now(&format!("Running job: {name}"));
        let ended = launch::run(self, job, answer);
        self.console.say_now(&format!("Job {name} completed with result: {}", ended.result));
        if self.settings.ephemeral {
            folder::forget(&self.root);
        } else if !ended.asked {
            return None;
        }
        Some(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_an_unreachable_server_ends_the_listener_with_2() {
        let folder = tempfile::tempdir().unwrap();
        let (to_self, events) = sync_channel(1);
        let settings =
            serde_json::from_str(r#"{"agentId":1,"agentName":"a","serverUrl":"http://127.0.0.1:1"}"#).unwrap();
        let broker = Broker::new("http://127.0.0.1:1", 1, "key");
        let console = Console::open(folder.path(), "Runner");
        let root = folder.path().to_path_buf();
        let listener = Listener { root, settings, key: "key".into(), broker, console, events, to_self };
        let now = Instant::now();
        assert_eq!(listener.trouble("refused", now), Ok(()));
        let long_ago =
            now.checked_sub(Duration::from_millis(UNREACHABLE_MAX_MS)).expect("a machine that runs for longer");
        assert_eq!(listener.trouble("refused", long_ago), Err(Exit::Retryable));
        assert_eq!(Exit::Retryable.code(), 2);
    }
}
