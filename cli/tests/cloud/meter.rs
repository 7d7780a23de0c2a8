//! Stands between the functions and the local AWS and counts their calls: what a job costs, and which permissions are used.
//! And between the machines and the API, whose answers it may lose.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, Request, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use reqwest::Client;
use tokio::net::TcpListener;

/// Largest message that goes through: SQS's.
const BODY_BYTES_MAX: usize = 2 * 1_048_576;

/// No other word of a claim's answer is as long as the credentials in it.
const CREDENTIALS_CHARS_MIN: usize = 60;

/// What the functions are told to call themselves in their requests.
pub(crate) const NAME_VARIABLE: &str = "AWS_SDK_UA_APP_ID";

/// Calls by function and action: `ScalerHandler`, `ecs:RunTask`.
pub(crate) type Calls = BTreeMap<(String, String), u64>;

/// Counts.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    target: String,
    http: Client,
    calls: Arc<Mutex<Calls>>,
    claims_to_lose: Arc<AtomicU32>,
    events: Arc<Mutex<Vec<String>>>,
    given: Arc<Mutex<BTreeSet<String>>>,
}

impl Meter {
    /// Listens; where.
    pub(crate) async fn begin(target: String, at: IpAddr) -> (Self, SocketAddr) {
        let meter = Self {
            target,
            http: Client::new(),
            calls: Arc::default(),
            claims_to_lose: Arc::default(),
            events: Arc::default(),
            given: Arc::default(),
        };
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(through).with_state(meter.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (meter, address)
    }

    /// What was counted so far.
    pub(crate) fn calls(&self) -> Calls {
        self.calls.lock().unwrap().clone()
    }

    /// All that was put into queues.
    pub(crate) fn events(&self) -> String {
        self.events.lock().unwrap().join("\n")
    }

    /// The credentials that machines were given.
    pub(crate) fn given(&self) -> BTreeSet<String> {
        self.given.lock().unwrap().clone()
    }

    /// The next claims are handled, and their answers lost.
    pub(crate) fn lose_claims(&self, number: u32) {
        self.claims_to_lose.store(number, Ordering::SeqCst);
    }

    /// How many are still to be lost.
    pub(crate) fn claims_to_lose(&self) -> u32 {
        self.claims_to_lose.load(Ordering::SeqCst)
    }

    fn loses(&self, path: &str) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        path.ends_with("/agent/v1/claim")
            && self.claims_to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }

    /// Keeps what a test looks into.
    fn keep(&self, headers: &HeaderMap, body: &[u8]) {
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if target.starts_with("AmazonSQS.SendMessage") {
            self.events.lock().unwrap().push(String::from_utf8_lossy(body).into_owned());
        }
    }

    fn count(&self, headers: &HeaderMap) {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let agent = format!("{} {}", text(header::USER_AGENT), text(HeaderName::from_static("x-amz-user-agent")));
        let Some(function) = agent.split(' ').find_map(|word| word.strip_prefix("app/")) else { return };
        if let Some(action) = action(text(HeaderName::from_static("x-amz-target"))) {
            *self.calls.lock().unwrap().entry((function.to_owned(), action)).or_default() += 1;
        }
    }
}

/// `DynamoDB_20120810.GetItem` → `dynamodb:GetItem`.
fn action(target: &str) -> Option<String> {
    let (service, action) = target.split_once('.')?;
    let service = match service {
        "DynamoDB_20120810" => "dynamodb",
        "AmazonSQS" => "sqs",
        "secretsmanager" => "secretsmanager",
        "AmazonEC2ContainerServiceV20141113" => "ecs",
        other => panic!("a service that was not expected: {other}"),
    };
    Some(format!("{service}:{action}"))
}

async fn through(State(meter): State<Meter>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    meter.count(&parts.headers);
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    meter.keep(&parts.headers, &body);
    let url = format!("{}{}", meter.target, parts.uri);
    let mut asked = meter.http.request(parts.method, url).body(body);
    for (name, value) in &parts.headers {
        if ![header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name) {
            asked = asked.header(name, value);
        }
    }
    let loses = meter.loses(parts.uri.path());
    match asked.send().await {
        Ok(_) if loses => StatusCode::BAD_GATEWAY.into_response(),
        Ok(answer) => {
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.unwrap_or_else(|_| Bytes::new());
            if parts.uri.path().ends_with("/agent/v1/claim") {
                let text = String::from_utf8_lossy(&body);
                let words = text.split('"').filter(|word| word.len() > CREDENTIALS_CHARS_MIN);
                meter.given.lock().unwrap().extend(words.map(str::to_owned));
            }
            let mut response = (status, body).into_response();
            for (name, value) in
                headers.iter().filter(|(name, _)| ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name))
            {
                response.headers_mut().insert(name, value.clone());
            }
            response
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
