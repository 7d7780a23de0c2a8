//! `AgentHandler`: claims and reports of agents, from the API to the controller and back. Neither token nor credentials are
//! logged here.
//!
//! A report may want something done, and nothing is kept running here: `ScalerHandler` is called for it.

use std::sync::Arc;

use controller::agent_api::Refusal;
use fleet::wire::{ClaimRequest, ReportRequest};
use github::webhook::intake::Answer;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tracing::warn;

use crate::{
    claims::KeysAgain,
    http::{Request, not_found, unavailable, wrong_method},
    scaler::Caller,
};

/// The function.
pub struct AgentFunction {
    /// What decides, and who is called afterwards.
    pub caller: Caller,
    /// What claim tokens are made with.
    pub secret: Arc<dyn KeysAgain>,
}

impl AgentFunction {
    /// Answers a request.
    pub async fn answer(&self, request: &Request) -> Answer {
        let is_claim = match request.path.as_str() {
            "/agent/v1/claim" => true,
            "/agent/v1/report" => false,
            _ => return not_found(),
        };
        if request.method != "POST" {
            return wrong_method("POST");
        }
        let answer = if is_claim { self.claim(request).await } else { self.report(request).await };
        // Not for a stranger: what is due is looked up in the store.
        if answer.as_ref().is_ok() || answer.as_ref().is_err_and(|refused| refused.status >= 500) {
            self.caller.call_if_due().await;
        }
        answer.unwrap_or_else(|refused| refused)
    }

    async fn claim(&self, request: &Request) -> Result<Answer, Answer> {
        let (token, claim) = read::<ClaimRequest>(request)?;
        let controller = &self.caller.controller;
        let mut claimed = controller.claim(token, &claim).await;
        if matches!(claimed, Err(Refusal::Token)) && self.has_other_keys().await? {
            claimed = controller.claim(token, &claim).await;
        }
        respond(claimed)
    }

    async fn report(&self, request: &Request) -> Result<Answer, Answer> {
        let (token, report) = read::<ReportRequest>(request)?;
        let controller = &self.caller.controller;
        let mut reported = controller.report(token, &report).await;
        if matches!(reported, Err(Refusal::Token)) && self.has_other_keys().await? {
            reported = controller.report(token, &report).await;
        }
        respond(reported)
    }

    /// Whether the keys were read again: they may have been changed since this copy began. While they cannot be read it is
    /// not known whether a token is wrong, and an agent that is refused does not ask again.
    async fn has_other_keys(&self) -> Result<bool, Answer> {
        let again = self.secret.again().await.map_err(|error| {
            warn!(%error, "the keys of claims cannot be read again");
            unavailable("the keys of claims cannot be read now")
        })?;
        let Some(keys) = again else { return Ok(false) };
        self.caller.controller.set_claim_keys(keys);
        Ok(true)
    }
}

/// The bearer token and the body. What is wrong with the body is not quoted: it comes from a machine that runs jobs.
fn read<T: DeserializeOwned>(request: &Request) -> Result<(&str, T), Answer> {
    let token = request.bearer().ok_or_else(|| error(401, "no bearer token"))?;
    if request.body.len() > BYTES_MAX {
        return Err(error(413, "an agent's request is smaller"));
    }
    let body = serde_json::from_slice(&request.body).map_err(|bad| {
        error(400, &format!("not of this protocol's shape (line {}, column {})", bad.line(), bad.column()))
    })?;
    Ok((token, body))
}

fn respond<T: Serialize>(result: Result<T, Refusal>) -> Result<Answer, Answer> {
    match result {
        Ok(body) => match serde_json::to_value(body) {
            Ok(body) => Ok(Answer { status: 200, body }),
            Err(_) => Err(unavailable("the answer cannot be written")),
        },
        Err(refusal) => Err(error(refusal.status(), &refusal.to_string())),
    }
}

fn error(status: u16, text: &str) -> Answer {
    Answer { status, body: json!({ "error": text }) }
}

/// An agent's requests are some hundred bytes.
const BYTES_MAX: usize = 64 * 1_024;
