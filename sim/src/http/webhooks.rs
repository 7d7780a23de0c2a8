//! Sending webhooks: signed, many at a time, when the hub says so (FACTS §1).
//!
//! One task sleeps until the hub's next event or until something changes. What nobody takes is recorded as failed; it
//! is not sent again unless somebody asks.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::hooks::HOOK_ID;
use super::post::post;
use super::world::{Shared, now_ms};
use crate::hub::delivery::{Delivery, Guid};
use crate::hub::model::OwnerKind;
use crate::hub::payload::Links;

/// Webhooks on their way at once.
const AT_ONCE_MAX: usize = 64;
/// The longest sleep; there is a next event nearly always.
const SLEEP_MAX_MS: u64 = 60_000;

/// Lets the world's time pass, for ever.
pub(super) async fn pump(shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let mut changes = shared.changes();
    loop {
        changes.mark_unchanged();
        shared.act(|_, _| ());
        let (due, next_ms) = take_due(&shared);
        for delivery in due {
            tokio::spawn(send(shared.clone(), permits.clone(), delivery));
        }
        let pause_ms = next_ms.map_or(SLEEP_MAX_MS, |at_ms| at_ms.saturating_sub(now_ms()).clamp(1, SLEEP_MAX_MS));
        tokio::select! {
            () = sleep(Duration::from_millis(pause_ms)) => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

fn take_due(shared: &Shared) -> (Vec<Delivery>, Option<u64>) {
    let mut world = shared.lock();
    (world.hub.due(now_ms()), world.hub.next_event_ms())
}

async fn send(shared: Arc<Shared>, permits: Arc<Semaphore>, delivery: Delivery) {
    let Ok(_permit) = permits.acquire().await else { return };
    let hook =
        shared.lock().hook.clone().filter(|hook| hook.active && hook.events.iter().any(|it| it == "workflow_job"));
    let status = match hook {
        None => 0,
        Some(hook) => {
            let body = delivery.payload_with(Links { api: &shared.url, html: &shared.url }).to_string();
            let target = target(&delivery);
            dispatch(&shared, &hook.url, "workflow_job", delivery.guid, &target, &body).await
        }
    };
    shared.act(|world, now_ms| world.hub.answered(delivery.id, status, now_ms));
}

/// Tells a new receiver that the hook exists.
pub(super) async fn ping(shared: Arc<Shared>, url: String) {
    let guid = Guid(shared.lock().rng.u128(..));
    let body = serde_json::json!({
        "zen": "Keep it logically awesome.",
        "hook_id": HOOK_ID,
        "hook": { "type": "Organization", "id": HOOK_ID, "active": true, "events": ["workflow_job"] },
    });
    let target = ("integration", HOOK_ID);
    let _unrecorded = dispatch(&shared, &url, "ping", guid, &target, &body.to_string()).await;
}

fn target(delivery: &Delivery) -> (&'static str, u64) {
    let origin = &delivery.job.origin;
    match origin.owner_kind {
        OwnerKind::Organization => ("organization", origin.owner_id),
        OwnerKind::User => ("repository", origin.repo_id),
    }
}

async fn dispatch(shared: &Shared, url: &str, event: &str, guid: Guid, target: &(&str, u64), json: &str) -> u16 {
    let own = shared.lock().hook.as_ref().and_then(|hook| hook.secret.clone());
    let secret = own.unwrap_or_else(|| shared.options.webhook_secret.clone());
    let (content_type, body) = match shared.options.webhook_form {
        false => ("application/json", json.to_owned()),
        true => ("application/x-www-form-urlencoded", format!("payload={}", percent_encoded(json))),
    };
    let headers = [
        ("User-Agent", "GitHub-Hookshot/5117616".to_owned()),
        ("Accept", "*/*".to_owned()),
        ("Content-Type", content_type.to_owned()),
        ("X-GitHub-Event", event.to_owned()),
        ("X-GitHub-Delivery", guid.to_string()),
        ("X-GitHub-Hook-ID", HOOK_ID.to_string()),
        ("X-GitHub-Hook-Installation-Target-Type", target.0.to_owned()),
        ("X-GitHub-Hook-Installation-Target-ID", target.1.to_string()),
        ("X-Hub-Signature-256", signature(&secret, body.as_bytes())),
    ];
    post(url, &headers, body.as_bytes()).await
}

/// `X-Hub-Signature-256`: `sha256=` and the hexadecimal HMAC over the raw body.
pub fn signature(secret: &str, body: &[u8]) -> String {
    // A key of any length is fine for HMAC; the error cannot occur, and an empty signature is refused.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    // docs.github.com, "Validating webhook deliveries": the published test values.
    #[test]
    fn signatures_are_as_documented() {
        assert_eq!(
            signature("It's a Secret to Everybody", b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn forms_are_percent_encoded() {
        assert_eq!(percent_encoded("{\"a\": 1}"), "%7B%22a%22%3A%201%7D");
    }
}
