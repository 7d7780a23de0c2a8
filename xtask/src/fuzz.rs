//! `cargo xtask fuzz`: bent requests to the webhook, each from its seed and number, and what must hold of any request.
//! The same function as in the fuzzer's target (`fuzz/`), on a stable compiler and replayable by two numbers.

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

use fastrand::Rng;
use github::webhook::promises::{ENDS, Receiver, Sent};
use sim::hostile::{Hostile, MARKER, SECRETS};

/// Inputs unless said otherwise: some seconds.
const INPUTS: u64 = 50_000;

/// From so many inputs on, each end must have been reached.
const COVERAGE_FROM: u64 = 10_000;

/// The memory that the process may have used at most: two bodies of 25 MB, what is built of them, and itself.
const MEMORY_MAX_KB: u64 = 256 * 1_024;

/// Broken promises after which it ends early.
const BROKEN_MAX: usize = 10;

/// Spreads the numbers of inputs over seeds (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

const USAGE: &str = "usage: cargo xtask fuzz [--inputs N] [--seed S] [--from I]

  --inputs N  how many requests
  --seed S    of which series
  --from I    number of the first one; with `--inputs 1` that request only";

struct Arguments {
    inputs: u64,
    seed: u64,
    from: u64,
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let Some(arguments) = parse(arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    let (ends, broken) = look(&arguments);
    let seconds = begun.elapsed().as_secs_f64();
    for end in ENDS {
        println!("  {:>10}  {end}", ends.get(end).copied().unwrap_or(0));
    }
    let looked: u64 = ends.values().sum();
    println!("{looked} requests in {seconds:.1} s, {:.0} a second", looked as f64 / seconds.max(0.001));
    let never: Vec<_> = ENDS.iter().filter(|end| !ends.contains_key(*end)).collect();
    if arguments.inputs >= COVERAGE_FROM {
        never.iter().for_each(|end| println!("NEVER {end}"));
    }
    let within_memory = within_memory();
    let fine = broken == 0 && within_memory && (arguments.inputs < COVERAGE_FROM || never.is_empty());
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: &[String]) -> Option<Arguments> {
    let mut parsed = Arguments { inputs: INPUTS, seed: 0, from: 0 };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let number = words.next()?.parse().ok()?;
        match word.as_str() {
            "--inputs" => parsed.inputs = number,
            "--seed" => parsed.seed = number,
            "--from" => parsed.from = number,
            _ => return None,
        }
    }
    Some(parsed)
}

/// How often each end was reached, and how many promises were broken.
fn look(arguments: &Arguments) -> (BTreeMap<&'static str, u64>, usize) {
    let (hostile, receiver) = (Hostile::default(), Receiver::new(&SECRETS));
    let (mut ends, mut broken) = (BTreeMap::new(), 0);
    for number in arguments.from..arguments.from.saturating_add(arguments.inputs) {
        let looked = catch_unwind(AssertUnwindSafe(|| one(&hostile, &receiver, arguments.seed, number)));
        match looked.unwrap_or_else(|_| Err("it panicked".into())) {
            Ok(end) => *ends.entry(end).or_insert(0) += 1,
            Err(text) => {
                broken += 1;
                println!("BROKEN: {text}");
                println!("        cargo xtask fuzz --seed {} --from {number} --inputs 1", arguments.seed);
                if broken == BROKEN_MAX {
                    break;
                }
            }
        }
    }
    (ends, broken)
}

fn one(hostile: &Hostile, receiver: &Receiver, seed: u64, number: u64) -> Result<&'static str, String> {
    let mut rng = Rng::with_seed(seed ^ number.wrapping_add(1).wrapping_mul(SPREAD));
    let request = hostile.request(&mut rng);
    receiver.look(Sent { headers: &request.headers, body: &request.body, signed: request.signed, marker: MARKER })
}

/// The kernel's word on the most memory that this process had.
fn within_memory() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let Some(kb) = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) else {
        println!("the memory in use is not known here");
        return true;
    };
    println!("{} MB of memory at most (limit {} MB)", kb / 1_024, MEMORY_MAX_KB / 1_024);
    kb <= MEMORY_MAX_KB
}
