//! A hundred thousand bent deliveries: neither the signature's check nor the parser ever panics, none is believed
//! without its signature, and no error shows a secret.

use controller::ports::Secret;
use fastrand::Rng;
use github::webhook::{parse, sign, verify};
use serde_json::{Value, json};

const SEED: u64 = 0x5e1f_2026;
const ROUNDS: u32 = 100_000;
const SECRET: &str = "s3cr3t-of-the-hook";

/// Pieces that parsers trip over.
const PIECES: [&[u8]; 16] = [
    b"null",
    b"0",
    b"\"\"",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"[",
    b"{",
    b"\"",
    b"\\u0000",
    b"\xff\xfe",
    b"%",
    b"\xf0\x9f",
    b"]}",
    b"true",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];
const ACTIONS: [&str; 5] = ["queued", "waiting", "in_progress", "completed", "odd"];
const TYPES: [&str; 5] =
    ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain", ";;é"];
const EVENTS: [&str; 4] = ["workflow_job", "ping", "issues", " "];
const HEADERS: [&str; 6] = ["", "sha256=", "sha1=00", "sha256=zz", "é", "sha256=é"];

/// All that is read and nothing else, so that mutations meet it.
fn small(action: &str) -> Value {
    json!({
        "action": action,
        "workflow_job": {"id": 58_000_000_001_u64, "run_id": 2, "labels": ["a", "B"], "status": "waiting",
                         "runner_name": "r", "conclusion": null, "created_at": "2026-11-23T10:00:00Z"},
        "repository": {"full_name": "Acme/Web", "private": true},
        "zen": "z",
        "hook_id": 1,
    })
}

fn mutate(rng: &mut Rng, body: &mut Vec<u8>) {
    for _ in 0..rng.u32(0..4) {
        let at = rng.usize(0..=body.len());
        let to = (at + rng.usize(0..24)).min(body.len());
        match rng.u32(0..4) {
            0 => drop(body.drain(at..to)),
            1 => drop(body.splice(at..to, rng.choice(PIECES).into_iter().flatten().copied())),
            2 => body.truncate(at),
            _ => body.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.u32(0..8)),
        }
    }
}

fn body(rng: &mut Rng, plain: &[Vec<u8>]) -> Vec<u8> {
    let mut body = rng.choice(plain).cloned().unwrap_or_default();
    mutate(rng, &mut body);
    if rng.bool() {
        return body;
    }
    let mut form = b"payload=".to_vec();
    for byte in &body {
        // Plain where a form allows it.
        match byte {
            b'a'..=b'z' | b'_' | b':' | b',' => form.push(*byte),
            other => form.extend_from_slice(format!("%{other:02x}").as_bytes()),
        }
    }
    mutate(rng, &mut form);
    form
}

/// Sometimes the right signature, sometimes one that is bent or none.
fn header(rng: &mut Rng, right: &str) -> Option<String> {
    match rng.u32(0..4) {
        0 => None,
        1 => rng.choice(HEADERS).map(str::to_owned),
        2 => {
            let mut bent = right.as_bytes().to_vec();
            mutate(rng, &mut bent);
            String::from_utf8(bent).ok()
        }
        _ => Some(right.to_owned()),
    }
}

#[test]
fn nothing_panics_and_nothing_unsigned_is_believed() {
    let mut rng = Rng::with_seed(SEED);
    let secrets = [Secret::new("other"), Secret::new(SECRET)];
    let plain = ACTIONS.map(|action| small(action).to_string().into_bytes());
    let (mut believed, mut understood, mut refused) = (0, 0, 0);
    for round in 0..ROUNDS {
        let body = body(&mut rng, &plain);
        let right = sign(&secrets[1], &body);
        let header = header(&mut rng, &right);
        let signed = header.as_deref().is_some_and(|header| header.trim().eq_ignore_ascii_case(&right));
        match verify(&secrets, header.as_deref(), &body) {
            Ok(()) => {
                assert!(signed && !body.is_empty(), "seed {SEED:#x}, round {round}");
                believed += 1;
            }
            Err(error) => {
                let words = format!("{error} {error:?}");
                assert!(!words.contains(SECRET) && !words.contains(&right), "seed {SEED:#x}, round {round}");
            }
        }
        let (kind, event) = (rng.choice(TYPES), rng.choice(EVENTS));
        match parse(kind, event, &body) {
            Ok(_) => understood += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty(), "seed {SEED:#x}, round {round}");
                refused += 1;
            }
        }
    }
    // The generator reaches all sides, or it would prove nothing.
    assert!(believed > 1_000 && understood > 1_000 && refused > 1_000, "{believed} {understood} {refused}");
}
