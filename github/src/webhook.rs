//! What GitHub sends: [`verify`] first, over the raw bytes; then [`parse`].
//!
//! Parsing is tolerant where GitHub is loose (FACTS §1) and names the field where it cannot go on. It neither matches
//! labels nor looks at owners: that is for the core's rules, which [`intake`] asks.

mod content;
pub mod intake;
mod pick;
pub mod post;
pub mod promises;
mod signature;

use fleet::{event::Event, ids::Repo, job::JobInput};

pub use self::signature::{SignatureError, Verifier, sign, verify};
use crate::{
    fields::{FieldError, Fields},
    job,
};

/// Header that names the kind of event.
pub const EVENT_HEADER: &str = "x-github-event";
/// Header with the GUID of the delivery; a redelivery keeps it.
pub const DELIVERY_HEADER: &str = "x-github-delivery";
/// Header with the signature.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// A delivery, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Webhook {
    /// A job's status.
    Job(Event),
    /// The webhook was just created.
    Ping {
        /// Id of the webhook.
        hook_id: u64,
    },
    /// Anything else, in words: it needs nothing.
    Other(&'static str),
}

/// Why a delivery is not understood. Never shows what was sent: a secret may stand anywhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The body is of a type that GitHub does not send.
    #[error("the content type is not one that GitHub sends: set the webhook's to application/json")]
    ContentType,
    /// The header that names the event is missing, or there more than once.
    #[error("not one X-GitHub-Event header: this is not a delivery of GitHub's")]
    NoEvent,
    /// A form without its `payload`.
    #[error("the form has no field `payload`")]
    NoPayload,
    /// A form with a percent sign that is followed by something else than two hexadecimal digits.
    #[error("the form is not percent-encoded")]
    BadEscape,
    /// Not JSON.
    #[error("the body is not JSON{} (line {line}, column {column})", if *.ended { ": it ends too early" } else { "" })]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Whether more was to come.
        ended: bool,
    },
    /// JSON that is not what this event should be.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Understands a delivery by its headers `Content-Type` and `X-GitHub-Event` and its body.
///
/// # Errors
/// Names the field, header or encoding at fault.
pub fn parse(content_type: Option<&str>, event: Option<&str>, body: &[u8]) -> Result<Webhook, ParseError> {
    match event.map(str::trim).filter(|event| !event.is_empty()).ok_or(ParseError::NoEvent)? {
        "workflow_job" => workflow_job(&Fields::root(&content::read(content_type, body)?)?),
        "ping" => ping(&Fields::root(&content::read(content_type, body)?)?),
        _ => Ok(Webhook::Other("this event needs nothing: only `workflow_job` does")),
    }
}

fn ping(root: &Fields<'_>) -> Result<Webhook, ParseError> {
    Ok(Webhook::Ping { hook_id: root.number("hook_id")? })
}

fn workflow_job(root: &Fields<'_>) -> Result<Webhook, ParseError> {
    let action = root.text("action")?;
    let job = root.object("workflow_job")?;
    let input = match action {
        "queued" => queued(&job)?,
        "waiting" => JobInput::Waiting,
        "in_progress" => job::in_progress(&job)?,
        "completed" => job::completed(&job)?,
        _ => return Ok(Webhook::Other("this action of `workflow_job` needs nothing")),
    };
    let repository = root.object("repository")?;
    let repo = Repo::parse(repository.text("full_name")?)
        .ok_or_else(|| repository.wrong("full_name", "a text of the form owner/name"))?;
    let facts = job::facts(&job, &repo, job::public(&repository)?)?;
    Ok(Webhook::Job(Event::Job { facts, input }))
}

/// A job of an environment is announced as `queued` before its approval too, then with `status` "waiting" (FACTS §1).
fn queued(job: &Fields<'_>) -> Result<JobInput, FieldError> {
    let held = job.optional_text("status")?.is_some_and(job::holds);
    Ok(if held { JobInput::Waiting } else { JobInput::Queued })
}
