//! Secrets planted in everything that comes in, and the daemon's own: none of them is in an answer, in the log (the
//! most talkative one), in the state file or on a page.

use std::{fs, process::Command};

use controller::ports::Secret;

use crate::bench::{Daemon, Place, WEBHOOK_SECRET, job, until};

const PLANTED: &str = "ghp_planted0secret";

/// Sends requests, remembers the answers.
struct Sender<'a> {
    daemon: &'a Daemon,
    answers: String,
}

impl Sender<'_> {
    fn send(&mut self, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        let (status, answer) = self.daemon.call("POST", path, headers, body.as_bytes());
        self.answers.push_str(&format!("{status} {answer}\n"));
        status
    }

    /// A delivery with good headers, except those that are given.
    fn deliver(&mut self, body: &str, changed: &[(&'static str, &str)]) -> u16 {
        let signature = sign(body);
        let usual = [
            ("content-type", "application/json"),
            ("x-github-event", "workflow_job"),
            ("x-hub-signature-256", signature.as_str()),
        ];
        let kept = usual.into_iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        let headers: Vec<(&str, &str)> = kept.chain(changed.iter().copied()).collect();
        self.send("/webhook", &headers, body)
    }
}

fn sign(body: &str) -> String {
    github::webhook::sign(&Secret::new(WEBHOOK_SECRET), body.as_bytes())
}

/// `serve` with the most talkative log, in a file.
fn talkative(place: &Place) -> Command {
    let plain = place.serve();
    let mut command = Command::new("bash");
    command.args(["-c", "exec \"$@\" 2>\"$LOG\"", "bash"]).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    command.env("LOG", place.path("log")).env("SELF_RUNNERS_LOG", "trace").env("GITHUB_TOKEN", "gho_the0token");
    command
}

fn webhooks(sender: &mut Sender<'_>) {
    let fine = |id| job(id, "acme/web", r#"["self-hosted","linux"]"#);
    let beside = |id, more: &str| fine(id).replacen('{', &format!("{{{more},"), 1);
    // Where nobody looks for one: taken, and kept nowhere.
    let planted = format!(r#""token":"{PLANTED}","sender":{{"login":"{PLANTED}"}},"installation":["{PLANTED}"]"#);
    assert_eq!(sender.deliver(&beside(43_000_000_001, &planted), &[]), 202);
    let noise = [
        ("authorization", format!("Bearer {PLANTED}")),
        ("cookie", PLANTED.to_owned()),
        ("x-github-delivery", PLANTED.to_owned()),
    ];
    let noise: Vec<(&'static str, &str)> = noise.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(sender.deliver(&fine(43_000_000_002), &noise), 202);
    let form = format!("token={PLANTED}&payload={}", fine(43_000_000_003).replace('"', "%22").replace(' ', "+"));
    assert_eq!(sender.deliver(&form, &[("content-type", "application/x-www-form-urlencoded")]), 202);
    // In place of what is read.
    for (field, status) in
        [("\"id\":43000000004", 400), ("\"queued\"", 202), ("\"status\":\"queued\"", 202), ("\"private\":true", 400)]
    {
        let name =
            field.split(':').next().filter(|_| field.contains(':')).map_or(String::new(), |name| format!("{name}:"));
        let bent = fine(43_000_000_004).replacen(field, &format!("{name}\"{PLANTED}\""), 1);
        assert_eq!(sender.deliver(&bent, &[]), status, "{bent}");
    }
    assert_eq!(sender.deliver(PLANTED, &[]), 400);
    assert_eq!(sender.deliver(&format!("{{\"action\": {PLANTED}}}"), &[]), 400);
    assert_eq!(
        sender.deliver(&format!("payload=%{PLANTED}"), &[("content-type", "application/x-www-form-urlencoded")]),
        400
    );
    // In headers that are read.
    assert_eq!(sender.deliver(&fine(43_000_000_005), &[("content-type", &format!("text/{PLANTED}"))]), 415);
    assert_eq!(sender.deliver(&fine(43_000_000_005), &[("x-github-event", PLANTED)]), 202);
    for signature in [PLANTED.to_owned(), format!("sha256={PLANTED}"), sign("another body"), String::new()] {
        assert_eq!(sender.deliver(&fine(43_000_000_005), &[("x-hub-signature-256", &signature)]), 401);
    }
    assert_eq!(sender.send(&format!("/webhook?token={PLANTED}"), &[], "x"), 401);
    assert_eq!(sender.send(&format!("/{PLANTED}"), &[], "x"), 404);
}

fn agents(sender: &mut Sender<'_>) {
    let bearer = format!("Bearer {PLANTED}");
    let claim = r#"{"protocol":1,"runner":"sr-dev-0abc","attempt":1}"#;
    assert_eq!(sender.send("/agent/v1/claim", &[("authorization", &bearer)], claim), 401);
    assert_eq!(sender.send("/agent/v1/claim", &[("authorization", PLANTED)], claim), 401);
    assert_eq!(
        sender.send("/agent/v1/claim", &[("authorization", &bearer)], &format!("{{\"runner\":\"{PLANTED}\"}}")),
        400
    );
    assert_eq!(sender.send("/agent/v1/report", &[("authorization", &bearer)], &format!("\"{PLANTED}\"")), 400);
}

#[test]
fn no_secret_that_comes_in_goes_anywhere() {
    let place = Place::new();
    let daemon = Daemon::start_as(talkative(&place));
    let mut sender = Sender { daemon: &daemon, answers: String::new() };
    webhooks(&mut sender);
    agents(&mut sender);
    let pages = until("the jobs' rows", || {
        let pages = ["43000000001", "43000000002", "43000000003"].map(|job| place.ask(&["why", job]));
        pages.iter().all(|page| page.code == 0).then(|| pages.map(|page| page.out).concat())
    });
    let pages = pages + &place.ask(&["status"]).out;
    let answers = sender.answers;
    let (code, _) = daemon.end();
    assert_eq!(code, 0);
    let log = fs::read_to_string(place.path("log")).unwrap();
    assert!(log.contains("deliveries were refused") && log.contains("DEBUG"), "the log is talkative: {log}");
    let mut rows = Vec::new();
    for entry in fs::read_dir(place.path("data")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with("state.db")) {
            rows.extend(fs::read(entry).unwrap());
        }
    }
    let rows = String::from_utf8_lossy(&rows);
    assert!(rows.contains("acme/web") && pages.contains("acme/web"), "there is something to look at");
    let right = sign(&job(43_000_000_005, "acme/web", r#"["self-hosted","linux"]"#)).split_off("sha256=".len());
    for secret in [PLANTED, WEBHOOK_SECRET, "gho_the0token", &right] {
        for (place, text) in [("answer", &answers[..]), ("log", &log), ("row", &rows), ("page", &pages)] {
            assert!(!text.contains(secret), "`{secret}` is in the {place}s: {text}");
        }
    }
}
