//! Requests to `/webhook` as GitHub, careless proxies and strangers send them: real deliveries, bent in structure, in
//! bytes and in their headers, signed rightly, wrongly or not at all.
//!
//! All chance comes from [`Dice`], so a seed replays a request, and a fuzzer's bytes can take the dice's place.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::{http::signature, payloads};

/// The webhook's secrets in force: a new and an old one.
pub const SECRETS: [&str; 2] = ["a new secret of the webhook", "an old secret of the webhook"];

/// Planted wherever something is sent that is no name: it must not come back.
pub const MARKER: &str = "ghp_planted0secret";

/// GitHub's limit of a delivery.
const BODY_MAX_BYTES: usize = 25 * 1_024 * 1_024;

/// Where chance comes from.
pub trait Dice {
    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize;
}

impl Dice for Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.usize(..limit)
    }
}

/// A fuzzer's bytes as dice. When they are used up, every throw is 0.
#[derive(Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Dice for Bytes<'_> {
    fn below(&mut self, limit: usize) -> usize {
        let mut number = 0;
        for _ in 0..limit.ilog2().div_ceil(8).max(1) {
            let (byte, rest) = self.0.split_first().map_or((0, &[][..]), |(byte, rest)| (*byte, rest));
            self.0 = rest;
            number = number << 8 | usize::from(byte);
        }
        number % limit
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether it has exactly one signature and that is right. Nothing else may be believed.
    pub signed: bool,
}

/// Makes requests.
#[derive(Debug)]
pub struct Hostile {
    plain: Vec<(&'static str, Value)>,
}

impl Default for Hostile {
    fn default() -> Self {
        // They are JSON: a test of theirs says so.
        let read =
            |payload: &payloads::Payload| (payload.event, serde_json::from_str(payload.json).unwrap_or_default());
        Self { plain: payloads::ALL.iter().map(read).collect() }
    }
}

impl Hostile {
    /// The next request.
    pub fn request(&self, dice: &mut impl Dice) -> Request {
        let (event, value) = pick(dice, &self.plain);
        let mut body =
            if one_in(dice, 20) { odd_body(dice) } else { bent(dice, value.clone()).to_string().into_bytes() };
        if one_in(dice, 4) {
            bend_bytes(dice, &mut body);
        }
        let form = one_in(dice, 6);
        if form {
            body = form_encoded(dice, &body);
        }
        body.truncate(BODY_MAX_BYTES);
        let mut headers = noise(dice);
        put(dice, &mut headers, "content-type", content_type(form).as_bytes(), &TYPES);
        put(dice, &mut headers, "x-github-event", event.as_bytes(), &EVENTS);
        let right = pick(dice, &SECRETS);
        put(dice, &mut headers, "x-hub-signature-256", signature(right, &body).as_bytes(), &SIGNATURES);
        let signed = is_signed(&headers, &body);
        Request { headers, body, signed }
    }
}

/// Said by another way than the one that is tried: the header is compared as text.
fn is_signed(headers: &[(&str, Vec<u8>)], body: &[u8]) -> bool {
    let mut given = headers.iter().filter(|(name, _)| *name == "x-hub-signature-256");
    let (Some((_, value)), None) = (given.next(), given.next()) else { return false };
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    let is = |secret: &&str| {
        let right = signature(secret, body);
        let (prefix, digits) = right.split_at("sha256=".len());
        text.strip_prefix(prefix).is_some_and(|given| given.eq_ignore_ascii_case(digits))
    };
    !body.is_empty() && SECRETS.iter().any(is)
}

fn one_in(dice: &mut impl Dice, many: usize) -> bool {
    dice.below(many) == many - 1
}

fn pick<'a, T>(dice: &mut impl Dice, from: &'a [T]) -> &'a T {
    &from[dice.below(from.len())]
}

