//! A delivery's way from its first header to its answer: verify, parse, judge by the operator's rules. No network, no
//! store, no clock: what serves HTTP calls this step by step, and so does what throws a million bent requests at it.
//!
//! | what came | answer |
//! |---|---|
//! | `ping` | 200 `pong` |
//! | a job that is stored and will be seen to | 202 `accepted`, or `duplicate` where that is known |
//! | another event or action, labels that nobody has, a job that waits for an approval | 202 `ignored`, with the reason |
//! | no, malformed or wrong signature; empty body | 401 |
//! | signed, but not JSON or not of the event's shape | 400, with the field |
//! | owner or repository not allowed, public repository | 403, with the reason, which is stored |
//! | another content type | 415 |
//! | no secret to judge with | 503: GitHub keeps it as failed, so that it can be delivered again |
//!
//! No answer repeats what was sent, except names: of owner, repository, labels, class and pool.

use controller::ports::Secret;
use fleet::{
    event::Event,
    ids::RunnerName,
    job::{JobFacts, JobInput},
    policy::{Placement, Policy},
};
use serde_json::{Value, json};

use super::{EVENT_HEADER, ParseError, SIGNATURE_HEADER, SignatureError, Verifier, Webhook, parse};

/// Header with the type of the body.
const CONTENT_TYPE: &str = "content-type";

/// The headers that matter.
#[derive(Debug, Default, Clone, Copy)]
pub struct Head<'a> {
    signature: Sent<'a>,
    event: Sent<'a>,
    content_type: Sent<'a>,
}

/// A header as it was sent. One that comes twice says nothing: which of them counts is a matter of taste.
#[derive(Debug, Default, Clone, Copy)]
enum Sent<'a> {
    #[default]
    Never,
    Once(&'a [u8]),
    Often,
}

impl<'a> Sent<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Often => Self::Often,
        };
    }

    /// What it says; nothing if it is not there; "" if it says nothing that could be right.
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Never => None,
            Self::Once(value) => Some(std::str::from_utf8(value).unwrap_or_default()),
            Self::Often => Some(""),
        }
    }
}

impl<'a> Head<'a> {
    /// Finds the headers that matter among all, whose names are in lower case.
    pub fn read(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut head = Self::default();
        for (name, value) in headers {
            match name {
                SIGNATURE_HEADER => head.signature.add(value),
                EVENT_HEADER => head.event.add(value),
                CONTENT_TYPE => head.content_type.add(value),
                _ => {}
            }
        }
        head
    }
}

/// A delivery of which the head is there.
#[derive(Debug)]
pub struct Delivery<'a> {
    head: Head<'a>,
    verifier: Verifier,
}

impl<'a> Delivery<'a> {
    /// What can be said before the body is read.
    ///
    /// # Errors
    /// There is no signature that could be right, or no secret.
    pub fn begin(secrets: &[Secret], head: Head<'a>) -> Result<Self, Refusal> {
        Ok(Self { head, verifier: Verifier::begin(secrets, head.signature.text())? })
    }

    /// The next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.verifier.update(bytes);
    }

    /// The verdict on `body`, which is all the bytes that `update` was given.
    ///
    /// # Errors
    /// It is not believed, not understood or not allowed.
    pub fn finish(self, policy: &Policy, body: &[u8]) -> Result<Reception, Refusal> {
        if body.len() != self.verifier.bytes() {
            return Err(SignatureError::Mismatch.into());
        }
        self.verifier.finish()?;
        match parse(self.head.content_type.text(), self.head.event.text(), body)? {
            Webhook::Job(event) => Ok(judge(policy, event)),
            Webhook::Ping { .. } => Ok(Reception::Pong),
            Webhook::Other(what) => Ok(Reception::Nothing(what)),
        }
    }
}

/// All of it at once.
///
/// # Errors
/// It is not believed, not understood or not allowed.
pub fn receive(secrets: &[Secret], policy: &Policy, head: Head<'_>, body: &[u8]) -> Result<Reception, Refusal> {
    let mut delivery = Delivery::begin(secrets, head)?;
    delivery.update(body);
    delivery.finish(policy, body)
}

