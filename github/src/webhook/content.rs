//! From the bytes of a delivery to JSON: plain, or as the `payload` of a form, whichever the webhook is set to.
//!
//! Only after the signature was checked: that is over the raw bytes, form encoding included.

use std::borrow::Cow;

use serde_json::Value;

use super::ParseError;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Longest content type that an error repeats.
const SHOWN_MAX_CHARS: usize = 80;

/// Reads the JSON in a body of this type; parameters of the type (`charset`) do not matter.
pub(super) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Value, ParseError> {
    let given = content_type.unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    let json: Cow<'_, [u8]> = if essence.eq_ignore_ascii_case(JSON) {
        body.into()
    } else if essence.eq_ignore_ascii_case(FORM) {
        payload(body)?.into()
    } else {
        return Err(ParseError::ContentType { found: shown(given) });
    };
    // Errors of a `Value` are about syntax and do not quote the text.
    serde_json::from_slice(&json).map_err(|error| ParseError::Json(error.to_string()))
}

/// A text from outside, fit for one line of a log.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_MAX_CHARS).collect()
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
        let expected = json!({"a": "b c+é"});
        for (content_type, body) in [
            ("application/json", r#"{"a":"b c+é"}"#),
            ("Application/JSON; charset=utf-8", r#"{"a":"b c+é"}"#),
            ("application/json;charset=latin-1;x=y", r#"{"a":"b c+é"}"#),
            ("application/x-www-form-urlencoded", "payload=%7B%22a%22%3A%22b+c%2B%C3%A9%22%7D"),
            ("application/x-www-form-urlencoded; charset=UTF-8", "x=1&payload=%7b%22a%22:%22b%20c%2b%c3%a9%22}&y"),
        ] {
            assert_eq!(read(Some(content_type), body.as_bytes()), Ok(expected.clone()), "{content_type}");
        }
    }

    #[test]
    fn each_fault_has_its_own_words() {
        let form = Some(FORM);
        assert_eq!(read(None, b"{}"), Err(ParseError::ContentType { found: String::new() }));
        assert_eq!(read(Some("text/plain\n"), b"{}"), Err(ParseError::ContentType { found: "text/plain".into() }));
        assert_eq!(read(form, b"pay=1&payloads=2"), Err(ParseError::NoPayload));
        assert_eq!(read(form, b"payload=%7"), Err(ParseError::BadEscape));
        assert_eq!(read(form, b"payload=%zz"), Err(ParseError::BadEscape));
        let Err(ParseError::Json(words)) = read(Some(JSON), b"{\"token\": hunter2}") else { panic!("no JSON") };
        assert!(words.contains("line 1") && !words.contains("hunter"), "{words}");
    }
}