/// Mostly the right value; else another, an odd one, the right one twice, or none.
fn put(
    dice: &mut impl Dice,
    headers: &mut Vec<(&'static str, Vec<u8>)>,
    name: &'static str,
    right: &[u8],
    odd: &[&str],
) {
    match dice.below(24) {
        0..=18 => headers.push((name, right.to_vec())),
        19 => {
            let mut value = right.to_vec();
            bend_bytes(dice, &mut value);
            headers.push((name, value));
        }
        20 => headers.extend([(name, right.to_vec()), (name, right.to_vec())]),
        21 => {}
        _ => headers.push((name, pick(dice, odd).as_bytes().to_vec())),
    }
}

fn content_type(form: bool) -> &'static str {
    if form { "application/x-www-form-urlencoded" } else { "application/json" }
}

/// Headers that mean nothing here.
fn noise(dice: &mut impl Dice) -> Vec<(&'static str, Vec<u8>)> {
    let all =
        [("authorization", "Bearer "), ("cookie", "session="), ("x-github-delivery", ""), ("x-hub-signature", "sha1=")];
    all.into_iter().filter(|_| one_in(dice, 4)).map(|(name, value)| (name, format!("{value}{MARKER}").into())).collect()
}

/// A payload with up to three of its values changed; half the time one that is read.
fn bent(dice: &mut impl Dice, mut payload: Value) -> Value {
    if one_in(dice, 20) {
        // Of an owner who is served, but not on its list: chance alone hardly ever writes such a name.
        payload["repository"]["full_name"] = json!("acme/other");
    }
    if one_in(dice, 2) {
        plant(dice, &mut payload);
    }
    for _ in 0..dice.below(4) {
        let place = if one_in(dice, 2) {
            pick(dice, &READ).iter().try_fold(&mut payload, |value, name| value.get_mut(*name))
        } else {
            somewhere(dice, &mut payload)
        };
        if let Some(place) = place {
            *place = odd_value(dice);
        }
    }
    payload
}

/// A secret where nobody looks for one.
fn plant(dice: &mut impl Dice, payload: &mut Value) {
    let name = pick(dice, &["token", "sender", "installation", "zen", "deployment", "action"]);
    payload[*name] = match dice.below(3) {
        0 => json!(MARKER),
        1 => json!({ "token": MARKER }),
        _ => json!([MARKER]),
    };
}

/// Any value of the document.
fn somewhere<'a>(dice: &mut impl Dice, value: &'a mut Value) -> Option<&'a mut Value> {
    let mut value = value;
    for _ in 0..4 {
        let count = value.as_object().map_or(0, serde_json::Map::len) + value.as_array().map_or(0, Vec::len);
        if count == 0 || one_in(dice, 3) {
            break;
        }
        let at = dice.below(count);
        value = match value {
            Value::Object(map) => map.values_mut().nth(at)?,
            Value::Array(list) => list.get_mut(at)?,
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
        };
    }
    Some(value)
}

fn odd_value(dice: &mut impl Dice) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => json!(0),
        2 => json!(""),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(1.5e300),
        6 => json!(dice.below(2) == 0),
        7 => json!(pick(dice, &WORDS)),
        8 => json!((0..dice.below(300)).map(|_| *pick(dice, &WORDS)).collect::<Vec<_>>()),
        9 => json!([[MARKER], { "token": MARKER }]),
        10 => json!({ "token": MARKER }),
        _ => json!("x".repeat(dice.below(5_000))),
    }
}

/// No payload at all.
fn odd_body(dice: &mut impl Dice) -> Vec<u8> {
    match dice.below(8) {
        0 => Vec::new(),
        1 => b"{}".to_vec(),
        2 => b"[]".to_vec(),
        3 => MARKER.into(),
        4 => format!("{{\"action\": {MARKER}}}").into(),
        5 => (0..dice.below(200)).map(|_| u8::try_from(dice.below(256)).unwrap_or(0)).collect(),
        6 => pick(dice, &["[", "{\"a\":", "[{\"b\":"]).repeat(dice.below(20_000)).into(),
        _ => wide(dice),
    }
}

/// A document that would be a large tree; now and then as large as GitHub may send.
fn wide(dice: &mut impl Dice) -> Vec<u8> {
    let unit = pick(dice, &["{},", "1,", "\"\",", "[[]],", "{\"a\":0},"]);
    let bytes = if one_in(dice, 50) { BODY_MAX_BYTES - 200 } else { 10_000 + dice.below(100_000) };
    let name = pick(dice, &["labels", "steps", "name"]);
    format!("{{\"action\":\"queued\",\"workflow_job\":{{\"{name}\":[{}0]}}}}", unit.repeat(bytes / unit.len())).into()
}