/// What is done with a delivery that is believed and understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reception {
    /// It only asked whether we are there.
    Pong,
    /// It needs nothing, in words. Nothing is kept.
    Nothing(&'static str),
    /// It is to be stored, whatever the verdict: the log of decisions then answers why, and a job that was known before
    /// its class was taken away still ends.
    Job {
        /// What is stored.
        event: Event,
        /// What the rules say of it.
        verdict: Verdict,
    },
}

/// What the rules say of a job. The decision itself, with the store before its eyes, comes after the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// What will be done.
    Accepted(String),
    /// Why nothing will be done.
    Ignored(String),
    /// Why nothing will be done: its owner or repository is not served. Stored for the reason's sake, as far as the
    /// receiver has room for strangers.
    Forbidden(String),
}

/// Why a delivery is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not signed by GitHub, as far as we can tell.
    #[error(transparent)]
    Untrusted(#[from] SignatureError),
    /// Signed, but not what GitHub sends.
    #[error(transparent)]
    NotUnderstood(#[from] ParseError),
}

impl Refusal {
    /// The HTTP status that says so.
    pub fn status(&self) -> u16 {
        match self {
            Self::Untrusted(SignatureError::NoSecret) => 503,
            Self::Untrusted(
                SignatureError::Missing
                | SignatureError::Malformed
                | SignatureError::EmptyBody
                | SignatureError::Mismatch,
            ) => 401,
            Self::NotUnderstood(ParseError::ContentType) => 415,
            Self::NotUnderstood(
                ParseError::NoEvent
                | ParseError::NoPayload
                | ParseError::BadEscape
                | ParseError::Json { .. }
                | ParseError::Field(_),
            ) => 400,
        }
    }
}

/// A status and the JSON that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Value,
}

impl Answer {
    /// To a ping.
    pub fn pong() -> Self {
        Self { status: 200, body: json!({ "outcome": "pong" }) }
    }

    /// It is stored, and this will be done.
    pub fn accepted(will: &str) -> Self {
        Self { status: 202, body: json!({ "outcome": "accepted", "will": will }) }
    }

    /// It is stored, and changes nothing.
    pub fn duplicate(reason: &str) -> Self {
        Self { status: 202, body: json!({ "outcome": "duplicate", "reason": reason }) }
    }

    /// Nothing will be done.
    pub fn ignored(reason: &str) -> Self {
        Self { status: 202, body: json!({ "outcome": "ignored", "reason": reason }) }
    }

    /// It is not served.
    pub fn forbidden(reason: &str) -> Self {
        Self { status: 403, body: json!({ "error": reason }) }
    }

    /// It is not taken.
    pub fn refused(refusal: &Refusal) -> Self {
        Self { status: refusal.status(), body: json!({ "error": refusal.to_string() }) }
    }
}

impl From<&Verdict> for Answer {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Accepted(will) => Self::accepted(will),
            Verdict::Ignored(reason) => Self::ignored(reason),
            Verdict::Forbidden(reason) => Self::forbidden(reason),
        }
    }
}

fn judge(policy: &Policy, event: Event) -> Reception {
    let Event::Job { facts, input } = &event else { return Reception::Nothing("it is not about a job") };
    let verdict = judge_job(policy, facts, input);
    Reception::Job { event, verdict }
}

fn judge_job(policy: &Policy, facts: &JobFacts, input: &JobInput) -> Verdict {
    let prefix = policy.prefix();
    // GitHub may give our runner any job: what names one is never set aside, whatever its labels.
    if input.runner().is_some_and(|name| RunnerName::parse_registered(&prefix, name).is_some()) {
        return Verdict::Accepted(format!("note that the job of a runner of ours is {}", input.label()));
    }
    match policy.place(facts) {
        Placement::Forbidden(why) => Verdict::Forbidden(why),
        Placement::Unmatched(why) => Verdict::Ignored(why),
        Placement::Pool(_) | Placement::Closed(_) if facts.public.is_none() => Verdict::Ignored(VISIBILITY.into()),
        Placement::Pool(_) | Placement::Closed(_) if *input == JobInput::Waiting => Verdict::Ignored(WAITS.into()),
        Placement::Closed(class) if is_demand(input) => {
            Verdict::Accepted(format!("let it wait: class `{class}` is closed (max = 0)"))
        }
        Placement::Pool(pool) if is_demand(input) => Verdict::Accepted(format!("see to a runner of pool {}", pool.id)),
        Placement::Pool(_) | Placement::Closed(_) => Verdict::Accepted(format!("note that it is {}", input.label())),
    }
}

