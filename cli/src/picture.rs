//! What a daemon or a stage knows, as of one moment: its store's tables, with what only the living daemon can tell if
//! there is one. `status`, `jobs`, `runners` and `why` show parts of it. It changes nothing and takes no lock.

mod lines;

use std::path::PathBuf;

use fleet::{
    ids::JobId,
    ledger::Ledger,
    policy::Policy,
    standing::Standing,
    view::{Keys, PoolView, View},
};
use serde::Serialize;

pub(crate) use self::lines::{ClassLine, JobLine, RunnerLine};
use crate::{
    control::{Unreachable, wire::Live},
    failure::Failure,
    serve::now_ms,
    source::Source,
    table::columns,
    terminal,
};

/// The whole picture.
pub(crate) struct Picture {
    /// When it was taken, milliseconds.
    pub(crate) now_ms: u64,
    /// Whose it is.
    pub(crate) origin: Origin,
    /// The tables.
    pub(crate) ledger: Ledger,
    /// Webhooks that are stored and not handled.
    pub(crate) letters: u64,
    /// The rules in force; those of the configuration if no daemon lives, and of a stage.
    pub(crate) policy: Option<Policy>,
}

/// Whose a picture is.
pub(crate) enum Origin {
    /// A daemon's of this machine.
    Daemon {
        /// Its data folder.
        data_dir: PathBuf,
        /// What it says, or why it says nothing.
        live: Result<Box<Live>, Unreachable>,
    },
    /// A stage's on AWS.
    Stage(StageFacts),
}

/// What a deployed stage says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StageFacts {
    /// Its name.
    pub(crate) name: String,
    /// The Region.
    pub(crate) region: String,
    /// How its stack stands, in CloudFormation's word.
    pub(crate) status: String,
    /// Where GitHub sends webhooks.
    pub(crate) webhook_url: String,
    /// Events that could not be handled and lie in the dead-letter queue.
    pub(crate) dead_letters: u64,
    /// Milliseconds between two sweeps.
    pub(crate) sweep_interval_ms: u64,
}

impl Picture {
    /// Takes it.
    pub(crate) fn take(source: &Source) -> Result<Self, Failure> {
        let letters = source.letters()?;
        let origin = source.origin()?;
        let policy = origin.live().map(|live| live.policy.clone()).or_else(|| source.policy());
        Ok(Self { origin, policy, letters, ledger: source.ledger()?, now_ms: now_ms() })
    }

    /// Said on stderr where no daemon answers: what is shown may be old.
    pub(crate) fn caveat(&self) -> Option<String> {
        let absent = self.origin.absent()?;
        Some(format!("{}; this is what its file holds. {}", absent.what, capital(&absent.next)))
    }

    /// Prints a table, or that there is nothing to show; and before it on stderr what makes it doubtful.
    pub(crate) fn show<const N: usize>(&self, heads: [&str; N], rows: &[[String; N]], none: &str) {
        if let Some(caveat) = self.caveat() {
            terminal::complain(&caveat);
        }
        let table = columns(heads, rows);
        terminal::say(if rows.is_empty() { none } else { table.trim_end() });
    }

    /// Totals, drains, and the pools that a decision on these jobs would see.
    pub(crate) fn view(&mut self, jobs: &[JobId]) -> View {
        let keys = Keys { jobs: jobs.iter().copied().collect(), ..Keys::default() };
        self.ledger.load(&keys, self.now_ms)
    }

    /// What keeps a runner from the pool's waiting jobs, in words; `None` where the rules are not known or nothing does.
    pub(crate) fn obstacle(&self, view: &View, pool: &PoolView) -> Option<String> {
        let policy = self.policy.as_ref()?;
        Standing { policy, view, now_ms: self.now_ms }.words(pool)
    }
}

impl Origin {
    /// What the living daemon says.
    pub(crate) fn live(&self) -> Option<&Live> {
        if let Self::Daemon { live: Ok(live), .. } = self { Some(live) } else { None }
    }

    /// Why no daemon answers, where one should.
    pub(crate) fn absent(&self) -> Option<&Unreachable> {
        if let Self::Daemon { live: Err(absent), .. } = self { Some(absent) } else { None }
    }
}

/// With a capital letter, as a sentence begins.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
