//! What a daemon knows, as of one moment: its store's tables, with what only the living daemon can tell if there is one.
//! `status`, `jobs`, `runners` and `why` show parts of it. It changes nothing and takes no lock.

mod lines;

use std::path::PathBuf;

use controller::ports::PortError;
use fleet::{
    ids::JobId,
    ledger::Ledger,
    policy::Policy,
    standing::Standing,
    view::{Keys, PoolView, View},
};
use local::sqlite::SqliteReader;

pub(crate) use self::lines::{ClassLine, JobLine, RunnerLine};
use crate::{
    control::{Unreachable, wire::Live},
    daemon_args::DaemonArgs,
    failure::Failure,
    serve::now_ms,
    table::columns,
    terminal,
};

/// The whole picture.
pub(crate) struct Picture {
    /// When it was taken, milliseconds.
    pub(crate) now_ms: u64,
    /// Whose it is.
    pub(crate) data_dir: PathBuf,
    /// The tables.
    pub(crate) ledger: Ledger,
    /// Webhooks that are stored and not handled.
    pub(crate) letters: u64,
    /// What the daemon says, or why it says nothing.
    pub(crate) live: Result<Live, Unreachable>,
    /// The rules in force; those of the configuration if no daemon lives.
    pub(crate) policy: Option<Policy>,
}

impl Picture {
    /// Takes it.
    pub(crate) fn take(args: &DaemonArgs) -> Result<Self, Failure> {
        Self::of(args, &args.reader()?)
    }

    /// Takes it through a reader that is open.
    pub(crate) fn of(args: &DaemonArgs, reader: &SqliteReader) -> Result<Self, Failure> {
        let failed = |error: PortError| Failure::failed(error.message);
        let live = args.client()?.live();
        let policy = live.as_ref().ok().map(|live| live.policy.clone()).or_else(|| args.policy());
        Ok(Self {
            data_dir: args.data_dir()?,
            live,
            policy,
            letters: reader.letters().map_err(failed)?,
            ledger: reader.ledger().map_err(failed)?,
            now_ms: now_ms(),
        })
    }

    /// Said on stderr where no daemon answers: what is shown may be old.
    pub(crate) fn caveat(&self) -> Option<String> {
        let absent = self.live.as_ref().err()?;
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

/// With a capital letter, as a sentence begins.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
