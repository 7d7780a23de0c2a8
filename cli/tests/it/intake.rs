//! Webhooks and agents over HTTP: each input's answer, and what is kept of it.

use rustix::process::{Resource, Rlimit, prlimit};
use std::process::Command;

use crate::bench::{Daemon, Place, job, until};

#[test]
fn each_delivery_has_its_answer() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let fine = r#"["self-hosted","linux"]"#;
    let (status, body) = daemon.deliver("workflow_job", &job(43_000_000_001, "acme/web", fine));
    assert_eq!(status, 202, "{body}");
    assert!(body.contains("accepted") && body.contains("small@acme/web"), "{body}");
    let (status, body) = daemon.deliver("workflow_job", &job(43_000_000_002, "acme/web", r#"["ubuntu-latest"]"#));
    assert_eq!(status, 202, "{body}");
    assert!(body.contains("ignored") && body.contains("self-hosted"), "{body}");
    assert_eq!(daemon.deliver("ping", r#"{"zen":"Keep it","hook_id":1}"#).0, 200);
    assert_eq!(daemon.deliver("issues", "{}").0, 202);
    let refused = job(43_000_000_004, "evil/web", fine);
    assert_eq!([0; 2].map(|_| daemon.deliver("workflow_job", &refused).0), [403; 2]);
    assert_eq!(daemon.deliver("workflow_job", "no json").0, 400);
    let (status, body) = daemon.deliver("workflow_job", r#"{"action":"queued"}"#);
    assert!(status == 400 && body.contains("workflow_job"), "{status} {body}");

    let why = until("the reason", || {
        let ran = place.ask(&["why", "43000000002"]);
        (ran.code == 0).then_some(ran.out)
    });
    assert!(why.contains("does not ask for `self-hosted`"), "{why}");
    let refused = until("both refusals", || {
        let ran = place.ask(&["why", "https://github.com/evil/web/actions/runs/1/job/43000000004"]);
        (ran.code == 0 && ran.out.contains("2 times")).then_some(ran.out)
    });
    let words = ["job 43000000004 of evil/web\n", "refused: owner evil is not allowed", "now: not served here"];
    words.iter().for_each(|word| assert!(refused.contains(word), "{refused}"));
    let status = until("the job's row", || {
        let ran = place.ask(&["status"]);
        ran.out.contains("43000000001").then_some(ran.out)
    });
    assert!(status.contains("acme/web"), "{status}");
    assert!(status.contains("taken (1 not about a job), 4 refused"), "{status}");
    assert!(place.ask(&["status", "--json"]).out.contains(r#""this event needs nothing: only `workflow_job` does":1"#));
    place.ask(&["why", "77"]).failed(1, &["nothing is recorded about job 77"]);
}

#[test]
fn what_is_not_githubs_is_refused() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let body = job(1, "acme/web", "[]");
    let json = ("content-type", "application/json");
    let event = ("x-github-event", "workflow_job");
    assert_eq!(daemon.call("POST", "/webhook", &[json, event], body.as_bytes()).0, 401);
    let wrong = ("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    assert_eq!(daemon.call("POST", "/webhook", &[json, event, wrong], body.as_bytes()).0, 401);
    assert_eq!(daemon.call("POST", "/webhook", &[json, event, wrong], b"").0, 401);
    let secret = controller::ports::Secret::new(crate::bench::WEBHOOK_SECRET);
    let right = github::webhook::sign(&secret, body.as_bytes());
    let signed = [("content-type", "text/plain"), event, ("x-hub-signature-256", right.as_str())];
    assert_eq!(daemon.call("POST", "/webhook", &signed, body.as_bytes()).0, 415);
    assert_eq!(daemon.call("POST", "/webhook", &[json, event], &vec![b' '; 25 * 1_024 * 1_024 + 1]).0, 413);
    assert_eq!(daemon.call("GET", "/webhook", &[], b"").0, 405);
    assert_eq!(daemon.call("GET", "/nowhere", &[], b"").0, 404);
}

#[test]
fn agents_are_refused_as_the_protocol_says() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let claim =
        |headers: &[(&str, &str)], body: &str| daemon.call("POST", "/agent/v1/claim", headers, body.as_bytes()).0;
    let good = r#"{"protocol":1,"runner":"sr-dev-0abc","attempt":1}"#;
    assert_eq!(claim(&[], good), 401);
    assert_eq!(claim(&[("authorization", "Bearer guess")], good), 401);
    assert_eq!(claim(&[("authorization", "Bearer guess")], "{"), 400);
    let report = r#"{"protocol":1,"runner":"sr-dev-0abc","attempt":1,"report":{"report":"booted"}}"#;
    assert_eq!(daemon.call("POST", "/agent/v1/report", &[("authorization", "Bearer guess")], report.as_bytes()).0, 401);
}

/// Where files may not grow, a disk is full.
#[test]
fn a_full_disk_is_told_to_github_and_forgotten_when_it_has_room() {
    let place = Place::new();
    let plain = place.serve();
    let mut command = Command::new("bash");
    // Bash ignores the signal that would end the daemon, and it inherits that.
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "bash"]).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let daemon = Daemon::start_as(command);
    let full = Rlimit { current: Some(1), maximum: None };
    let before = prlimit(Some(daemon.pid()), Resource::Fsize, full).unwrap();
    let deliver = |id| daemon.deliver("workflow_job", &job(id, "acme/web", r#"["ubuntu-latest"]"#));
    let (status, body) = deliver(43_000_000_003);
    assert_eq!(status, 503, "{body}");
    assert_eq!(daemon.call("GET", "/healthz", &[], b"").0, 200);
    let (status, body) = daemon.call("GET", "/readyz", &[], b"");
    assert!(status == 503 && body.contains("the store cannot be written"), "{status} {body}");
    let status = place.ask(&["status"]).out;
    assert!(status.contains("store     cannot write the state file"), "{status}");
    prlimit(Some(daemon.pid()), Resource::Fsize, before).unwrap();
    until("recovery", || (deliver(43_000_000_003).0 == 202).then_some(()));
    until("readiness", || (daemon.call("GET", "/readyz", &[], b"").0 == 200).then_some(()));
    let (code, log) = daemon.end();
    assert_eq!(code, 0, "{log}");
}
