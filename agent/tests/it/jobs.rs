//! Jobs that run, and what may not stop them.

use fleet::wire::{EndReason, Report, ReportAnswer};
use rustix::process::Signal;

use crate::bench::{Bench, eventually, exists, lives, signal};
use crate::plane::{Plane, run, run_with};

/// A listener that gets one job, in whose worker it stays until the test says so.
const ONE_JOB: &str = r#"
say Listening for Jobs
until_file job
say Running job: build
worker; wait
until_file leave
say Job build completed with result: Succeeded
"#;

fn ended(ran_job: bool, exit_code: Option<i32>, why: EndReason) -> Report {
    Report::Ended { ran_job, exit_code, why }
}

#[test]
fn first_job() {
    let bench = Bench::new(Plane::start([run()]), ONE_JOB);
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::Registered);
    bench.touch("job");
    bench.plane.wait_for(&Report::JobStarted);
    bench.pid("worker");
    bench.touch("job_done");
    bench.touch("leave");
    assert_eq!(agent.ends(), Some(0));
    // Whether the worker's end is seen before the listener's depends on who is quicker.
    let mut reports = bench.plane.reports();
    reports.retain(|report| *report != Report::JobEnded);
    let wanted = [Report::Registered, Report::JobStarted, ended(true, Some(0), EndReason::Exited)];
    assert_eq!(reports[reports.len() - 3..], wanted);
    assert!(reports.contains(&Report::Booted));
    assert!(agent.output().contains("completed with result: Succeeded"));
    assert_eq!(bench.plane.claims(), 1);
}

#[test]
fn the_worker_alone_tells_of_a_job_and_its_end() {
    let listener = "say Listening for Jobs; worker; wait; until_file leave";
    let bench = Bench::new(Plane::start([run()]), listener);
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::JobStarted);
    bench.touch("job_done");
    bench.plane.wait_for(&Report::JobEnded);
    assert!(agent.lives(), "the listener ends by itself");
    bench.touch("leave");
    assert_eq!(agent.ends(), Some(0));
}

#[test]
fn end_if_idle_does_not_touch_a_job() {
    let bench = Bench::new(Plane::start([run_with(60_000, 300)]), ONE_JOB);
    bench.touch("job");
    bench
        .plane
        .on_report(|report| Ok(if *report == Report::JobStarted { ReportAnswer::EndIfIdle } else { ReportAnswer::Ok }));
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::JobStarted);
    let worker = bench.pid("worker");
    // Longer than the idle time: neither the answer nor the clock ends a busy runner.
    let since = std::time::Instant::now();
    eventually("twice the idle time", || (since.elapsed().as_millis() > 600).then_some(()));
    assert!(lives(worker) && agent.lives());
    bench.touch("job_done");
    bench.touch("leave");
    assert_eq!(agent.ends(), Some(0));
}

#[test]
fn a_worker_born_right_before_the_freeze_wins() {
    let bench = Bench::new(Plane::start([run()]), "say Listening for Jobs; until_file job; worker; wait");
    let (job, born) = (bench.path("job"), bench.path("worker"));
    bench.plane.on_report(move |report| {
        if *report != Report::Idle {
            return Ok(ReportAnswer::Ok);
        }
        // The job comes in the very moment in which the control plane gives the runner up.
        std::fs::write(&job, "").unwrap();
        eventually("the worker", || exists(&born));
        Ok(ReportAnswer::EndIfIdle)
    });
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::JobStarted);
    assert!(lives(bench.pid("worker")));
    bench.touch("job_done");
    assert_eq!(agent.ends(), Some(0), "it went on: a stopped worker would never have ended");
    assert_eq!(bench.plane.reports().last(), Some(&ended(true, Some(0), EndReason::Exited)));
}

