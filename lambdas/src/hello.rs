//! `HelloHandler`: says that it is there, and what it is. Answers every path that no other function does.

use github::webhook::intake::Answer;
use serde_json::json;

use crate::http::{Request, not_found, wrong_method};

/// The answer.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    match (request.path.as_str(), request.method.as_str()) {
        ("/", "GET" | "HEAD") => {
            Answer { status: 200, body: json!({ "name": "self-runners", "version": env!("CARGO_PKG_VERSION") }) }
        }
        ("/healthz", "GET" | "HEAD") => Answer { status: 200, body: json!({ "status": "ok" }) },
        ("/" | "/healthz", _) => wrong_method("GET"),
        _ => not_found(),
    }
}
