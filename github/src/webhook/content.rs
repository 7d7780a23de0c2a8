//! From the bytes of a delivery to JSON: plain, or as the `payload` of a form, whichever the webhook is set to.
//!
//! Only after the signature was checked: that is over the raw bytes, form encoding included. Of the JSON only the fields
//! that are read are built (`pick`); a delivery of 25 MB must not become a tree of a gigabyte.

use std::borrow::Cow;

use serde::de::DeserializeSeed as _;
use serde_json::Value;

use super::{
    ParseError,
    pick::{Part, Pick},
};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// The fields that any event is read for.
static READ: Part = Part::Fields(&[
    ("action", Part::Plain),
    (
        "workflow_job",
        Part::Fields(&[
            ("id", Part::Plain),
            ("run_id", Part::Plain),
            ("run_attempt", Part::Plain),
            ("name", Part::Plain),
            ("labels", Part::Plain),
            ("status", Part::Plain),
            ("conclusion", Part::Plain),
            ("created_at", Part::Plain),
            ("runner_name", Part::Plain),
        ]),
    ),
    ("repository", Part::Fields(&[("full_name", Part::Plain), ("private", Part::Plain), ("visibility", Part::Plain)])),
    ("hook_id", Part::Plain),
]);

/// Reads the JSON in a body of this type; parameters of the type (`charset`) do not matter.
pub(super) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Value, ParseError> {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let json: Cow<'_, [u8]> = if essence.eq_ignore_ascii_case(JSON) {
        body.into()
    } else if essence.eq_ignore_ascii_case(FORM) {
        payload(body)?.into()
    } else {
        return Err(ParseError::ContentType);
    };
    let mut text = serde_json::Deserializer::from_slice(&json);
    let value = Pick(&READ).deserialize(&mut text);
    value.and_then(|value| text.end().map(|()| value)).map_err(|error| not_json(&error))
}

/// Only where it is wrong: serde's own words may quote what stands there.
fn not_json(error: &serde_json::Error) -> ParseError {
    ParseError::Json { line: error.line(), column: error.column(), ended: error.is_eof() }
}

fn payload(form: &[u8]) -> Result<Vec<u8>, ParseError> {
    let mut pairs = form.split(|byte| *byte == b'&');
    let value = pairs.find_map(|pair| pair.strip_prefix(b"payload=")).ok_or(ParseError::NoPayload)?;
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        (rest, _) = match first {
            b'%' => {
                let (code, after) = after.split_at_checked(2).ok_or(ParseError::BadEscape)?;
                (after, out.push(byte(code).ok_or(ParseError::BadEscape)?))
            }
            b'+' => (after, out.push(b' ')),
            plain => (after, out.push(*plain)),
        };
    }
    Ok(out)
}

fn byte(code: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*code.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_and_form_say_the_same() {
        let expected = json!({"action": "b c+é"});
        for (content_type, body) in [
            ("application/json", r#"{"action":"b c+é"}"#),
            ("Application/JSON; charset=utf-8", r#"{"action":"b c+é"}"#),
            ("application/json;charset=latin-1;x=y", r#" {"action":"b c+é", "a": [{}]} "#),
            ("application/x-www-form-urlencoded", "payload=%7B%22action%22%3A%22b+c%2B%C3%A9%22%7D"),
            ("application/x-www-form-urlencoded; charset=UTF-8", "x=1&payload=%7b%22action%22:%22b%20c%2b%c3%a9%22}&y"),
        ] {
            assert_eq!(read(Some(content_type), body.as_bytes()), Ok(expected.clone()), "{content_type}");
        }
    }

    #[test]
    fn each_fault_has_its_own_words() {
        let form = Some(FORM);
        assert_eq!(read(None, b"{}"), Err(ParseError::ContentType));
        assert_eq!(read(Some("text/plain\n"), b"{}"), Err(ParseError::ContentType));
        assert_eq!(read(form, b"pay=1&payloads=2"), Err(ParseError::NoPayload));
        assert_eq!(read(form, b"payload=%7"), Err(ParseError::BadEscape));
        assert_eq!(read(form, b"payload=%zz"), Err(ParseError::BadEscape));
        let words = |body: &[u8]| read(Some(JSON), body).unwrap_err().to_string();
        assert_eq!(words(b"{\"action\": hunter2}"), "the body is not JSON (line 1, column 12)");
        assert_eq!(words(b"{\"a\":1} hunter2"), "the body is not JSON (line 1, column 9)");
        assert_eq!(words(b"{\"action\": \"hunter2"), "the body is not JSON: it ends too early (line 1, column 19)");
    }
}
