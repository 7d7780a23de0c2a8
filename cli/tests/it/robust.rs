//! What comes in wrong, slow, large or in numbers: it is cut off or refused, and deliveries go on being taken.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use controller::ports::Secret;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bench::{Daemon, Place, WEBHOOK_SECRET, job};

const MB: usize = 1_024 * 1_024;

/// A delivery that nobody has signed is one of these until it is read.
const WRONG: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// GitHub gives up on a delivery after so long.
const GITHUB_WAITS: Duration = Duration::from_secs(10);

/// Within so long everything slow is cut off: the limits are 10 s, the machine may be busy.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(25);

fn dial(daemon: &Daemon, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&daemon.address).unwrap();
    stream.set_read_timeout(Some(CUT_OFF_WITHIN)).unwrap();
    stream.write_all(sent).unwrap();
    stream
}

/// All that comes until the other side closes; a reset is an end too, waiting for ever is not.
fn rest(mut stream: TcpStream) -> String {
    let begun = Instant::now();
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    assert!(begun.elapsed() < CUT_OFF_WITHIN, "it was not cut off");
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

/// The head of a delivery with a good signature of `body`.
fn signed(body: &str, framing: &str) -> String {
    let signature = github::webhook::sign(&Secret::new(WEBHOOK_SECRET), body.as_bytes());
    format!(
        "POST /webhook HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-type: application/json\r\n\
         x-github-event: workflow_job\r\nx-hub-signature-256: {signature}\r\n{framing}\r\n\r\n"
    )
}

fn delivered_in_time(daemon: &Daemon, id: u64) {
    let begun = Instant::now();
    let (status, body) = daemon.deliver("workflow_job", &job(id, "acme/web", r#"["ubuntu-latest"]"#));
    assert!(status == 202 && begun.elapsed() < GITHUB_WAITS, "{status} {body} after {:?}", begun.elapsed());
}

/// The most memory that the daemon had.
fn peak_mb(daemon: &Daemon) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() / 1_024
}

/// So many files may this process open; more than a usual limit of 1024.
fn allow_files(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(count, |most| most.min(count));
    if limit.current.is_some_and(|current| current < most) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit }).unwrap();
    }
}

#[test]
fn a_thousand_idle_and_all_slow_connections_do_no_harm() {
    allow_files(4_096);
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let body = job(1, "acme/web", "[]");
    let announced = signed(&body, "content-length: 1000000");
    let slow = [
        dial(&daemon, b"GET / HTTP/1.1\r\nhost: he"),
        dial(&daemon, b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"),
        dial(&daemon, announced.as_bytes()),
        dial(&daemon, signed(&body, "transfer-encoding: chunked").as_bytes()),
    ];
    let idle: Vec<TcpStream> = (0..1_000).map(|_| dial(&daemon, b"")).collect();
    for id in 1..=20 {
        delivered_in_time(&daemon, id);
    }
    assert_eq!(daemon.call("GET", "/healthz", &[], b"").0, 200);
    let answers = slow.map(rest);
    assert_eq!(answers.each_ref().map(|answer| status(answer)), ["", "200", "408", "408"], "{answers:?}");
    idle.into_iter().for_each(|stream| assert_eq!(rest(stream), ""));
    assert!(peak_mb(&daemon) < 120, "{} MB", peak_mb(&daemon));
    let (code, log) = daemon.end();
    assert_eq!(code, 0, "{log}");
}

#[test]
fn few_files_are_enough() {
    allow_files(4_096);
    let place = Place::new();
    let plain = place.serve();
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -Sn 128; exec \"$@\"", "bash"]).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let daemon = Daemon::start_as(command);
    let _idle: Vec<TcpStream> = (0..400).map(|_| dial(&daemon, b"POST /webhook")).collect();
    (1..=20).for_each(|id| delivered_in_time(&daemon, id));
}

