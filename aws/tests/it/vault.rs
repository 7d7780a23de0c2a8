//! Secrets: read once, read again when that is needed, never shown.

use std::{sync::Arc, time::Duration};

use aws::secrets::{API_TOKEN, KeptSecret, Vault, WEBHOOK_SECRET};
use controller::ports::{ErrorKind, Secret};
use serde_json::{Value, json};
use sim::http::world::now_ms;

use crate::small::{Service, error};

/// A version of a secret, made so many seconds ago.
fn version(text: &str, age_s: u64) -> Value {
    json!({"Name": "s", "SecretString": text, "CreatedDate": (now_ms() / 1_000 - age_s) as f64})
}

fn texts(values: &[Secret]) -> Vec<&str> {
    values.iter().map(Secret::expose).collect()
}

/// A service whose secret is `current`, and before that `previous`.
fn two(current: Value, previous: Option<Value>) -> impl FnMut(&str, &Value) -> Result<Value, Value> {
    move |_, body| match body["VersionStage"].as_str() {
        Some("AWSCURRENT") => Ok(current.clone()),
        _ => previous.clone().ok_or_else(|| error("ResourceNotFoundException")),
    }
}

#[tokio::test]
async fn a_secret_is_read_once_however_many_ask() {
    let (service, cloud) = Service::new(two(version(r#"{"webhook_secret":" whsec-1 "}"#, 90_000), None)).await;
    let secret =
        Arc::new(KeptSecret::new(Vault::new(&cloud), "self-runners/dev/GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let secret = secret.clone();
        asking.spawn(async move { secret.current().await });
    }
    while let Some(values) = asking.join_next().await {
        assert_eq!(texts(&values.unwrap().unwrap()), ["whsec-1"]);
    }
    assert_eq!(service.calls().len(), 1);
    assert_eq!(service.calls()[0].1["SecretId"], "self-runners/dev/GITHUB_WEBHOOK_SECRET");
    // Wrong signatures, a thousand of them: it was read a moment ago.
    secret.again().await.unwrap();
    assert_eq!(service.calls().len(), 1);
    assert!(!format!("{secret:?}").contains("whsec-1"));
}

#[tokio::test]
async fn a_change_is_read_and_the_value_before_it_is_good_for_a_day() {
    let (new, old) = (version(r#"{"GITHUB_API_TOKEN":"new"}"#, 60), version(r#"{"GITHUB_API_TOKEN":"old"}"#, 90_000));
    let (service, cloud) = Service::new(two(new, Some(old))).await;
    let secret = KeptSecret::new(Vault::new(&cloud), "arn", API_TOKEN).again_after(Duration::ZERO);
    assert_eq!(texts(&secret.current().await.unwrap()), ["new", "old"]);
    assert_eq!(texts(&secret.again().await.unwrap()), ["new", "old"]);
    assert_eq!(service.calls().len(), 4);
    let (_, cloud) = Service::new(two(version(r#"{"GITHUB_API_TOKEN":"new"}"#, 60), None)).await;
    assert_eq!(texts(&Vault::new(&cloud).read("arn", API_TOKEN).await.unwrap()), ["new"]);
}

#[tokio::test]
async fn a_read_that_failed_is_not_kept() {
    let mut answers = vec![
        Ok(version(r#"{"webhook_secret":"one"}"#, 90_000)),
        Err(error("ResourceNotFoundException")),
        Ok(version("no JSON", 90_000)),
        Ok(version("{}", 90_000)),
    ];
    let (_, cloud) = Service::new(move |_, _| answers.pop().unwrap()).await;
    let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:self-runners/qa/GITHUB_WEBHOOK_SECRET-a1B2c3";
    let secret = KeptSecret::new(Vault::new(&cloud), arn, WEBHOOK_SECRET);
    for (kind, words) in [
        (ErrorKind::Invalid, r#"is not of the shape {"webhook_secret":"…"}"#),
        (ErrorKind::Invalid, "secrets set GITHUB_WEBHOOK_SECRET --stage qa"),
        (ErrorKind::NotFound, "is not there: run `self-runners deploy --stage qa` first"),
    ] {
        let error = secret.current().await.unwrap_err();
        assert!(error.kind == kind && error.message.contains(words) && !error.message.contains("no JSON"), "{error}");
    }
    assert_eq!(texts(&secret.current().await.unwrap()), ["one"]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_shown() {
    let (_, cloud) = Service::new(|_, _| Ok(json!({"SecretString": 7, "Name": "whsec-1"}))).await;
    let error = Vault::new(&cloud).read("arn", WEBHOOK_SECRET).await.unwrap_err();
    assert!(error.kind == ErrorKind::Retry && !error.message.contains("whsec-1"), "{error}");
}

#[tokio::test]
async fn what_is_kept_stays_when_reading_it_again_fails() {
    let mut answers = vec![Err(error("AccessDeniedException")), Ok(version(r#"{"webhook_secret":"one"}"#, 90_000))];
    let (_, cloud) = Service::new(move |_, _| answers.pop().unwrap()).await;
    let secret = KeptSecret::new(Vault::new(&cloud), "arn", WEBHOOK_SECRET).again_after(Duration::ZERO);
    secret.current().await.unwrap();
    let error = secret.again().await.unwrap_err();
    assert!(error.kind == ErrorKind::Denied && error.message.contains("secretsmanager:GetSecretValue"), "{error}");
    assert_eq!(texts(&secret.current().await.unwrap()), ["one"]);
}

/// It belongs to the stack, which could not be made with a secret of that name there.
#[tokio::test]
async fn a_secret_is_set_and_never_made() {
    let (service, cloud) = Service::new(|_, _| Ok(json!({}))).await;
    Vault::new(&cloud).set("dev", API_TOKEN, &Secret::new("ghp_1")).await.unwrap();
    let calls = service.calls();
    assert_eq!(
        (calls[0].0.as_str(), calls[0].1["SecretId"].as_str()),
        ("PutSecretValue", Some("self-runners/dev/GITHUB_API_TOKEN"))
    );
    assert_eq!(calls[0].1["SecretString"], r#"{"GITHUB_API_TOKEN":"ghp_1"}"#);
    let (service, cloud) = Service::new(|_, _| Err(error("ResourceNotFoundException"))).await;
    let error = Vault::new(&cloud).set("dev", API_TOKEN, &Secret::new("ghp_1")).await.unwrap_err();
    assert!(error.kind == ErrorKind::NotFound && !error.message.contains("ghp_1"), "{error}");
    assert_eq!(service.calls().len(), 1);
}
