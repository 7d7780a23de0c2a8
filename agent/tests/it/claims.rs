//! Claims: answered, put off, lost, refused.

use std::time::{Duration, Instant};

use agent::code;
use fleet::wire::{ClaimAnswer, Credentials, EndReason, Report, env};

use crate::bench::{Bench, eventually};
use crate::plane::{JIT, Plane, Reply, run, run_as};

const ENDS: &str = "say Listening for Jobs";

#[test]
fn go_ends_at_once() {
    let bench = Bench::new(Plane::start([Reply::Answer(ClaimAnswer::Go)]), ENDS);
    assert_eq!(bench.start().ends(), Some(code::OK.into()));
    assert!(!bench.path("listener.pid").exists(), "nothing was started");
}

#[test]
fn wait_is_asked_again_later() {
    let wait = || Reply::Answer(ClaimAnswer::Wait { retry_after_ms: 100 });
    let bench = Bench::new(Plane::start([wait(), wait(), run()]), ENDS);
    let began = Instant::now();
    assert_eq!(bench.start().ends(), Some(0));
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(bench.plane.claims(), 3);
}

#[test]
fn a_lost_answer_is_claimed_again_under_the_new_name() {
    let second = run_as("sr-test-a-2", Credentials::Jit(JIT.into()), 60_000, 60_000);
    let replies = [Reply::Lost, Reply::Status(503), Reply::Status(429), second];
    let bench = Bench::new(Plane::start(replies), ENDS);
    let mut agent = bench.start();
    assert_eq!(agent.ends(), Some(0));
    assert_eq!(bench.plane.claims(), 4);
    assert!(agent.log().contains("sr-test-a-2"), "{}", agent.log());
}

#[test]
fn refusals_end_with_codes_of_their_own() {
    let cases = [(401, code::REFUSED), (409, code::ALREADY_REGISTERED), (426, code::PROTOCOL), (400, code::PROTOCOL)];
    for (status, code) in cases {
        let bench = Bench::new(Plane::start([Reply::Status(status)]), ENDS);
        let mut agent = bench.start();
        assert_eq!(agent.ends(), Some(code.into()), "{status}");
        assert!(agent.log().contains(&status.to_string()), "{}", agent.log());
        assert_eq!(bench.plane.claims(), 1);
    }
}

/// No way to the control plane: nobody is called, and its end waits for nobody.
#[test]
fn one_that_was_told_its_credentials_asks_and_reports_nothing() {
    let Reply::Answer(told) = run() else { panic!("no credentials") };
    let told = serde_json::to_string(&told).unwrap();
    let bench = Bench::new(Plane::start([]), "say Listening for Jobs; say Running job: build");
    let bench = bench.var(env::CREDENTIALS, &told).var(env::URL, "").var(env::CLAIM_TOKEN, "");
    let mut agent = bench.start();
    assert_eq!(agent.ends(), Some(0));
    assert_eq!((bench.plane.claims(), bench.plane.reports().len()), (0, 0));
    assert!(!agent.log().contains(JIT), "{}", agent.log());
}

#[test]
fn credentials_that_cannot_be_read_are_not_quoted() {
    let bench = Bench::new(Plane::start([]), ENDS).var(env::CREDENTIALS, "{\"answer\":\"s3cret\"}");
    let mut agent = bench.start();
    assert_eq!(agent.ends(), Some(code::USAGE.into()));
    let log = agent.log();
    assert!(log.contains("SELF_RUNNERS_CREDENTIALS must be") && !log.contains("s3cret"), "{log}");
}

#[test]
fn sigterm_ends_a_machine_that_waits_for_work() {
    let bench = Bench::new(Plane::start([Reply::Answer(ClaimAnswer::Wait { retry_after_ms: 60_000 })]), ENDS);
    let mut agent = bench.start();
    eventually("the claim", || (bench.plane.claims() == 1).then_some(()));
    agent.terminate();
    assert_eq!(agent.ends(), Some(143));
    let why = EndReason::Terminated;
    assert_eq!(bench.plane.reports().last(), Some(&Report::Ended { ran_job: false, exit_code: None, why }));
}

#[test]
fn a_token_is_used_up_before_the_runner_starts() {
    let credentials = Credentials::Token {
        url: "https://github.com/acme".into(),
        token: "registration-token-that-must-not-leak".into(),
        labels: vec!["self-hosted".into(), "linux".into()],
        group: Some("ci".into()),
    };
    let listener = "env > listener.env; say Listening for Jobs";
    let bench = Bench::new(Plane::start([run_as("sr-test-a-1", credentials, 60_000, 60_000)]), listener);
    bench.script("config.sh", "#!/usr/bin/env bash\nprintf '%s\\n' \"$@\" > config.args; env > config.env\n");
    assert_eq!(bench.start().ends(), Some(0));
    let args = bench.read("config.args");
    let wanted = "--unattended --ephemeral --no-default-labels --disableupdate --url https://github.com/acme \
                  --name sr-test-a-1 --labels self-hosted,linux --runnergroup ci";
    assert_eq!(args.lines().collect::<Vec<_>>(), wanted.split_whitespace().collect::<Vec<_>>());
    assert!(bench.read("config.env").contains("ACTIONS_RUNNER_INPUT_TOKEN=registration-token"));
    assert!(!bench.read("listener.env").contains("must-not-leak"));
}
