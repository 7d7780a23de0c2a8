//! Secrets Manager and SQS, as far as the functions use them: they answer at once, and keep what was put into the queue.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, response::IntoResponse, routing::post,
};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::Measured;

/// The secrets by name: JSON, or a text as it is.
pub(super) type Secrets = Vec<(&'static str, Value)>;

struct Shared {
    secrets: Secrets,
    queue: Mutex<Vec<String>>,
}

/// It ends when this is dropped.
pub(super) struct Cloud {
    url: String,
    shared: Arc<Shared>,
    served: JoinHandle<()>,
}

impl Cloud {
    pub(super) async fn begin(secrets: Secrets) -> Measured<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| error.to_string())?;
        let url = format!("http://{}", listener.local_addr().map_err(|error| error.to_string())?);
        let shared = Arc::new(Shared { secrets, queue: Mutex::default() });
        let app = Router::new().route("/", post(answer)).with_state(shared.clone());
        let served = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
        Ok(Self { url, shared, served })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Takes what was put into the queue.
    pub(super) fn take_queue(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    // AWS's media type is not one that axum takes for JSON.
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    match target {
        "secretsmanager.GetSecretValue" => secret(&shared, &body),
        "AmazonSQS.SendMessageBatch" => (StatusCode::OK, Json(queued(&shared, &body))),
        "AmazonSQS.SendMessage" => (StatusCode::OK, Json(queued_alone(&shared, &body))),
        _ => (StatusCode::BAD_REQUEST, Json(json!({ "__type": "UnknownOperationException", "message": target }))),
    }
}

fn secret(shared: &Shared, body: &Value) -> (StatusCode, Json<Value>) {
    let found = shared.secrets.iter().find(|(name, _)| body["SecretId"] == *name);
    match found {
        Some((name, value)) if [json!("AWSCURRENT"), Value::Null].contains(&body["VersionStage"]) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let told = json!({ "ARN": name, "Name": name, "SecretString": text, "CreatedDate": 1.0 });
            (StatusCode::OK, Json(told))
        }
        _ => (StatusCode::BAD_REQUEST, Json(json!({ "__type": "ResourceNotFoundException", "message": "none" }))),
    }
}

/// A peer's message. Its SDK looks at the sum.
fn queued_alone(shared: &Shared, body: &Value) -> Value {
    let text = body["MessageBody"].as_str().unwrap_or_default().to_owned();
    let sum = Md5::digest(&text);
    shared.queue.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "MessageId": "m", "MD5OfMessageBody": sum })
}

fn queued(shared: &Shared, body: &Value) -> Value {
    let entries = body["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let bodies = entries.iter().filter_map(|entry| entry["MessageBody"].as_str().map(str::to_owned));
    shared.queue.lock().unwrap_or_else(PoisonError::into_inner).extend(bodies);
    let told = |entry: &Value| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" });
    json!({ "Successful": entries.iter().map(told).collect::<Vec<_>>(), "Failed": [] })
}
