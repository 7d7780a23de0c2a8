//! `POST /agent/v1/claim` and `/agent/v1/report`: from HTTP to the controller and back. The statuses are those of
//! [`fleet::wire`]'s table. Neither token nor credentials are logged here.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use controller::agent_api::Refusal;
use fleet::wire::{ClaimRequest, ReportRequest};
use serde::{Serialize, de::DeserializeOwned};

use super::{Front, refuse, unavailable};

pub(super) async fn claim(State(front): State<Arc<Front>>, headers: HeaderMap, body: Bytes) -> Response {
    let (token, request) = match read::<ClaimRequest>(&headers, &body) {
        Ok(call) => call,
        Err(response) => return response,
    };
    respond(front.controller.claim(token, &request).await)
}

pub(super) async fn report(State(front): State<Arc<Front>>, headers: HeaderMap, body: Bytes) -> Response {
    let (token, request) = match read::<ReportRequest>(&headers, &body) {
        Ok(call) => call,
        Err(response) => return response,
    };
    respond(front.controller.report(token, &request).await)
}

/// The bearer token and the body. What is wrong with the body is not quoted: it comes from a machine that runs jobs.
#[expect(clippy::result_large_err, reason = "the error is the answer itself")]
fn read<'a, T: DeserializeOwned>(headers: &'a HeaderMap, body: &[u8]) -> Result<(&'a str, T), Response> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = value.and_then(|value| value.strip_prefix("Bearer ")) else {
        return Err(refuse(StatusCode::UNAUTHORIZED, "no bearer token"));
    };
    let request = serde_json::from_slice(body).map_err(|error| {
        let where_ = format!("not of this protocol's shape (line {}, column {})", error.line(), error.column());
        refuse(StatusCode::BAD_REQUEST, &where_)
    })?;
    Ok((token, request))
}

fn respond<T: Serialize>(result: Result<T, Refusal>) -> Response {
    match result {
        Ok(body) => (StatusCode::OK, Json(body)).into_response(),
        Err(Refusal::Token) => refuse(StatusCode::UNAUTHORIZED, "this claim token is not this runner's"),
        Err(Refusal::Registered) => refuse(StatusCode::CONFLICT, "this runner has registered already"),
        Err(Refusal::Protocol) => refuse(StatusCode::UPGRADE_REQUIRED, "this protocol is not served here"),
        Err(Refusal::Unavailable(why)) => unavailable(&why),
    }
}
