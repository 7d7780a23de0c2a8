//! Ends without a job: idle, not connected, told to, refused, broken.

use agent::code;
use fleet::wire::{EndReason, Report, ReportAnswer, env};

use crate::bench::{Bench, lives};
use crate::plane::{Plane, run, run_with};

const WAITS: &str = "say Listening for Jobs; until_file never";

fn ended(exit_code: Option<i32>, why: EndReason) -> Report {
    Report::Ended { ran_job: false, exit_code, why }
}

#[test]
fn an_idle_runner_ends_after_its_idle_time() {
    let bench = Bench::new(Plane::start([run_with(60_000, 350)]), WAITS);
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::Idle);
    assert_eq!(agent.ends(), Some(code::OK.into()));
    assert!(!lives(bench.pid("listener.pid")));
    assert_eq!(bench.plane.reports().last(), Some(&ended(None, EndReason::Idle)));
}

#[test]
fn an_idle_runner_ends_when_it_is_not_needed() {
    let bench = Bench::new(Plane::start([run()]), WAITS);
    bench
        .plane
        .on_report(|report| Ok(if *report == Report::Idle { ReportAnswer::EndIfIdle } else { ReportAnswer::Ok }));
    assert_eq!(bench.start().ends(), Some(code::OK.into()));
    assert!(!lives(bench.pid("listener.pid")));
    assert_eq!(bench.plane.reports().last(), Some(&ended(None, EndReason::Idle)));
}

#[test]
fn a_listener_that_does_not_connect_is_ended() {
    let bench = Bench::new(Plane::start([run_with(300, 60_000)]), "until_file never");
    assert_eq!(bench.start().ends(), Some(code::NOT_CONNECTED.into()));
    assert!(!lives(bench.pid("listener.pid")));
    assert_eq!(bench.plane.reports().last(), Some(&ended(None, EndReason::NotConnected)));
}

#[test]
fn sigterm_ends_an_idle_runner() {
    let bench = Bench::new(Plane::start([run()]), WAITS);
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::Registered);
    agent.terminate();
    assert_eq!(agent.ends(), Some(code::TERMINATED.into()));
    assert!(!lives(bench.pid("listener.pid")));
    assert_eq!(bench.plane.reports().last(), Some(&ended(None, EndReason::Terminated)));
}

#[test]
fn exit_7_is_a_deprecated_version() {
    let bench = Bench::new(Plane::start([run()]), "exit 7");
    assert_eq!(bench.start().ends(), Some(code::DEPRECATED.into()));
    assert_eq!(bench.plane.reports().last(), Some(&ended(Some(7), EndReason::Deprecated)));
}

#[test]
fn exit_0_proves_no_job() {
    let bench = Bench::new(Plane::start([run()]), "exit 0");
    assert_eq!(bench.start().ends(), Some(code::OK.into()));
    assert_eq!(bench.plane.reports().last(), Some(&ended(Some(0), EndReason::Exited)));
}

#[test]
fn a_runner_that_crashes_is_said() {
    let bench = Bench::new(Plane::start([run()]), "kill -SEGV $$");
    assert_eq!(bench.start().ends(), Some(code::RUNNER_FAILED.into()));
    assert_eq!(bench.plane.reports().last(), Some(&ended(Some(139), EndReason::Exited)));
}

#[test]
fn a_missing_runner_is_said() {
    let bench = Bench::new(Plane::start([run()]), "");
    std::fs::remove_file(bench.path("run.sh")).unwrap();
    assert_eq!(bench.start().ends(), Some(code::NO_RUNNER.into()));
    assert_eq!(bench.plane.reports().last(), Some(&ended(None, EndReason::Exited)));
}

#[test]
fn a_missing_variable_is_named() {
    let bench = Bench::new(Plane::start([run()]), "").var(env::RUNNER, "");
    let mut agent = bench.start();
    assert_eq!(agent.ends(), Some(code::USAGE.into()));
    assert!(agent.log().contains(env::RUNNER), "{}", agent.log());
    assert_eq!(bench.plane.claims(), 0);
}
