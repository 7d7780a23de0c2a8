//! The words of the state machine: what comes in, what goes out, and its phases.

use fleet::wire::{EndReason, Report, ReportAnswer};

use crate::claim::Outcome;
use crate::lines::Sign;

/// A fact.
#[derive(Debug)]
pub(crate) enum Input {
    /// Time went on.
    Tick,
    /// A claim came back.
    Claimed(Outcome),
    /// The runner printed a telling line.
    Line(Sign),
    /// Whether a worker process lives.
    Worker(bool),
    /// What was seen after [`Action::FreezeAndLook`].
    Looked(Look),
    /// The control plane answered a report.
    Answered(ReportAnswer),
    /// The `ended` report is through, or never will be.
    Delivered,
    /// SIGTERM came.
    Terminate,
    /// The program started last (`config.sh`, `run.sh`) ended: its exit code, 128 + signal, or nothing if unknown.
    Exited(Option<i32>),
    /// The program could not be started.
    NotStarted,
    /// This many of our descendants live.
    Left(usize),
}

/// What was seen while all of the runner's processes stood still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// A worker, or the sign that a job was received.
    Job,
    /// No job, but the listener has just said that it is connected.
    Connected,
    /// No job.
    Nothing,
    /// Not all processes stood still.
    Unclear,
}

/// Something to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Call the control plane; answer with [`Input::Claimed`].
    Claim,
    /// Start a program; answer with [`Input::NotStarted`] or, later, [`Input::Exited`].
    Launch(Launch),
    /// Tell the control plane; must not block.
    Report(Report),
    /// Stop all of the runner's processes and look; answer with [`Input::Looked`].
    FreezeAndLook,
    /// Let them go on.
    Thaw,
    /// SIGINT to `run.sh`, which forwards it to the listener.
    Interrupt,
    /// SIGTERM to all our descendants; answer with [`Input::Left`].
    TerminateRest,
    /// SIGKILL to all our descendants; answer with [`Input::Left`].
    KillRest,
    /// Answer with [`Input::Left`].
    CountRest,
    /// End the agent with this code.
    Exit(u8),
}

/// A program to start. `Debug` prints no secret.
#[derive(PartialEq, Eq)]
pub(crate) enum Launch {
    /// `run.sh` with a just-in-time configuration.
    Jit {
        /// The runner's name, for the log.
        name: String,
        /// The configuration (secret).
        config: String,
    },
    /// `config.sh` with a registration token.
    Configure {
        /// Name to register with.
        name: String,
        /// Organisation or repository.
        url: String,
        /// The registration token (secret).
        token: String,
        /// Labels to register with.
        labels: Vec<String>,
        /// The runner group, if not the default one.
        group: Option<String>,
    },
    /// `run.sh` after `config.sh`.
    Configured,
}

impl std::fmt::Debug for Launch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Jit { name, .. } => write!(f, "Jit({name})"),
            Self::Configure { name, url, .. } => write!(f, "Configure({name}, {url})"),
            Self::Configured => f.write_str("Configured"),
        }
    }
}

/// Where the life stands. Times are milliseconds since the agent's start.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Asking the control plane. `next_at` is empty while a call is under way.
    Claiming {
        /// When to ask next.
        next_at: Option<u64>,
        /// When to stop asking.
        give_up_at: u64,
    },
    /// `config.sh` runs.
    Configuring,
    /// `run.sh` runs, not connected yet.
    Booting,
    /// Connected, no job.
    Idle {
        /// When to end.
        until: u64,
        /// When to report next.
        beat_at: u64,
    },
    /// A job runs, or was received: then its worker must come before `no_worker_after`.
    Busy {
        /// Empty once the worker was seen.
        no_worker_after: Option<u64>,
    },
    /// The worker is gone, the listener is about to end.
    AfterJob {
        /// When to doubt that.
        until: u64,
    },
    /// The runner stands still and is being looked at.
    Looking {
        /// Why it is to end.
        why: EndReason,
        /// What to go back to.
        before: Waiting,
    },
    /// SIGINT was sent.
    Interrupted {
        /// When to kill.
        kill_at: u64,
    },
    /// SIGKILL was sent; the runner's exit is awaited.
    Killed {
        /// When to send it again.
        again_at: u64,
    },
    /// The runner is gone; what the job left behind is being ended.
    Sweeping {
        /// When to look next.
        look_at: u64,
        /// When to kill.
        kill_at: u64,
        /// When to go without.
        give_up_at: u64,
    },
    /// The last report is under way.
    Reporting {
        /// When to go without.
        until: u64,
    },
    /// Nothing more to do.
    Over,
}

/// A phase in which a runner has no job.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Waiting {
    /// Not connected yet.
    Booting,
    /// Connected.
    Idle {
        /// When to report next.
        beat_at: u64,
    },
    /// Its job is over.
    AfterJob,
}
