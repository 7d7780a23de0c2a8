//! `cargo xtask bench lambda`: the functions as they are deployed (the zips of `cargo xtask dist`), each in a process of
//! its own behind the Lambda Runtime API, measured from outside.
//!
//! What they call answers at once on the loopback address: Secrets Manager, SQS, the simulated ECS and GitHub, and a real
//! Valkey where one is named. A start is measured from the process's beginning to its first answer, on a machine that has
//! the program in its page cache; AWS adds its own time for the sandbox.
//!
//! | module | what it holds |
//! |---|---|
//! | `runtime` | the Lambda Runtime API |
//! | `cloud` | Secrets Manager and SQS |
//! | `calls` | what the functions are called with |
//! | `program` | one function's process |
//! | `stage` | everything around them, and their environment |

mod calls;
mod cloud;
mod program;
mod runtime;
mod stage;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use self::{
    program::{Bootstrap, Program},
    stage::Stage,
};
use super::table::{Table, fixed};

/// A result, or what went wrong in words.
type Measured<T> = Result<T, String>;

/// How much is measured.
struct Amount {
    starts: usize,
    calls: usize,
}

const FULL: Amount = Amount { starts: 41, calls: 3_000 };
const QUICK: Amount = Amount { starts: 3, calls: 50 };

/// How old a list of ECS may be, and a little more (FACTS §4).
const LIST_LAG: Duration = Duration::from_secs(31);

/// Where things are.
pub(super) struct Settings {
    /// The zips.
    pub(super) dist: PathBuf,
    /// A `valkey-server` or `redis-server`; without one, functions with a store are not measured.
    pub(super) valkey: Option<PathBuf>,
    /// A peer's webhook handler: a module for Node.js that exports `handler`.
    pub(super) peer: Option<PathBuf>,
    /// Little of everything.
    pub(super) quick: bool,
}

/// Measures all functions.
pub(super) fn table(settings: &Settings) -> Measured<Table> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(measure_all(settings))
}

async fn measure_all(settings: &Settings) -> Measured<Table> {
    let amount = if settings.quick { QUICK } else { FULL };
    let stage = Stage::begin(settings.valkey.as_deref()).await?;
    let about =
        format!("{} starts and {} warm calls each; everything they call is on loopback", amount.starts, amount.calls);
    let head = ["function", "start to answer, ms (median)", "warm, ms CPU", "warm, ms (median)", "peak, MB", "zip, MB"];
    let mut table = Table::new("functions", about, &head);
    for function in stage.functions() {
        if stage.launches(function) {
            count_machines(&stage, &settings.dist).await?;
        }
        let bootstrap = Bootstrap::unpack(&settings.dist, function.name)?;
        let mut figures = Figures::default();
        for _ in 0..amount.starts {
            let mut program =
                Program::start(&bootstrap.command(), &stage.environment(function), vec![stage.call(function)?])?;
            figures.starts.push(program.first_answer().await?);
        }
        let mut program =
            Program::start(&bootstrap.command(), &stage.environment(function), vec![stage.call(function)?])?;
        program.first_answer().await?;
        figures.warm(&mut program, || stage.call(function), amount.calls).await?;
        table.row(figures.row(function.name, bootstrap.zip_mb()));
    }
    stage.has_worked()?;
    if let Some(peer) = &settings.peer {
        table.row(measure_peer(&stage, peer, &amount).await?);
    }
    Ok(table)
}

/// The last sweep was long enough ago for ECS's lists to be true: one more, and the machines are counted.
async fn count_machines(stage: &Stage, dist: &Path) -> Measured<()> {
    tokio::time::sleep(LIST_LAG).await;
    let sweep = Stage::SWEEP;
    let bootstrap = Bootstrap::unpack(dist, sweep.name)?;
    Program::start(&bootstrap.command(), &stage.environment(sweep), vec![stage.call(sweep)?])?.first_answer().await?;
    Ok(())
}

/// A peer's handler is called with the same deliveries.
async fn measure_peer(stage: &Stage, peer: &Path, amount: &Amount) -> Measured<[Value; 6]> {
    let command = program::node(peer)?;
    let mut figures = Figures::default();
    stage.queued_since();
    for _ in 0..amount.starts {
        let mut program = Program::start(&command, &stage.peer_environment(), vec![stage.delivery()?])?;
        figures.starts.push(program.first_answer().await?);
    }
    let mut program = Program::start(&command, &stage.peer_environment(), vec![stage.delivery()?])?;
    program.first_answer().await?;
    figures.warm(&mut program, || stage.delivery(), amount.calls).await?;
    let (queued, sent) = (stage.queued_since(), amount.starts + 1 + amount.calls);
    if queued < sent {
        return Err(format!("the peer put {queued} of {sent} deliveries into the queue: it is not told what it needs"));
    }
    Ok(figures.row("the peer's webhook handler", 0.0))
}

#[derive(Default)]
struct Figures {
    starts: Vec<Duration>,
    calls: Vec<Duration>,
    cpu_ms: f64,
    peak_mb: f64,
}

impl Figures {
    async fn warm(
        &mut self,
        program: &mut Program,
        mut call: impl FnMut() -> Measured<String>,
        calls: usize,
    ) -> Measured<()> {
        let before = program.usage()?;
        for _ in 0..calls {
            self.calls.push(program.call(call()?).await?);
        }
        let after = program.usage()?;
        self.cpu_ms = (after.cpu - before.cpu).as_secs_f64() * 1e3 / calls as f64;
        self.peak_mb = after.peak_mb;
        Ok(())
    }

    fn row(mut self, name: &str, zip_mb: f64) -> [Value; 6] {
        let (start, call) = (median_ms(&mut self.starts), median_ms(&mut self.calls));
        let size = if zip_mb > 0.0 { fixed(zip_mb, 2) } else { "-".into() };
        [name.into(), fixed(start, 1), fixed(self.cpu_ms, 2), fixed(call, 2), fixed(self.peak_mb, 1), size]
    }
}

fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
