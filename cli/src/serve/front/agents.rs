//! `POST /agent/v1/claim` and `/agent/v1/report`: from HTTP to the controller and back. The statuses are those of
//! [`fleet::wire`]'s table. Neither token nor credentials are logged here.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use controller::agent_api::Refusal;
use fleet::wire::{ClaimRequest, ReportRequest};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Front,
    body::{self, Fault},
    refuse, seats, unavailable,
};

/// An agent's requests are some hundred bytes.
const BYTES_MAX: usize = 64 * 1_024;

pub(super) async fn claim(State(front): State<Arc<Front>>, request: Request) -> Response {
    match read::<ClaimRequest>(&front, request).await {
        Ok(call) => respond(front.controller.claim(&call.token, &call.request).await),
        Err(response) => response,
    }
}

pub(super) async fn report(State(front): State<Arc<Front>>, request: Request) -> Response {
    match read::<ReportRequest>(&front, request).await {
        Ok(call) => respond(front.controller.report(&call.token, &call.request).await),
        Err(response) => response,
    }
}

/// What an agent asks, and the token that it asks with.
struct Call<T> {
    token: String,
    request: T,
}

/// The bearer token and the body. What is wrong with the body is not quoted: it comes from a machine that runs jobs.
async fn read<T: DeserializeOwned>(front: &Front, request: Request) -> Result<Call<T>, Response> {
    let (parts, body) = request.into_parts();
    let Some(token) = bearer(&parts.headers) else {
        body::discard(&parts, body).await;
        return Err(refuse(StatusCode::UNAUTHORIZED, "no bearer token"));
    };
    let body = body::read(&parts, body, BYTES_MAX, &front.room, |_| ()).await.map_err(Fault::answer)?;
    seats::keep(&parts.extensions);
    let request = serde_json::from_slice(body.bytes()).map_err(|error| {
        let where_ = format!("not of this protocol's shape (line {}, column {})", error.line(), error.column());
        refuse(StatusCode::BAD_REQUEST, &where_)
    })?;
    Ok(Call { token, request })
}

/// One that comes twice is none.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned)
}

fn respond<T: Serialize>(result: Result<T, Refusal>) -> Response {
    match result {
        Ok(body) => (StatusCode::OK, Json(body)).into_response(),
        Err(Refusal::Unavailable(why)) => unavailable(&why),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            refuse(status, &refusal.to_string())
        }
    }
}
