//! What `RunTask` refuses before anything happens: the limits of its parameters, as its documentation gives them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Refusal;

/// Characters of the overrides, JSON and all.
const OVERRIDES_MAX: usize = 8_192;
/// Characters of `startedBy`.
const STARTED_BY_MAX: usize = 128;
/// Characters of a client token.
const TOKEN_MAX: usize = 64;
/// Tags of a task, and characters of their keys and values.
const TAGS_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

/// All of them.
pub(super) fn run_task(body: &Value) -> Result<(), Refusal> {
    if body.get("launchType").is_some() && body.get("capacityProviderStrategy").is_some() {
        return Err(Refusal::invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ));
    }
    if body.pointer("/networkConfiguration/awsvpcConfiguration/subnets/0").is_none() {
        return Err(Refusal::invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified."));
    }
    if body.get("overrides").is_some_and(|all| all.to_string().chars().count() > OVERRIDES_MAX) {
        return Err(Refusal::invalid("Container Overrides length must be at most 8192"));
    }
    started_by(text(body, "startedBy"))?;
    token(text(body, "clientToken"))?;
    tags(body.get("tags").and_then(Value::as_array).map_or(&[], Vec::as_slice))
}

fn text<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body.get(key)?.as_str()
}

fn started_by(text: Option<&str>) -> Result<(), Refusal> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-/_".contains(c);
    match text {
        Some(text) if text.len() > STARTED_BY_MAX || !text.chars().all(fine) => {
            Err(Refusal::invalid("startedBy contains invalid characters or is longer than 128 characters."))
        }
        Some(_) | None => Ok(()),
    }
}

fn token(text: Option<&str>) -> Result<(), Refusal> {
    match text {
        Some(text) if text.is_empty() || text.len() > TOKEN_MAX || !text.bytes().all(|b| (33..=126).contains(&b)) => {
            Err(Refusal::invalid("Client Token must be 1 to 64 ASCII characters in the range of 33-126."))
        }
        Some(_) | None => Ok(()),
    }
}

fn tags(all: &[Value]) -> Result<(), Refusal> {
    let pairs = || all.iter().map(|tag| (text(tag, "key").unwrap_or_default(), text(tag, "value").unwrap_or_default()));
    let keys: BTreeSet<&str> = pairs().map(|(key, _)| key).collect();
    if all.len() > TAGS_MAX || keys.len() < all.len() {
        return Err(Refusal::invalid("Tags must be at most 50, and each key may be there once."));
    }
    let fine = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " +-=._:/@".contains(c));
    for (key, value) in pairs() {
        let lengths = (1..=KEY_MAX).contains(&key.chars().count()) && value.chars().count() <= VALUE_MAX;
        if !lengths || !fine(key) || !fine(value) || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Refusal::invalid(&format!(
                "Tag {key} is too long, or holds characters that tags cannot have."
            )));
        }
    }
    Ok(())
}
