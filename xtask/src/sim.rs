//! `cargo xtask sim`: the swarm. Random worlds, each from its seed; a failing seed replays exactly.

use std::process::ExitCode;

use sim::swarm::{
    many::{Tally, many},
    run::{Options, run},
    wrong::Wrong,
};

/// Jobs in a world unless said otherwise.
const JOBS_PER_WORLD: u64 = 100;

/// Broken promises after which a run ends early.
const MOST_VIOLATIONS: usize = 20;

/// Worlds within which a wrong core must be caught.
const CAUGHT_WITHIN: u64 = 1_000;

/// From so many worlds on, every fault and every row of the tables must have occurred.
const COVERAGE_FROM: u64 = 2_000;

const USAGE: &str = "usage: cargo xtask sim [--jobs N | --seeds N] [--seed S] [--trace] [--wrong]

  --jobs N    jobs in all, 100 a world (with --trace: jobs in the one world)
  --seeds N   worlds
  --seed S    the first world's seed; alone or with --trace: that world only
  --trace     print all that happens in the one world
  --wrong     put wrong cores in place: each must be caught within 1000 worlds";

#[derive(Default)]
struct Arguments {
    jobs: Option<u64>,
    seeds: Option<u64>,
    seed: Option<u64>,
    trace: bool,
    wrong: bool,
}

pub(crate) fn run_command(arguments: &[String]) -> ExitCode {
    let Some(arguments) = parse(arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let first = arguments.seed.unwrap_or(0);
    if arguments.wrong {
        return wrong(first);
    }
    let one = arguments.trace || (arguments.seed.is_some() && arguments.jobs.is_none() && arguments.seeds.is_none());
    if one {
        return world(first, arguments.jobs.unwrap_or(JOBS_PER_WORLD), arguments.trace);
    }
    let worlds = arguments.seeds.or(arguments.jobs.map(|jobs| jobs.div_ceil(JOBS_PER_WORLD))).unwrap_or(500);
    swarm(first, worlds)
}

fn parse(arguments: &[String]) -> Option<Arguments> {
    let mut parsed = Arguments::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--jobs" => parsed.jobs = Some(words.next()?.parse().ok()?),
            "--seeds" => parsed.seeds = Some(words.next()?.parse().ok()?),
            "--seed" => parsed.seed = Some(words.next()?.parse().ok()?),
            "--trace" => parsed.trace = true,
            "--wrong" => parsed.wrong = true,
            _ => return None,
        }
    }
    Some(parsed)
}

fn world(seed: u64, jobs: u64, trace: bool) -> ExitCode {
    let options = Options { seed, jobs: usize::try_from(jobs).unwrap_or(usize::MAX), trace, ..Options::default() };
    let outcome = match run(&options) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("the world cannot be made: {error}");
            return ExitCode::FAILURE;
        }
    };
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!(
        "seed {seed} ({}): {} jobs in scope, {} machines started, {} at most at once, at rest after {} s",
        outcome.profile,
        outcome.jobs,
        outcome.started,
        outcome.peak,
        outcome.rest_ms / 1_000
    );
    println!("faults: {:?}", outcome.faults);
    outcome.violations.iter().for_each(|text| println!("BROKEN {text}"));
    verdict(outcome.violations.is_empty())
}

fn swarm(first: u64, worlds: u64) -> ExitCode {
    let jobs = usize::try_from(JOBS_PER_WORLD).unwrap_or(usize::MAX);
    let tally = many(first, worlds, &Options { jobs, ..Options::default() }, MOST_VIOLATIONS);
    print(&tally);
    for (seed, text) in &tally.violations {
        println!("BROKEN seed {seed}: {text}\n       cargo xtask sim --seed {seed} --trace");
    }
    let never = tally.never();
    if worlds >= COVERAGE_FROM {
        never.iter().for_each(|what| println!("NEVER {what}"));
    } else {
        println!("{} faults and rows never occurred; that counts from {COVERAGE_FROM} worlds on", never.len());
    }
    verdict(tally.violations.is_empty() && (worlds < COVERAGE_FROM || never.is_empty()))
}

fn print(tally: &Tally) {
    println!("faults:");
    tally.faults.iter().for_each(|(name, count)| println!("  {count:>10}  {name}"));
    println!("rows of the tables:");
    tally
        .steps
        .iter()
        .for_each(|((machine, state, input), count)| println!("  {count:>10}  {machine}: {state} × {input}"));
    println!("worlds:");
    tally.profiles.iter().for_each(|(name, count)| println!("  {count:>10}  {name}"));
    let seconds = tally.took.as_secs_f64().max(0.001);
    println!(
        "{} jobs, {} of them in scope, in {} worlds, {} machines, {} port calls, {} violations; {:.1} s, {:.0} jobs/s",
        tally.pushed,
        tally.jobs,
        tally.worlds,
        tally.started,
        tally.calls,
        tally.violations.len(),
        seconds,
        tally.pushed as f64 / seconds
    );
}

fn wrong(first: u64) -> ExitCode {
    let jobs = usize::try_from(JOBS_PER_WORLD).unwrap_or(usize::MAX);
    let mut caught = 0;
    for wrong in Wrong::ALL {
        let options = Options { jobs, decider: Some(wrong.decider()), ..Options::default() };
        let tally = many(first, CAUGHT_WITHIN, &options, 1);
        match tally.violations.first() {
            Some((seed, text)) => {
                caught += 1;
                println!("{wrong:?}: caught after {} worlds, seed {seed}: {text}", tally.worlds);
            }
            None => println!("{wrong:?}: NOT CAUGHT within {CAUGHT_WITHIN} worlds"),
        }
    }
    println!("{caught} of {} wrong cores caught", Wrong::ALL.len());
    verdict(caught == Wrong::ALL.len())
}

fn verdict(fine: bool) -> ExitCode {
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
