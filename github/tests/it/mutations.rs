//! Bent deliveries, some thousand of them: what must hold of any request holds of each. `cargo xtask fuzz` does the same
//! with a million.

use std::collections::BTreeSet;

use fastrand::Rng;
use github::webhook::promises::{ENDS, Receiver, Sent};
use sim::hostile::{Hostile, MARKER, SECRETS};

const SEED: u64 = 0x5e1f_2026;
const INPUTS: u64 = 1_000;

#[test]
fn the_promises_hold_of_every_request() {
    let (hostile, receiver) = (Hostile::default(), Receiver::new(&SECRETS));
    let mut rng = Rng::with_seed(SEED);
    let mut ends = BTreeSet::new();
    for input in 0..INPUTS {
        let request = hostile.request(&mut rng);
        let sent = Sent { headers: &request.headers, body: &request.body, signed: request.signed, marker: MARKER };
        match receiver.look(sent) {
            Ok(end) => _ = ends.insert(end),
            Err(broken) => panic!("seed {SEED:#x}, input {input}: {broken}"),
        }
    }
    // The generator reaches all sides, or it would prove nothing.
    assert!(ends.len() * 4 > ENDS.len() * 3, "{ends:?}");
}

/// Whoever looks must be able to see something.
#[test]
fn a_broken_promise_is_seen() {
    let receiver = Receiver::new(&SECRETS);
    let look = |headers: &[(&'static str, Vec<u8>)], body: &[u8], signed, marker| {
        receiver.look(Sent { headers, body, signed, marker }).unwrap_err()
    };
    assert!(look(&[], b"x", true, MARKER).contains("believed: false"));
    assert!(look(&[], b"x", false, "Signature").contains("shows what it must not"));
    let body = br#"{"hook_id":1}"#;
    let headers = [
        ("content-type", b"application/json".to_vec()),
        ("x-github-event", b"ping".to_vec()),
        ("x-hub-signature-256", sim::http::signature(SECRETS[1], body).into_bytes()),
    ];
    assert!(look(&headers, body, false, MARKER).contains("believed: true"));
}
