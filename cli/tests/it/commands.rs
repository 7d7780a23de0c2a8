//! The commands that look at a daemon and ask it for something: with a living daemon, after its end, and where none ever
//! was. Whole outputs are snapshots; what differs from run to run is made equal first.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::bench::{Daemon, Place, Ran, job, program, run, until};

const FINE: &str = r#"["self-hosted","linux"]"#;

/// Moments, spans, process numbers and folders are not the same twice; nor how wide their columns are. All else stays.
fn equal(place: &Place, text: &str) -> String {
    let text = text.replace(place.path("data").to_str().unwrap(), "DATA");
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // What GitHub, which cannot be reached here, has cost by then.
        if ["sweep", "polling"].contains(&words.first().copied().unwrap_or_default()) {
            return format!("{} …\n", words[0]);
        }
        let word = |at: usize| if differs(&words, at) { "…" } else { words[at] };
        (0..words.len()).map(word).collect::<Vec<_>>().join(" ") + "\n"
    };
    text.lines().map(line).collect::<String>().replace("… ms", "… s")
}

fn differs(words: &[&str], at: usize) -> bool {
    let is_moment = words[at].len() > 19 && words[at].starts_with("20") && words[at].contains('T');
    let is_number = words[at].trim_start_matches('+').bytes().all(|byte| byte.is_ascii_digit());
    let unit = words.get(at + 1).map_or("", |word| word.trim_end_matches([',', ';', ':', '.']));
    let is_counted = ["s", "ms"].contains(&unit) || words[0] == "github";
    let is_process = at > 0 && words[at - 1] == "process";
    is_moment || words[at].starts_with("http://") || is_number && (is_counted || is_process)
}

