//! The contract of the stand-in, walked through row by row against a small broker.
//!
//! The programs run as real processes: [`entry`] makes this test executable play them. Nothing here sleeps; everything
//! waits for a condition with a deadline.

mod broker;
mod contract;
mod jobs;
mod stage;

/// Plays the stand-in when this executable was started as one; an empty test otherwise.
#[test]
fn entry() {
    let Ok(argv0) = std::env::var(stage::ARGV0_ENV) else { return };
    let args = std::env::var(stage::ARGS_ENV).unwrap_or_default();
    let args: Vec<String> = args.lines().map(str::to_owned).collect();
    std::process::exit(super::dispatch(&argv0, &args).expect("one of the stand-in's names"));
}

#[test]
fn other_names_are_not_for_the_stand_in() {
    assert_eq!(super::dispatch("/usr/bin/self-runners", &["demo".to_owned()]), None);
    assert_eq!(super::dispatch("", &[]), None);
    let version = ["standin", "listener", "--version"].map(str::to_owned);
    assert_eq!(super::dispatch("self-runners", &version), Some(0));
}