fn is_demand(input: &JobInput) -> bool {
    matches!(input, JobInput::Queued | JobInput::QueuedDirect)
}

/// A job of an environment is announced once more when it is approved.
const WAITS: &str = "it waits for an approval; nothing is started before that";

/// A public repository must not slip in; a listing tells.
const VISIBILITY: &str = "it does not tell whether its repository is public; the next listing tells";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fleet::{
        class::Class,
        ids::{JobId, Repo, RunId},
        labels::LabelSet,
        policy::Owner,
    };

    use super::*;

    fn policy() -> Policy {
        Policy {
            classes: vec![Class { labels: LabelSet::parse(["self-hosted", "linux"]).unwrap(), ..Class::default() }],
            owners: BTreeMap::from([("acme".into(), Owner { organization: false, repositories: None })]),
            ..Policy::default()
        }
    }

    fn facts(labels: &[&str], repo: &str) -> JobFacts {
        JobFacts {
            id: JobId(1),
            run_id: RunId(1),
            run_attempt: 1,
            repo: Repo::parse(repo).unwrap(),
            public: Some(false),
            name: "build".into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            created_ms: 0,
        }
    }

    fn judged(labels: &[&str], repo: &str, input: &JobInput) -> Verdict {
        judge_job(&policy(), &facts(labels, repo), input)
    }

    const FINE: [&str; 2] = ["self-hosted", "linux"];

    #[test]
    fn the_verdict_says_what_the_rules_say() {
        assert!(matches!(judged(&FINE, "acme/web", &JobInput::Queued), Verdict::Accepted(_)));
        assert!(matches!(judged(&FINE, "acme/web", &JobInput::Waiting), Verdict::Ignored(_)));
        assert!(matches!(judged(&["ubuntu-latest"], "acme/web", &JobInput::Queued), Verdict::Ignored(_)));
        assert!(matches!(judged(&FINE, "evil/web", &JobInput::Queued), Verdict::Forbidden(_)));
    }

    #[test]
    fn what_names_our_runner_is_never_set_aside() {
        let ours = JobInput::InProgress { runner: "sr-dev-0abc-1".into() };
        assert!(matches!(judged(&["ubuntu-latest"], "evil/web", &ours), Verdict::Accepted(_)));
        let theirs = JobInput::InProgress { runner: "laptop".into() };
        assert!(matches!(judged(&["ubuntu-latest"], "acme/web", &theirs), Verdict::Ignored(_)));
    }

    /// The core sets such a job aside until a listing tells; the answer must not promise a runner.
    #[test]
    fn a_job_of_a_repository_that_may_be_public_is_not_promised_a_runner() {
        let facts = JobFacts { public: None, ..facts(&FINE, "acme/web") };
        assert_eq!(judge_job(&policy(), &facts, &JobInput::Queued), Verdict::Ignored(VISIBILITY.into()));
    }

    #[test]
    fn a_header_that_comes_twice_says_nothing() {
        let secrets = [Secret::new("s")];
        let body = b"{\"hook_id\":1}";
        let signature = super::super::sign(&secrets[0], body);
        let one = [("content-type", "application/json"), ("x-github-event", "ping"), (SIGNATURE_HEADER, &signature)];
        let received = |again: Option<usize>| {
            let headers = one.iter().chain(again.map(|at| &one[at]));
            let head = Head::read(headers.map(|(name, value)| (*name, value.as_bytes())));
            receive(&secrets, &policy(), head, body).map_err(|refusal| refusal.status())
        };
        assert_eq!(received(None), Ok(Reception::Pong));
        assert_eq!([0, 1, 2].map(|at| received(Some(at))), [Err(415), Err(400), Err(401)]);
    }

    /// Whoever adds a piece to the body after it was verified gets nothing judged.
    #[test]
    fn only_verified_bytes_are_judged() {
        let secrets = [Secret::new("s")];
        let signature = super::super::sign(&secrets[0], b"{");
        let mut delivery = Delivery::begin(&secrets, Head::read([(SIGNATURE_HEADER, signature.as_bytes())])).unwrap();
        delivery.update(b"{");
        assert_eq!(delivery.finish(&policy(), b"{}"), Err(SignatureError::Mismatch.into()));
    }
}
