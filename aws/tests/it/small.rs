//! A service of AWS that answers what a test wants, over HTTP.

use std::sync::{Arc, Mutex};

use aws::Cloud;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::ecs;

/// An operation and its parameters.
pub(crate) type Call = (String, Value);

type Answers = Box<dyn FnMut(&str, &Value) -> Result<Value, Value> + Send>;

/// What it was asked, and what it answers.
#[derive(Clone)]
pub(crate) struct Service {
    answers: Arc<Mutex<Answers>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Service {
    /// One with these answers, and the way to it.
    pub(crate) async fn new(
        answers: impl FnMut(&str, &Value) -> Result<Value, Value> + Send + 'static,
    ) -> (Self, Cloud) {
        let service = Self { answers: Arc::new(Mutex::new(Box::new(answers))), calls: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(answer)).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (service, ecs::cloud(&url).await)
    }

    /// What it was asked so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

/// An error of a service.
pub(crate) fn error(code: &str) -> Value {
    json!({"__type": code, "message": format!("{code} it is")})
}

async fn answer(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let answer = (service.answers.lock().unwrap())(&target, &body);
    service.calls.lock().unwrap().push((target, body));
    match answer {
        Ok(value) => (StatusCode::OK, value.to_string()),
        Err(value) => (StatusCode::BAD_REQUEST, value.to_string()),
    }
}
