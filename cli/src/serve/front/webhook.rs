//! `POST /webhook`: verify over the raw bytes, parse, judge (all in [`github::webhook::intake`]), append durably,
//! answer. Nothing slow happens before the answer.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use fleet::event::Event;
use github::webhook::{
    SignatureError,
    intake::{Answer, Delivery, Head, Reception, Refusal, Verdict},
};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{
    Front, answer,
    body::{self, Fault},
    seats, unavailable,
};

/// GitHub's own limit of a delivery (FACTS §1).
const BYTES_MAX: usize = 25 * 1_024 * 1_024;

/// What is complained of.
const REFUSED: &str = "deliveries were refused";

/// The kind of complaint about owners and repositories that are not served.
const NOT_ALLOWED: &str = "not allowed";

/// How long the store may take. GitHub waits 10 s and takes silence for a failure; it shall hear which.
const STORED_WITHIN: Duration = Duration::from_secs(8);

pub(super) async fn receive(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let head = Head::read(parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    let mut delivery = match Delivery::begin(&front.webhook_secrets, head) {
        Ok(delivery) => delivery,
        Err(refusal) => {
            // What is announced as too large is told so, signed or not.
            let fits = body::fits(&body, BYTES_MAX);
            body::discard(&parts, body).await;
            return if fits { front.refused(&refusal) } else { front.unread(Fault::TooLarge) };
        }
    };
    let body = match body::read(&parts, body, BYTES_MAX, &front.room, |piece| delivery.update(piece)).await {
        Ok(body) => body,
        Err(fault) => return front.unread(fault),
    };
    seats::keep(&parts.extensions);
    match delivery.finish(&front.controller.policy(), body.bytes()) {
        Ok(Reception::Job { event, verdict }) => {
            drop(body);
            front.take(event, &verdict).await
        }
        Ok(Reception::Pong) => respond(Answer::pong()),
        Ok(Reception::Nothing(what)) => {
            front.vitals.told_of_no_job(what);
            respond(Answer::ignored(what))
        }
        Err(refusal) => front.refused(&refusal),
    }
}

impl Front {
    async fn take(&self, event: Event, verdict: &Verdict) -> Response {
        if self.ending.load(Ordering::Relaxed) {
            return unavailable("the daemon is ending; it takes deliveries again after its next start");
        }
        if let Verdict::Forbidden(why) = verdict {
            self.complain(NOT_ALLOWED, REFUSED, why);
            if !self.strangers.one_more() {
                return respond(verdict.into());
            }
        }
        let known = self.heard.note(&event, super::super::now_ms());
        let events = [event];
        let why = match timeout(STORED_WITHIN, self.inbox.append(&events)).await {
            Ok(Ok(())) => {
                self.arrived.notify_one();
                return respond(match (known, verdict) {
                    (Some(why), Verdict::Accepted(_)) => Answer::duplicate(&why),
                    (_, verdict) => verdict.into(),
                });
            }
            Ok(Err(error)) => error.message,
            // It may be stored all the same; then the delivery that comes again is a duplicate.
            Err(_) => "the store takes too long".to_owned(),
        };
        self.heard.forget(&events[0]);
        self.complain("unstored", "deliveries could not be stored; GitHub keeps them as failed", &why);
        unavailable(&why)
    }

    fn refused(&self, refusal: &Refusal) -> Response {
        let kind = match refusal {
            Refusal::Untrusted(SignatureError::NoSecret) => "no secret",
            Refusal::Untrusted(SignatureError::Mismatch) => "wrong signature",
            Refusal::Untrusted(_) => "no signature",
            Refusal::NotUnderstood(_) => "not understood",
        };
        let why = refusal.to_string();
        self.complain(kind, REFUSED, &why);
        // Ours to mend, and then it can be delivered again.
        if refusal.status() == StatusCode::SERVICE_UNAVAILABLE.as_u16() {
            return unavailable(&why);
        }
        respond(Answer::refused(refusal))
    }

    fn unread(&self, fault: Fault) -> Response {
        self.complain(fault.words(), "deliveries could not be read", fault.words());
        fault.answer()
    }

    fn complain(&self, kind: &'static str, what: &str, why: &str) {
        match self.complaints.due(kind) {
            Some(times) => warn!(times, why, "{what}"),
            None => debug!(why, "{what}"),
        }
    }
}

fn respond(Answer { status, body }: Answer) -> Response {
    // Only statuses of the table in `intake` come here.
    answer(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
}
