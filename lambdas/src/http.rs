//! A request of an HTTP API (payload format 2.0) as this crate reads it, and the answer as the API wants it.

use aws_lambda_events::{
    apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse},
    encodings::Body,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use github::webhook::intake::{Answer, Head};
use serde_json::json;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// Names in lower case. The API joins what comes more than once with commas (FACTS §5), so that it is no signature.
    headers: Vec<(String, Vec<u8>)>,
    /// The bytes that were sent, which a signature is over.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads what the API hands over.
    ///
    /// # Errors
    /// 400: a body that is called base64 and is none.
    pub fn read(event: ApiGatewayV2httpRequest) -> Result<Self, Answer> {
        let http = event.request_context.http;
        let headers = event.headers.iter();
        Ok(Self {
            method: http.method.to_string(),
            path: event.raw_path.or(http.path).unwrap_or_default(),
            headers: headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect(),
            body: body(event.body.unwrap_or_default(), event.is_base64_encoded)?,
        })
    }

    /// The bearer token. What comes twice was joined with a comma, which no token has.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == "authorization")?;
        std::str::from_utf8(value).ok()?.strip_prefix("Bearer ").filter(|token| !token.contains(','))
    }

    /// The headers that a delivery is judged by.
    #[must_use]
    pub fn head(&self) -> Head<'_> {
        Head::read(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
    }
}

/// Before anything is verified: the signature is over what GitHub sent, not over what the API made of it.
fn body(text: String, is_base64: bool) -> Result<Vec<u8>, Answer> {
    if !is_base64 {
        return Ok(text.into_bytes());
    }
    let unreadable = |_| Answer { status: 400, body: json!({ "error": "the body is no base64" }) };
    STANDARD.decode(text).map_err(unreadable)
}

/// An answer as the API wants it.
#[must_use]
pub fn response(answer: &Answer) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = answer.status.into();
    if let Ok(json) = "application/json".parse() {
        response.headers.insert("content-type", json);
    }
    response.body = Some(Body::Text(answer.body.to_string()));
    response
}

/// To a path that nobody answers.
#[must_use]
pub fn not_found() -> Answer {
    Answer { status: 404, body: json!({ "error": "there is nothing here" }) }
}

/// To another method than `allowed`.
#[must_use]
pub fn wrong_method(allowed: &str) -> Answer {
    Answer { status: 405, body: json!({ "error": format!("only {allowed} is answered here") }) }
}

/// To what cannot be done now: who sent it is to try again.
#[must_use]
pub fn unavailable(why: &str) -> Answer {
    Answer { status: 503, body: json!({ "error": why }) }
}