#[test]
fn a_job_received_right_before_the_freeze_wins() {
    // No worker yet: only the line tells. It is even unfinished when everything stops.
    let listener = r#"say Listening for Jobs
        until_file job
        printf 'x: Running job: bu'; touch received
        until_file go_on; echo ild; worker; wait"#;
    let bench = Bench::new(Plane::start([run()]), listener);
    let (job, received) = (bench.path("job"), bench.path("received"));
    bench.plane.on_report(move |report| {
        if *report != Report::Idle {
            return Ok(ReportAnswer::Ok);
        }
        std::fs::write(&job, "").unwrap();
        eventually("the line", || exists(&received));
        Ok(ReportAnswer::EndIfIdle)
    });
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::JobStarted);
    bench.touch("go_on");
    assert!(lives(bench.pid("worker")));
    bench.touch("job_done");
    assert_eq!(agent.ends(), Some(0));
}

#[test]
fn failing_reports_do_not_hold_a_job_up() {
    let bench = Bench::new(Plane::start([run()]), ONE_JOB);
    bench.touch("job");
    let mut failures = 0;
    bench.plane.on_report(move |report| {
        failures += 1;
        if matches!(report, Report::Ended { .. }) && failures > 3 { Ok(ReportAnswer::Ok) } else { Err(503) }
    });
    let mut agent = bench.start();
    bench.pid("worker");
    bench.touch("job_done");
    bench.touch("leave");
    assert_eq!(agent.ends(), Some(0));
    assert_eq!(bench.plane.reports(), [ended(true, Some(0), EndReason::Exited)]);
}

#[test]
fn sigterm_gives_a_job_its_time() {
    let listener = r#"
        trap 'touch interrupted; touch job_done; wait; exit 0' INT
        say Listening for Jobs; say Running job: build; worker; wait; until_file never"#;
    let bench = Bench::new(Plane::start([run()]), listener);
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::JobStarted);
    bench.pid("worker");
    agent.terminate();
    assert_eq!(agent.ends(), Some(143));
    assert!(bench.path("interrupted").exists(), "SIGINT reached the listener");
    let wanted = [Report::SpotNotice, ended(true, Some(143), EndReason::Terminated)];
    let reports = bench.plane.reports();
    assert_eq!(reports[reports.len() - 2..], wanted);
}

#[test]
fn a_second_sigterm_kills_at_once() {
    let listener = "trap '' INT; say Listening for Jobs; say Running job: build; worker; until_file never";
    let bench = Bench::new(Plane::start([run()]), listener);
    let mut agent = bench.start();
    bench.plane.wait_for(&Report::JobStarted);
    let worker = bench.pid("worker");
    agent.terminate();
    eventually("the first signal's effect", || agent.log().contains("told to end").then_some(()));
    assert!(agent.lives());
    // Signals close together are taken for one: insist.
    eventually("the second signal's effect", || {
        agent.terminate();
        (!lives(worker)).then_some(())
    });
    assert_eq!(agent.ends(), Some(143));
    assert_eq!(bench.plane.reports().last(), Some(&ended(true, None, EndReason::Terminated)));
}

#[test]
fn what_a_job_leaves_behind_is_ended() {
    // Both are daemons in sessions of their own, keep the runner's output open, and one takes no SIGTERM.
    let listener = r#"
        say Listening for Jobs; say Running job: build
        setsid bash -c 'bash -c "echo \$\$ > meek; exec sleep 1000" &'
        setsid bash -c 'bash -c "trap \"\" TERM; echo \$\$ > stubborn; while :; do sleep 1000; done" &'
        until_file leave"#;
    let bench = Bench::new(Plane::start([run()]), listener);
    let mut agent = bench.start();
    let (meek, stubborn) = (bench.pid("meek"), bench.pid("stubborn"));
    bench.touch("leave");
    assert_eq!(agent.ends(), Some(0));
    assert!(!lives(meek) && !lives(stubborn));
    assert_eq!(bench.plane.reports().last(), Some(&ended(true, Some(0), EndReason::Exited)));
}

#[test]
fn zombies_are_reaped_all_the_time() {
    let listener = r#"say Listening for Jobs; bash -c 'sleep 0 & echo $! > orphan'; until_file never"#;
    let bench = Bench::new(Plane::start([run()]), listener);
    let mut agent = bench.start();
    let orphan = bench.pid("orphan");
    let stat = format!("/proc/{orphan}/stat");
    eventually("the orphan's burial", || (!std::path::Path::new(&stat).exists()).then_some(()));
    signal(agent.pid(), Signal::TERM);
    assert_eq!(agent.ends(), Some(143));
}