#[test]
fn large_bodies_of_strangers_cannot_fill_the_memory() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let large = vec![b' '; 25 * MB];
    let headers = [("content-type", "application/json"), ("x-hub-signature-256", WRONG)];
    let statuses: Vec<u16> = thread::scope(|scope| {
        let senders: Vec<_> =
            (0..6).map(|_| scope.spawn(|| daemon.call("POST", "/webhook", &headers, &large).0)).collect();
        (1..=10).for_each(|id| delivered_in_time(&daemon, id));
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| matches!(status, 401 | 503 | 408)), "{statuses:?}");
    assert!(peak_mb(&daemon) < 200, "{} MB", peak_mb(&daemon));
    // And the room is free again: one of GitHub's largest is taken.
    let fine =
        format!("{}{}", " ".repeat(25 * MB - 1_000), job(43_000_000_009, "acme/web", r#"["self-hosted","linux"]"#));
    let (status, body) = daemon.deliver("workflow_job", &fine);
    assert!(status == 202 && body.contains("accepted"), "{status} {body}");
}

#[test]
fn framing_is_taken_as_http_has_it() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let body = job(1, "acme/web", r#"["ubuntu-latest"]"#);
    let length = format!("content-length: {}", body.len());
    let plain = |framing: &str, sent: &str| {
        status(&rest(dial(&daemon, format!("{}{sent}", signed(&body, framing)).as_bytes()))).to_owned()
    };
    assert_eq!(plain(&length, &body), "202");
    let chunks: String =
        body.as_bytes().chunks(100).map(|c| format!("{:x}\r\n{}\r\n", c.len(), String::from_utf8_lossy(c))).collect();
    assert_eq!(plain("transfer-encoding: chunked", &format!("{chunks}0\r\n\r\n")), "202");
    assert_eq!(plain("content-length: 10", &body), "401", "a shorter body is another body");
    assert_eq!(plain(&format!("{length}\r\n{length}1"), &body), "400", "two lengths");
    assert_eq!(plain("content-length: -1", &body), "400");
    assert_eq!(plain("transfer-encoding: chunked", "zz\r\n"), "400");
    let twice = format!("{length}\r\nx-hub-signature-256: {WRONG}");
    assert_eq!(plain(&twice, &body), "401", "two signatures");
    let endless = dial(&daemon, signed(&body, "transfer-encoding: chunked").as_bytes());
    assert_eq!(status(&without_end(endless)), "413");
    let mut half = dial(&daemon, signed(&body, &length).as_bytes());
    half.write_all(&body.as_bytes()[..50]).unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    assert_eq!(status(&rest(half)), "400", "a body that was cut off");
    let done = dial(&daemon, format!("{}{body}", signed(&body, &length)).as_bytes());
    done.shutdown(Shutdown::Write).unwrap();
    assert_eq!(status(&rest(done)), "202", "a request that is whole is answered");
}

/// Sends chunks until the other side has had enough.
fn without_end(mut stream: TcpStream) -> String {
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; MB], b"\r\n"].concat();
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || (0..200).take_while(|_| writer.write_all(&chunk).is_ok()).count());
    let mut answer = [0; 512];
    let read = stream.read(&mut answer).unwrap_or(0);
    drop(stream.shutdown(Shutdown::Both));
    assert!(sending.join().unwrap() < 200, "it took everything");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[test]
fn methods_and_paths_are_answered_as_http_has_it() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let asked = |line: &str| {
        rest(dial(&daemon, format!("{line} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").as_bytes()))
    };
    let head = asked("HEAD /healthz");
    assert!(status(&head) == "200" && head.ends_with("\r\n\r\n"), "{head}");
    for (line, allowed) in
        [("OPTIONS /webhook", "allow: POST"), ("PUT /", "allow: GET,HEAD"), ("GET /webhook", "allow: POST")]
    {
        let answer = asked(line);
        assert!(status(&answer) == "405" && answer.contains(allowed), "{answer}");
    }
    for line in ["GET /nowhere", "GET /webhook/x", "GET //", "POST /agent/v2/claim"] {
        assert_eq!(status(&asked(line)), "404", "{line}");
    }
    let with_slash = signed("x", "content-length: 1").replacen("/webhook", "/webhook/", 1);
    assert_eq!(status(&rest(dial(&daemon, format!("{with_slash}x").as_bytes()))), "400", "signed, but no JSON");
    let old = rest(dial(&daemon, b"GET /healthz HTTP/1.0\r\n\r\n"));
    assert_eq!(status(&old), "200", "{old}");
}
