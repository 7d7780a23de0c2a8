//! Many worlds, on as many threads as there are processors, counted together.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::run::{Options, Outcome, run};
use crate::hub::faults::seen;

/// What came of many worlds.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Worlds.
    pub worlds: u64,
    /// Jobs pushed.
    pub pushed: u64,
    /// Jobs in scope.
    pub jobs: u64,
    /// Machines started.
    pub started: u64,
    /// Port calls.
    pub calls: u64,
    /// Worlds by profile.
    pub profiles: BTreeMap<&'static str, u64>,
    /// Faults that occurred.
    pub faults: BTreeMap<&'static str, u64>,
    /// Rows of the transition tables that were used.
    pub steps: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    /// Worlds in which a promise was broken: seed and words.
    pub violations: Vec<(u64, String)>,
    /// Real time that it took.
    pub took: Duration,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.worlds += 1;
        self.pushed += outcome.pushed;
        self.jobs += outcome.jobs;
        self.started += outcome.started;
        self.calls += outcome.calls;
        *self.profiles.entry(outcome.profile).or_default() += 1;
        merge(&mut self.faults, &outcome.faults);
        merge(&mut self.steps, &outcome.steps);
        self.violations.extend(outcome.violations.iter().map(|text| (outcome.seed, text.clone())));
    }

    /// Faults that never occurred, and rows of the tables that were never used, in words.
    pub fn never(&self) -> Vec<String> {
        let expected = FAULTS.iter().copied().chain(seen::ALL).filter(|name| !NOT_FAULTS.contains(name));
        let faults = expected.filter(|name| !self.faults.contains_key(name)).map(|name| format!("fault `{name}`"));
        let rows = fleet::table::triples().into_iter().filter(|row| !self.steps.contains_key(row) && !is_never(row));
        let rows = rows.map(|(machine, state, input)| format!("row {machine}: {state} × {input}"));
        faults.chain(rows).collect()
    }
}

/// Faults of everything but GitHub.
const FAULTS: [&str; 26] = [
    "registration deleted",
    "agent hangs after its claim",
    "noise",
    "job vanishes",
    "told again",
    "engine refuses",
    "no capacity",
    "answer lost",
    "call fails",
    "store fails",
    "machine dies at boot",
    "machine hangs at boot",
    "listener never connects",
    "machine dies at work",
    "spot notice at work",
    "spot notice before a job",
    "machine dies idle",
    "agent hangs",
    "report lost",
    "claim answer lost",
    "task event lost",
    "stop lost",
    "controller dies",
    "store emptied",
    "class closed",
    "class drained",
];

/// Consequences that a right core never brings about.
const NOT_FAULTS: [&str; 1] = [seen::BUSY_LIE_DELETED];

/// Rows that are there because the functions are total, and that no world can reach.
fn is_never((machine, state, input): &(&str, &str, &str)) -> bool {
    let unclaimed =
        ["bound", "connected", "ended (report)", "job started (report)", "released", "spot notice (report)"];
    match (*machine, *state) {
        // A machine claims before it does anything else, and its claim leaves this state.
        ("runner", "Reserved") => unclaimed.contains(input),
        // Only a runner that waits for a job is suspected of it, and no runner goes back.
        ("runner", "Claimed") => *input == "ghost",
        _ => false,
    }
}

fn merge<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}

/// Runs `worlds` worlds from `first` on; stops early after `most_violations`.
pub fn many(first: u64, worlds: u64, options: &Options, most_violations: usize) -> Tally {
    let begin = Instant::now();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let tally = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= worlds {
                        break;
                    }
                    let options = Options { seed: first + index, ..options.clone() };
                    let outcome = run(&options).unwrap_or_else(|error| broken(options.seed, &error.to_string()));
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    tally.add(&outcome);
                    stop.fetch_or(tally.violations.len() >= most_violations, Ordering::Relaxed);
                }
            });
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.violations.sort();
    tally.took = begin.elapsed();
    tally
}

fn broken(seed: u64, why: &str) -> Outcome {
    Outcome { seed, violations: vec![format!("the world cannot be made: {why}")], ..Outcome::default() }
}
