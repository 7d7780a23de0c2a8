//! `WebhookHandlerGHA`: the table of answers is that of `serve` (`cli/tests/it/intake.rs`).

use std::sync::atomic::Ordering;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use controller::ports::Secret;
use github::webhook::sign;

use crate::bench::{Bench, SECRET, delivery, job, request};

const JSON: &str = "application/json";

#[tokio::test]
async fn each_delivery_has_its_answer() {
    let bench = Bench::new();
    let fine = job("acme/web", &["self-hosted", "linux"]);
    let form = format!("payload={}", fine.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>());
    let rows = [
        (delivery("workflow_job", JSON, &fine), 202, "accepted", 1),
        (delivery("workflow_job", "application/json; charset=utf-8", &fine), 202, "accepted", 1),
        (delivery("workflow_job", "application/x-www-form-urlencoded", &form), 202, "accepted", 1),
        (delivery("workflow_job", JSON, &job("acme/web", &["ubuntu-latest"])), 202, "ignored", 1),
        (delivery("workflow_job", JSON, &fine.replacen("queued", "waiting", 1)), 202, "ignored", 1),
        (delivery("workflow_job", JSON, &job("evil/web", &["self-hosted"])), 403, "not allowed", 1),
        (delivery("workflow_job", JSON, &fine.replace("true", "false")), 403, "public", 1),
        (delivery("ping", JSON, r#"{"zen":"Keep it","hook_id":1}"#), 200, "pong", 0),
        (delivery("issues", JSON, "{}"), 202, "ignored", 0),
        (delivery("workflow_job", JSON, "no json"), 400, "JSON", 0),
        (delivery("workflow_job", JSON, r#"{"action":"queued"}"#), 400, "workflow_job", 0),
        (delivery("workflow_job", "text/plain", &fine), 415, "content", 0),
        (request("GET", "/webhook", &[], "", false), 405, "POST", 0),
        (request("POST", "/nowhere", &[], "", false), 404, "nothing here", 0),
    ];
    for (at, (request, status, word, events)) in rows.into_iter().enumerate() {
        let answer = bench.answer(&request).await;
        assert_eq!((answer.0, answer.2), (status, events), "row {at}: {}", answer.1);
        assert!(answer.1.to_string().contains(word), "row {at}: {}", answer.1);
    }
}

#[tokio::test]
async fn what_is_not_githubs_is_refused() {
    let bench = Bench::new();
    let body = job("acme/web", &["self-hosted", "linux"]);
    let right = sign(&Secret::new(SECRET), body.as_bytes());
    let wrong = sign(&Secret::new("guess"), body.as_bytes());
    let twice = format!("{right},{right}");
    for signature in ["", "sha256=", "sha1=00", "sha256=zz", &wrong, &twice, &right.to_uppercase()] {
        let headers = [("content-type", JSON), ("x-github-event", "workflow_job"), ("x-hub-signature-256", signature)];
        let answer = bench.answer(&request("POST", "/webhook", &headers, &body, false)).await;
        assert_eq!((answer.0, answer.2), (401, 0), "{signature}: {}", answer.1);
        assert!(!answer.1.to_string().contains(&right[7..]), "the right signature is nobody's business");
    }
    let empty = sign(&Secret::new(SECRET), b"");
    let headers = [("content-type", JSON), ("x-github-event", "workflow_job"), ("x-hub-signature-256", empty.as_str())];
    assert_eq!(bench.answer(&request("POST", "/webhook", &headers, "", false)).await.0, 401);
}

/// The API hands over what is no text as base64: the signature is over the bytes that were sent.
#[tokio::test]
async fn a_body_in_base64_is_decoded_before_it_is_verified() {
    let bench = Bench::new();
    let body = job("acme/web", &["self-hosted", "linux"]).replace("build", "b\u{fc}ild \u{1f680}");
    let signature = sign(&Secret::new(SECRET), body.as_bytes());
    let headers =
        [("content-type", JSON), ("x-github-event", "workflow_job"), ("x-hub-signature-256", signature.as_str())];
    let answer = bench.answer(&request("POST", "/webhook", &headers, &STANDARD.encode(&body), true)).await;
    assert_eq!((answer.0, answer.2), (202, 1), "{}", answer.1);
}

#[tokio::test]
async fn a_rotated_secret_is_read_again_and_a_guess_costs_one_read() {
    let bench = Bench::new();
    let body = job("acme/web", &["self-hosted", "linux"]);
    let signature = sign(&Secret::new("the-next-one"), body.as_bytes());
    let headers =
        [("content-type", JSON), ("x-github-event", "workflow_job"), ("x-hub-signature-256", signature.as_str())];
    let next = request("POST", "/webhook", &headers, &body, false);
    assert_eq!(bench.answer(&next).await.0, 401);
    bench.secrets.store(Some(&["the-next-one", SECRET]));
    assert_eq!(bench.answer(&next).await.0, 202);
    assert_eq!(bench.answer(&delivery("workflow_job", JSON, &body)).await.0, 202, "the old one is still good");
    assert_eq!(bench.secrets.reads.load(Ordering::Relaxed), 2);
}

/// GitHub must keep a delivery as failed that was not kept here.
#[tokio::test]
async fn what_cannot_be_kept_is_answered_503() {
    let bench = Bench::new();
    let fine = delivery("workflow_job", JSON, &job("acme/web", &["self-hosted", "linux"]));
    bench.queue.fails.store(true, Ordering::Relaxed);
    assert_eq!(bench.answer(&fine).await.0, 503);
    bench.queue.fails.store(false, Ordering::Relaxed);
    bench.secrets.forget();
    bench.secrets.store(None);
    assert_eq!(bench.answer(&fine).await.0, 503, "a failed read is not kept");
    bench.secrets.store(Some(&[SECRET]));
    assert_eq!(bench.answer(&fine).await.0, 202);
    bench.secrets.store(Some(&[]));
    bench.secrets.forget();
    assert_eq!(bench.answer(&fine).await.0, 503, "without a secret nothing can be judged");
}