fn bend_bytes(dice: &mut impl Dice, body: &mut Vec<u8>) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(body.len() + 1);
        let to = (at + dice.below(24)).min(body.len());
        match dice.below(4) {
            0 => drop(body.drain(at..to)),
            1 => drop(body.splice(at..to, pick(dice, &PIECES).iter().copied())),
            2 => body.truncate(at),
            _ => body.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.below(8)),
        }
    }
}

fn form_encoded(dice: &mut impl Dice, json: &[u8]) -> Vec<u8> {
    let name = if one_in(dice, 10) { "payloads=" } else { "payload=" };
    let mut form = format!("{}{name}", pick(dice, &["", "token=ghp_planted0secret&", "&", "x"])).into_bytes();
    for byte in json {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b':' | b',' => form.push(*byte),
            b' ' => form.push(b'+'),
            other => {
                form.extend([b'%', HEX[usize::from(other >> 4)], HEX[usize::from(other & 15)]]);
            }
        }
    }
    if one_in(dice, 4) {
        bend_bytes(dice, &mut form);
    }
    form
}

const HEX: [u8; 16] = *b"0123456789ABCDEF";

/// The values that are read.
const READ: [&[&str]; 13] = [
    &["action"],
    &["workflow_job"],
    &["workflow_job", "id"],
    &["workflow_job", "run_id"],
    &["workflow_job", "run_attempt"],
    &["workflow_job", "labels"],
    &["workflow_job", "status"],
    &["workflow_job", "conclusion"],
    &["workflow_job", "created_at"],
    &["workflow_job", "runner_name"],
    &["repository"],
    &["repository", "full_name"],
    &["repository", "private"],
];

/// Words that mean something somewhere.
const WORDS: [&str; 17] = [
    "self-hosted",
    "linux",
    "self-hosted,linux",
    "queued",
    "waiting",
    "in_progress",
    "completed",
    "success",
    "acme/web",
    "evil/web",
    "acme/site",
    "acme/other",
    "acme/../web",
    "sr-dev-0abc-1",
    "2026-11-23T10:00:00Z",
    "é\u{0}\u{202e}",
    "public",
];

/// Pieces that parsers trip over.
const PIECES: [&[u8]; 17] = [
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
    b"\\ud800",
    b"\xff\xfe",
    b"%",
    b"\xf0\x9f",
    b"]}",
    b"\r\n",
    b"ghp_planted0secret",
];
const TYPES: [&str; 7] = [
    "application/json; charset=utf-8",
    "APPLICATION/JSON;charset=latin-1;x=y",
    "application/x-www-form-urlencoded; charset=UTF-8",
    "application/json-patch+json",
    "text/plain; token=ghp_planted0secret",
    ";;é",
    "",
];
const EVENTS: [&str; 6] = ["workflow_job", "issues", "ghp_planted0secret", " ", "workflow_job, ping", "é"];
const SIGNATURES: [&str; 8] = [
    "",
    "sha256=",
    "sha1=00",
    "sha256=zz",
    "é",
    "ghp_planted0secret",
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    "sha256=ghp_planted0secretghp_planted0secretghp_planted0secret0000000000",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_both_kinds_of_dice_are_enough() {
        let hostile = Hostile::default();
        let made = |seed| hostile.request(&mut Rng::with_seed(seed));
        assert_eq!((made(7).headers, made(7).body), (made(7).headers, made(7).body));
        assert_ne!(made(7).body, made(8).body);
        let plain = hostile.request(&mut Bytes(b""));
        assert!(plain.signed && plain.body.starts_with(b"{\"hook\""), "without bytes: the first delivery as it is");
        assert!(!hostile.request(&mut Bytes(&[0xff; 64])).headers.is_empty());
    }

    #[test]
    fn about_a_half_is_signed() {
        let hostile = Hostile::default();
        let mut rng = Rng::with_seed(1);
        let signed = (0..500).filter(|_| hostile.request(&mut rng).signed).count();
        assert!((300..480).contains(&signed), "{signed}");
    }
}
