//! The agent's loop: wait for facts, give them to `lifecycle`, perform its actions.
//!
//! One thread does all of this; calls to the control plane run in others and come back through a channel and a wake-up
//! socket. No decision may be taken here.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fleet::wire::Report;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::claim::Outcome;
use crate::config::Config;
use crate::console::{Log, PassOn};
use crate::inbox::{Event, Inbox, Mail};
use crate::lifecycle::{Action, Input, Launch, Lifecycle, Look};
use crate::lines::Sign;
use crate::plane::Plane;
use crate::proc_fs;
use crate::process::{self, Runner};
use crate::report::{Reporter, Settled};

/// Runs an agent to its end; gives its exit code.
pub(crate) fn run(config: Config, log: Log) -> io::Result<u8> {
    let mut agent = Agent::new(&config, log)?;
    // The configuration, and the token in it, lives on only in the client.
    drop(config);
    agent.reporter.push(Report::Booted);
    let end = loop {
        match (agent.turn(), agent.exit) {
            (Ok(()), None) => {}
            (Ok(()), Some(code)) => break Ok(code),
            // The kernel refused to wait for anything. Without us nobody would watch the runner, and the engine would
            // take it for gone while it might still get a job.
            (Err(error), _) => {
                process::kill_all();
                break Err(error);
            }
        }
    };
    agent.output.finish();
    end
}

struct Agent {
    life: Lifecycle,
    runner: Runner,
    plane: Arc<Plane>,
    reporter: Reporter,
    inbox: Inbox,
    mail: Mail,
    output: PassOn,
    log: Log,
    began: Instant,
    /// Whether a worker lived when it was looked for last, and when to look next.
    worker: bool,
    look_at: u64,
    exit: Option<u8>,
}

impl Agent {
    fn new(config: &Config, log: Log) -> io::Result<Self> {
        let (inbox, mail) = Inbox::open()?;
        let plane = Arc::new(Plane::new(config, log));
        let (caller, settled) = (Arc::clone(&plane), mail.clone());
        let reporter = Reporter::start(
            fastrand::u64(..),
            move |report| caller.report(report),
            move |result| settled.send(Event::Settled(result)),
        )?;
        Ok(Self {
            life: Lifecycle::new(fastrand::u64(..)),
            runner: Runner::new(&config.runner_dir, log.is_debug()),
            plane,
            reporter,
            inbox,
            mail,
            output: PassOn::start()?,
            log,
            began: Instant::now(),
            worker: false,
            look_at: 0,
            exit: None,
        })
    }

    /// Waits for something to happen, and deals with all that has.
    fn turn(&mut self) -> io::Result<()> {
        self.wait()?;
        // Exits are taken before the output is read: so all that a dead runner printed is heard before its end.
        let exited = self.runner.reap();
        let signs = self.drain();
        let mut inputs: VecDeque<Input> = signs.into_iter().map(Input::Line).collect();
        inputs.extend(self.worker_change());
        inputs.extend(exited.map(Input::Exited));
        if self.inbox.take_term() {
            self.log.say(format_args!("told to end (SIGTERM)"));
            inputs.push_back(Input::Terminate);
        }
        inputs.extend(self.inbox.events().map(input_of));
        inputs.push_back(Input::Tick);
        while let Some(input) = inputs.pop_front() {
            self.feed(input);
        }
        Ok(())
    }

    /// One fact, and whatever follows from it, before the next.
    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.log.debug(format_args!("{input:?}"));
            let now = self.now();
            for action in self.life.step(now, input) {
                if self.exit.is_none() {
                    inputs.extend(self.perform(action));
                }
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        self.log.debug(format_args!("-> {action:?}"));
        match action {
            Action::Claim => {
                self.claim();
                None
            }
            Action::Launch(launch) => self.launch(&launch),
            Action::Report(report) => {
                self.say_report(&report);
                self.reporter.push(report);
                None
            }
            Action::FreezeAndLook => Some(Input::Looked(self.freeze_and_look())),
            Action::Thaw => {
                process::thaw();
                None
            }
            Action::Interrupt => {
                self.runner.interrupt();
                None
            }
            Action::TerminateRest => Some(Input::Left(process::terminate_all())),
            Action::KillRest => Some(Input::Left(process::kill_all())),
            Action::CountRest => Some(Input::Left(proc_fs::descendants().len())),
            Action::Exit(code) => {
                let left = proc_fs::descendants().len();
                if left > 0 {
                    self.log
                        .say(format_args!("{left} processes of the job could not be ended; they are not this user's"));
                }
                self.exit = Some(code);
                None
            }
        }
    }

