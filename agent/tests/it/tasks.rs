//! The task folder: one launch token never runs twice, and the lock tells the truth.

use std::fs::File;

use agent::code;
use fleet::wire::Report;
use rustix::process::Signal;

use crate::bench::{Bench, lives, signal};
use crate::plane::{Plane, run};

#[test]
fn one_task_folder_is_for_one_agent() {
    let bench = Bench::new(Plane::start([run()]), "say Listening for Jobs; until_file leave");
    let mut first = bench.start();
    bench.plane.wait_for(&Report::Registered);
    let refused = Some(code::ALREADY_STARTED.into());
    assert_eq!(bench.start().ends(), refused, "while the first lives");
    bench.touch("leave");
    assert_eq!(first.ends(), Some(0));
    assert_eq!(bench.start().ends(), refused, "and after it");
    assert_eq!(bench.plane.claims(), 1);
}

#[test]
fn started_and_lock_name_the_living_agent() {
    let bench = Bench::new(Plane::start([run()]), "say Listening for Jobs; until_file never");
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::Registered);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
    let start_time = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap();
    assert_eq!(bench.read("task/started"), format!("{} {start_time}\n", agent.pid()));

    let lock = File::open(bench.path("task/lock")).unwrap();
    assert!(lock.try_lock().is_err(), "held while the agent lives");
    let listener = bench.pid("listener.pid");
    agent.kill();
    assert!(lives(listener));
    assert!(lock.try_lock().is_ok(), "free although its runner lives on");
    signal(listener, Signal::KILL);
}

#[test]
fn a_broken_task_folder_starts_nothing() {
    let bench = Bench::new(Plane::start([run()]), "");
    std::fs::remove_dir(bench.path("task")).unwrap();
    assert_eq!(bench.start().ends(), Some(code::SYSTEM.into()));
    assert_eq!(bench.plane.claims(), 0);
}