fn ask_fine(place: &Place, args: &[&str]) -> String {
    let ran = place.ask(args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {ran:?}");
    ran.out
}

/// A daemon that has counted its engine's machines, with one job that waits for a drained class.
fn drained(place: &Place) -> Daemon {
    let daemon = Daemon::start(place);
    until("the first sweep", || {
        let status = json(&ask_fine(place, &["status", "--json"]));
        (status["inventoried"] == true && !status["daemon"]["sweep"].is_null()).then_some(())
    });
    let said = by_ada(place, &["drain", "--class", "small", "--why", "new image"]);
    assert!(said.out.starts_with("class `small` is drained by ada (new image) since 20"), "{said:?}");
    assert!(said.out.contains("`self-runners drain --class small --end` lifts it"), "{said:?}");
    assert_eq!(daemon.deliver("workflow_job", &job(43_000_000_001, "acme/web", FINE)).0, 202);
    until("the job's row, and the delivery's end", || {
        let status = json(&ask_fine(place, &["status", "--json"]));
        (status["jobs"]["queued"] == 1 && status["unhandled_webhooks"] == 0).then_some(())
    });
    daemon
}

fn by_ada(place: &Place, args: &[&str]) -> Ran {
    let mut command = program();
    command.args(args).arg("--config").arg(place.config()).env_remove("SUDO_USER").env("USER", "ada");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_drain_is_shown_everywhere_and_survives_a_restart() {
    let place = Place::new();
    let daemon = drained(&place);
    insta::assert_snapshot!("status_drained", equal(&place, &ask_fine(&place, &["status"])));
    insta::assert_snapshot!("jobs_drained", equal(&place, &ask_fine(&place, &["jobs"])));
    insta::assert_snapshot!("why_drained", equal(&place, &ask_fine(&place, &["why", "43000000001"])));
    by_ada(&place, &["drain", "--class", "small"]).failed(1, &["drained by ada (new image) since", "already"]);
    place.ask(&["drain", "--class", "large"]).failed(1, &["no class `large`, only `small`"]);
    assert_eq!(daemon.end().0, 0);

    let _again = Daemon::start(&place);
    let status = ask_fine(&place, &["status"]);
    assert!(status.contains("class `small` is drained by ada (new image) since"), "{status}");
    let said = by_ada(&place, &["drain", "--class", "small", "--end"]);
    assert_eq!(said.out, "class `small` is no longer drained: ada lifts the drain of ada (new image)\n");
    by_ada(&place, &["drain", "--class", "small", "--end"]).failed(1, &["class `small` is not drained"]);
    let started = until("the job's runner", || {
        let runners = json(&ask_fine(&place, &["runners", "list", "--json"]));
        runners["runners"][0]["name"].as_str().map(str::to_owned)
    });
    let why = ask_fine(&place, &["why", &started]);
    assert!(why.contains("is started for pool small@acme/web") && why.contains("now: "), "{why}");
}

#[test]
fn json_has_the_documented_shape() {
    let place = Place::new();
    let _daemon = drained(&place);
    let status = json(&ask_fine(&place, &["status", "--json"]));
    assert_eq!((&status["jobs"]["queued"], &status["runners"]["max"]), (&1.into(), &6.into()), "{status}");
    assert_eq!(status["drains"][0]["class"], "small");
    assert_eq!(status["classes"][0]["drained"]["by"], "ada (new image)");
    assert_eq!(status["daemon"]["webhooks"]["taken"], 1);
    let jobs = json(&ask_fine(&place, &["jobs", "--json"]));
    let documented = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md")).unwrap();
    let runners = json(&ask_fine(&place, &["runners", "list", "--all", "--json"]));
    for object in [&status, &status["daemon"], &status["classes"][0], &jobs, &jobs["jobs"][0], &runners] {
        for key in object.as_object().unwrap().keys() {
            assert!(documented.contains(&format!("`{key}`")), "`{key}` is not in docs/commands.md");
        }
    }
}

#[test]
fn without_a_daemon_what_it_left_is_shown_and_nothing_can_be_asked() {
    let place = Place::new();
    place.ask(&["status"]).failed(1, &["there is no state file", "has the daemon ever run with it?"]);
    drained(&place).end();
    for args in [&["status"][..], &["jobs"], &["runners", "list"], &["why", "43000000001"]] {
        let ran = place.ask(args);
        assert_eq!(ran.code, 0, "{ran:?}");
        let caveat = "no daemon runs with DATA; this is what its file holds. Start it with `self-runners serve`";
        assert!(equal(&place, &ran.err).contains(caveat), "{args:?}: {ran:?}");
    }
    insta::assert_snapshot!("status_no_daemon", equal(&place, &place.ask(&["status"]).out));
    let status = json(&place.ask(&["status", "--json"]).out);
    assert!(status["daemon"].is_null() && status["no_daemon"].as_str().unwrap().starts_with("no daemon runs with"));
    for args in [&["drain"][..], &["runners", "stop", "sr-dev-0abc"]] {
        place.ask(args).failed(1, &["no daemon runs with", "start it with `self-runners serve`"]);
    }
}

#[test]
fn why_explains_what_is_ignored_and_what_is_unknown() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let unknown = place.ask(&["why", "77"]);
    unknown.failed(1, &["nothing is recorded about job 77", "no webhook has arrived since the daemon started"]);
    let gpu = r#"["self-hosted","linux","gpu"]"#;
    daemon.deliver("workflow_job", &job(43_000_000_002, "acme/web", gpu));
    let why = until("the reason", || Some(place.ask(&["why", "43000000002"])).filter(|ran| ran.code == 0));
    insta::assert_snapshot!("why_ignored", equal(&place, &why.out));
    place.ask(&["why", "https://github.com/evil/web/actions/runs/1/job/5"]).failed(1, &["evil is not served here"]);
    place.ask(&["why", "acme/api/actions/runs/1/job/5"]).failed(1, &["acme/api is not served here", "repositories"]);
    place.ask(&["why", "acme/web/actions/runs/9"]).failed(1, &["nothing is recorded about a job of run 9"]);
    place.ask(&["why", "sr-dev-0abc"]).failed(1, &["nothing is recorded about runner sr-dev-0abc"]);
    place.ask(&["why", "web"]).failed(2, &["`web` is neither a job's id"]);
}

#[test]
fn a_stop_needs_a_name_that_is_known_and_a_reason_for_force() {
    let place = Place::new();
    let _daemon = Daemon::start(&place);
    place.ask(&["runners", "stop", "laptop"]).failed(2, &["`laptop` is no runner's name", "runners list"]);
    place.ask(&["runners", "stop", "sr-dev-0abc-1"]).failed(1, &["sr-dev-0abc: no such runner is known here"]);
    assert_eq!(run(&["runners", "stop", "sr-dev-0abc", "--force"]).code, 2, "no reason is given");
    let mode = fs::metadata(place.path("data/control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_runner_is_stopped_by_force() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    daemon.deliver("workflow_job", &job(43_000_000_003, "acme/web", FINE));
    // GitHub cannot be reached in these tests, so the runner stays at its boot.
    let name = until("a runner that boots", || {
        let runners = json(&ask_fine(&place, &["runners", "list", "--json"]));
        let runner = &runners["runners"][0];
        ["starting", "claimed"]
            .contains(&runner["state"].as_str()?)
            .then(|| runner["name"].as_str().map(str::to_owned))?
    });
    place.ask(&["runners", "stop", &name]).failed(1, &["is booting", "only force stops it"]);
    // So that none comes after it.
    by_ada(&place, &["drain"]);
    let said = by_ada(&place, &["runners", "stop", &name, "--force", "--why", "hung"]);
    assert_eq!((said.code, said.out), (0, format!("{name}: it is stopped\n")));
    until("its end", || ask_fine(&place, &["runners", "list"]).starts_with("no runner lives").then_some(()));
    let why = ask_fine(&place, &["why", &name]);
    assert!(why.contains("ends: stopped by ada (hung)") && why.contains("now: gone"), "{why}");
    assert!(ask_fine(&place, &["runners", "list", "--all"]).contains(&name));
}

#[test]
fn a_watch_tells_each_change_and_ends_with_its_reader() {
    let place = Place::new();
    let daemon = drained(&place);
    let mut command = program();
    command.args(["status", "--watch", "--config"]).arg(place.config()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.ends_with("1 queued, 0 running; 0 of 6 runners live"), "{first}");
    daemon.deliver("workflow_job", &job(43_000_000_004, "acme/web", FINE));
    let second = lines.next().unwrap().unwrap();
    assert!(second.contains("2 queued, 0 running"), "{second}");
    drop(lines);
    daemon.deliver("workflow_job", &job(43_000_000_005, "acme/web", FINE));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    // A request that does not come to its end is waited for.
    let mut stream = TcpStream::connect(&daemon.address).unwrap();
    stream.write_all(b"POST /webhook HTTP/1.1\r\nhost: here\r\ncontent-length: 10\r\n\r\nhalf").unwrap();
    until("its arrival", || (daemon.call("GET", "/healthz", &[], b"").0 == 200).then_some(()));
    kill_process(daemon.pid(), Signal::TERM).unwrap();
    until("its socket's end", || (!place.path("data/control.sock").exists()).then_some(()));
    let (code, log) = daemon.end();
    assert_eq!(code, 143, "{log}");
    assert!(log.contains("ended at once at the second signal (SIGTERM); nothing is lost"), "{log}");
    assert_eq!(Daemon::start(&place).end().0, 0);
}

#[test]
fn a_data_folder_too_deep_for_a_socket_is_named() {
    let place = Place::new();
    let deep = place.path(&"d".repeat(100));
    let output = place.serve().arg("--data").arg(&deep).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("107 are possible") && err.contains("--data DIR"), "{err}");
}