    fn claim(&self) {
        let (plane, mail) = (Arc::clone(&self.plane), self.mail.clone());
        let call = thread::Builder::new().name("claim".into());
        let started = call.spawn(move || mail.send(Event::Claimed(plane.claim())));
        if let Err(error) = started {
            // No memory, or too many threads on this machine: as good as a network error.
            self.log.say(format_args!("cannot start a thread: {error}"));
            self.mail.send(Event::Claimed(Outcome::Retry { after_ms: None }));
        }
    }

    fn launch(&mut self, launch: &Launch) -> Option<Input> {
        match self.runner.launch(launch) {
            Ok(()) => {
                self.log.say(format_args!("started the runner: {launch:?}"));
                None
            }
            Err(error) => {
                self.log.say(format_args!(
                    "cannot start the runner's {launch:?}: {error}; is SELF_RUNNERS_RUNNER_DIR right?"
                ));
                Some(Input::NotStarted)
            }
        }
    }

    /// The heart of an idle end. Order matters: only what stands still can be looked at without missing a birth.
    fn freeze_and_look(&mut self) -> Look {
        let frozen = process::freeze();
        let signs = self.drain();
        let received = signs.contains(&Sign::JobReceived) || self.runner.unfinished_sign() == Some(Sign::JobReceived);
        if received || proc_fs::descendants().into_iter().any(proc_fs::is_worker) {
            Look::Job
        } else if !frozen {
            self.log.say(format_args!("not all processes of the runner stood still; looking again later"));
            Look::Unclear
        } else if signs.contains(&Sign::Listening) {
            Look::Connected
        } else {
            Look::Nothing
        }
    }

    fn drain(&mut self) -> Vec<Sign> {
        let output = &mut self.output;
        self.runner.drain(|line| output.line(line))
    }

    /// Looks for a worker now and then, and tells each change. A job is known earlier by the listener's line.
    fn worker_change(&mut self) -> Option<Input> {
        let now = self.now();
        if !self.runner.is_running() || now < self.look_at {
            return None;
        }
        self.look_at = now + WORKER_LOOK_MS;
        let lives = proc_fs::has_worker(self.worker);
        let changed = std::mem::replace(&mut self.worker, lives) != lives;
        changed.then_some(Input::Worker(lives))
    }

    fn wait(&mut self) -> io::Result<()> {
        let now = self.now();
        let mut until = self.life.deadline().unwrap_or(u64::MAX);
        if self.runner.is_running() {
            until = until.min(self.look_at);
        }
        let wait = Duration::from_millis(until.saturating_sub(now).min(MAX_SLEEP_MS));
        let timeout = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() };
        let mut fds = vec![PollFd::from_borrowed_fd(self.inbox.wake(), PollFlags::IN)];
        fds.extend(self.runner.output().map(|output| PollFd::from_borrowed_fd(output, PollFlags::IN)));
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => self.inbox.quiet(),
            Err(error) => Err(error.into()),
        }
    }

    fn say_report(&self, report: &Report) {
        if *report == Report::Idle {
            self.log.debug(format_args!("{report:?}"));
        } else {
            self.log.say(format_args!("{report:?}"));
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn input_of(event: Event) -> Input {
    match event {
        Event::Claimed(outcome) => Input::Claimed(outcome),
        Event::Settled(Settled::Answered(answer)) => Input::Answered(answer),
        Event::Settled(Settled::EndedDelivered) => Input::Delivered,
    }
}

/// How often a worker is looked for.
const WORKER_LOOK_MS: u64 = 500;

/// The longest sleep, whatever the deadlines say.
const MAX_SLEEP_MS: u64 = 60_000;
