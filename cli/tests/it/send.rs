//! `webhook send`: what it sends is what a daemon takes, and what it says is what the daemon answered.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use crate::bench::{Daemon, Place, Ran, WEBHOOK_SECRET, program, ran, until};

const QUEUED: [&str; 8] =
    ["--action", "queued", "--repo", "acme/web", "--labels", "self-hosted,linux", "--job-id", "900000000001"];

fn send(url: &str, args: &[&str]) -> Command {
    let mut command = program();
    command.args(["webhook", "send", "--url", url]).args(args);
    command
}

fn with_secret(url: &str, args: &[&str]) -> Ran {
    ran(send(url, args).env("GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET).output().unwrap())
}

fn with_stdin(mut command: Command, text: &str) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What refuses its arguments ends without reading.
    let _unread = child.stdin.take().unwrap().write_all(text.as_bytes());
    ran(child.wait_with_output().unwrap())
}

#[test]
fn a_payload_from_arguments_is_taken_and_known_the_second_time() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let url = format!("http://{}/webhook", daemon.address);
    let first = with_secret(&url, &QUEUED);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.out.contains("job 900000000001\n202 {") && first.out.contains("small@acme/web"), "{first:?}");
    let again = with_secret(&url, &[&QUEUED[..], &["--form"]].concat());
    assert!(again.code == 0 && again.out.contains("duplicate"), "{again:?}");
    let ignored = with_secret(&url, &["--action", "queued", "--repo", "acme/web", "--labels", "ubuntu-latest"]);
    assert!(ignored.code == 0 && ignored.out.contains("does not ask for `self-hosted`"), "{ignored:?}");
    let refused = with_secret(&url, &["--action", "queued", "--repo", "evil/web"]);
    assert!(refused.out.contains("403 {"), "{refused:?}");
    refused.failed(1, &["403", "configuration"]);
    let elsewhere = with_secret(&format!("http://{}/hook", daemon.address), &QUEUED);
    elsewhere.failed(1, &["404", "/webhook"]);
}

#[test]
fn what_a_row_knows_is_a_duplicate_after_a_restart_too() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let first = with_secret(&format!("http://{}/webhook", daemon.address), &QUEUED);
    assert!(first.out.contains("accepted"), "{first:?}");
    until("the job's row", || place.ask(&["jobs"]).out.contains("900000000001").then_some(()));
    assert_eq!(daemon.end().0, 0);
    let daemon = Daemon::start(&place);
    let again = with_secret(&format!("http://{}/webhook", daemon.address), &QUEUED);
    assert!(again.out.contains("duplicate") && again.out.contains("known to be queued"), "{again:?}");
}

#[test]
fn secret_and_payload_come_from_files_and_stdin() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let url = format!("http://{}/webhook", daemon.address);
    let payload = with_secret(&url, &[&QUEUED[..], &["--dry-run"]].concat()).out;
    let (file, secret) = (place.path("payload.json"), place.path("secret"));
    fs::write(&file, &payload).unwrap();
    fs::write(&secret, format!("\n{WEBHOOK_SECRET}\nan older one\n")).unwrap();
    let (file, secret) = (file.to_str().unwrap(), secret.to_str().unwrap());
    let from_files = ran(send(&url, &[file, "--secret-file", secret]).output().unwrap());
    assert!(from_files.code == 0 && from_files.out.contains("202"), "{from_files:?}");
    let from_stdin = with_stdin(send(&url, &["-", "--secret-file", secret]), &payload);
    assert_eq!(from_stdin.code, 0, "{from_stdin:?}");
    assert_eq!(with_stdin(send(&url, &[file, "--secret-stdin"]), WEBHOOK_SECRET).code, 0);
    let wrong = with_stdin(send(&url, &[file, "--secret-stdin"]), "another secret");
    assert!(wrong.out.contains("401 {") && !wrong.out.contains("another secret"), "{wrong:?}");
    wrong.failed(1, &["401", "compare the secret"]);
    with_stdin(send(&url, &["-", "--secret-stdin"]), "x").failed(2, &["--secret-file"]);
}

#[test]
fn what_cannot_be_sent_is_told() {
    let nobody = with_secret("http://127.0.0.1:9/webhook", &QUEUED);
    nobody.failed(1, &["http://127.0.0.1:9/webhook", "does anybody listen there?"]);
    ran(send("http://127.0.0.1:9/", &QUEUED).output().unwrap()).failed(2, &["GITHUB_WEBHOOK_SECRET"]);
    with_secret("here", &QUEUED).failed(1, &["no URL"]);
    with_secret("http://127.0.0.1:9/", &["nowhere.json"]).failed(2, &["cannot read the payload nowhere.json"]);
    with_secret("http://127.0.0.1:9/", &["--action", "queued", "--repo", "web"]).failed(2, &["owner/name"]);
    for wrong in [&[][..], &["x.json", "--action", "queued", "--repo", "a/b"], &["--action", "queued"]] {
        assert_eq!(with_secret("http://127.0.0.1:9/", wrong).code, 2, "{wrong:?}");
    }
}
