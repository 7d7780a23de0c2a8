//! The daemon begins, refuses to begin, and ends.

use std::net::TcpListener;

use crate::bench::{Daemon, Place, write};

#[test]
fn it_serves_and_ends_when_asked() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let (status, body) = daemon.call("GET", "/", &[], b"");
    assert_eq!(status, 200);
    assert!(body.contains("self-runners") && body.contains(env!("CARGO_PKG_VERSION")), "{body}");
    assert_eq!(daemon.call("GET", "/healthz", &[], b"").0, 200);
    assert_eq!(daemon.call("GET", "/readyz", &[], b"").0, 200);
    let (code, log) = daemon.end();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("running jobs go on"), "{log}");
    assert!(!log.contains("a token") && !log.contains("ERROR"), "{log}");
}

#[test]
fn an_occupied_port_is_named() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = place.serve().args(["--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains(&format!("{address} is taken by another program")) && err.contains("--listen"), "{err}");
}

#[test]
fn a_second_daemon_on_the_same_store_is_refused_and_the_first_goes_on() {
    let place = Place::new();
    let first = Daemon::start(&place);
    place.serve_fails().failed(1, &["has the state file", "stop it first"]);
    assert_eq!(first.call("GET", "/readyz", &[], b"").0, 200);
}

#[test]
fn a_damaged_store_is_named_and_left_alone() {
    let place = Place::new();
    let garbage = "this is no database, but somebody may want it back\n".repeat(100);
    write(&place.path("data/state.db"), &garbage);
    place.serve_fails().failed(1, &["state.db", "aside and start again"]);
    assert_eq!(std::fs::read_to_string(place.path("data/state.db")).unwrap(), garbage);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let place = Place::new();
    write(&place.path("data"), "a file where a folder should be");
    place.serve_fails().failed(1, &["cannot write to the data folder", "--data DIR"]);
}

#[test]
fn it_is_found_as_it_was_left() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    daemon.call("GET", "/", &[], b"");
    let key = std::fs::read(place.path("data/claim-key")).unwrap();
    assert_eq!(daemon.end().0, 0);
    let again = Daemon::start(&place);
    assert_eq!(again.call("GET", "/readyz", &[], b"").0, 200);
    assert_eq!(std::fs::read(place.path("data/claim-key")).unwrap(), key, "runners were started with this key");
}
