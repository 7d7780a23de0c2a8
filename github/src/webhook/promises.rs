//! What must hold of any request to the webhook, whoever sent it. A seeded generator (`cargo xtask fuzz`, a test) and a
//! fuzzer (`fuzz/`) look at it with the same function.
//!
//! 1. Nothing panics.
//! 2. What is not signed is not believed; what is signed is.
//! 3. No answer shows what was sent, a secret or a signature; it is one short line.
//! 4. What is answered is what the core then decides.
//! 5. What is stored is read again as it was.

use std::collections::BTreeMap;

use controller::ports::Secret;
use fleet::{
    class::Class,
    decide::Moment,
    event::{Event, Outcome},
    ids::Repo,
    job::JobInput,
    labels::LabelSet,
    ledger::Ledger,
    policy::{Owner, Policy},
    view::Keys,
};

use super::{
    ParseError, SignatureError,
    intake::{Answer, Head, Reception, Refusal, Verdict, receive},
    sign,
};

/// Longest answer: a label of 256 characters for each of 100 labels, and words.
const ANSWER_MAX_BYTES: usize = 30_000;

/// A request, and what its sender knows of it.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// Headers, names in lower case.
    pub headers: &'a [(&'static str, Vec<u8>)],
    /// The body.
    pub body: &'a [u8],
    /// Whether it is signed rightly, with one header.
    pub signed: bool,
    /// A text that stands where no name stands, and must not come back.
    pub marker: &'a str,
}

/// The receiver that is looked at.
#[derive(Debug)]
pub struct Receiver {
    secrets: Vec<Secret>,
    policy: Policy,
}

/// Every end that a request can come to. A generator that never reaches one of them proves nothing of it.
pub const ENDS: [&str; 21] = [
    "200 pong",
    "202 accepted",
    "202 ignored: event",
    "202 ignored: action",
    "202 ignored: labels",
    "202 ignored: approval",
    "202 ignored: visibility",
    "400 event",
    "400 payload",
    "400 escape",
    "400 syntax",
    "400 early end",
    "400 field",
    "401 missing",
    "401 malformed",
    "401 mismatch",
    "401 empty",
    "403 owner",
    "403 repository",
    "403 public",
    "415 content type",
];

impl Receiver {
    /// A receiver for organisation `acme`, of which it serves some repositories, and nobody else.
    pub fn new(secrets: &[&str]) -> Self {
        // Both are well formed.
        let labels = LabelSet::parse(["self-hosted", "linux"]).unwrap_or_default();
        let repositories = ["acme/web", "acme/site"].into_iter().filter_map(Repo::parse).collect();
        let owner = Owner { organization: true, repositories: Some(repositories) };
        let policy = Policy {
            classes: vec![Class { labels, ..Class::default() }],
            owners: BTreeMap::from([("acme".to_owned(), owner)]),
            ..Policy::default()
        };
        Self { secrets: secrets.iter().map(Secret::new).collect(), policy }
    }

    /// Receives it and looks at what comes of it: its end, one of [`ENDS`].
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn look(&self, sent: Sent<'_>) -> Result<&'static str, String> {
        let head = Head::read(sent.headers.iter().map(|(name, value)| (*name, value.as_slice())));
        let received = receive(&self.secrets, &self.policy, head, sent.body);
        let believed = !matches!(received, Err(Refusal::Untrusted(_)));
        if believed != sent.signed {
            return Err(format!("signed: {}, believed: {believed}", sent.signed));
        }
        let answer = match &received {
            Ok(Reception::Pong) => Answer::pong(),
            Ok(Reception::Nothing(what)) => Answer::ignored(what),
            Ok(Reception::Job { verdict, .. }) => verdict.into(),
            Err(refusal) => Answer::refused(refusal),
        };
        // Bytes that are bent at random now and then move it into a name, and names are answered.
        let named = matches!(&received, Ok(Reception::Job { event, .. }) if is_named(event, sent.marker));
        self.shows_nothing(sent, named, &answer)?;
        if let Ok(Reception::Job { event, verdict }) = &received {
            self.agrees_with_the_core(event, verdict)?;
            is_read_again(event)?;
        }
        end(&received)
    }

    fn shows_nothing(&self, sent: Sent<'_>, named: bool, answer: &Answer) -> Result<(), String> {
        let text = answer.body.to_string();
        let secrets = self.secrets.iter().any(|secret| text.contains(secret.expose()));
        if secrets || !named && text.contains(sent.marker) || self.shows_a_signature(sent.body, &text) {
            return Err(format!("an answer shows what it must not: {text}"));
        }
        let mut words = answer.body.as_object().into_iter().flat_map(serde_json::Map::values);
        if text.len() > ANSWER_MAX_BYTES || words.any(|words| words.as_str().is_none_or(|words| words.contains('\n'))) {
            return Err(format!("an answer is no line: {} bytes", text.len()));
        }
        Ok(())
    }

    fn shows_a_signature(&self, body: &[u8], text: &str) -> bool {
        let digits = |secret| sign(secret, body).split_off("sha256=".len());
        self.secrets.iter().any(|secret| text.contains(&digits(secret)))
    }

    /// The core is asked with an empty store: what it then does with the job is what was answered.
    fn agrees_with_the_core(&self, event: &Event, verdict: &Verdict) -> Result<(), String> {
        let events = std::slice::from_ref(event);
        let view = Ledger::new(false).load(&Keys::of(&self.policy, events), 1);
        let decision = fleet::decide(&self.policy, &view, events, Moment { now_ms: 1, nonce: 1 });
        let waits = matches!(event, Event::Job { input: JobInput::Waiting, .. });
        let unseen = matches!(event, Event::Job { facts, .. } if facts.public.is_none());
        match (verdict, decision.outcomes.first()) {
            (Verdict::Accepted(_), Some(Outcome::Accepted(_)))
            | (Verdict::Ignored(_), Some(Outcome::Ignored(_)))
            | (Verdict::Forbidden(_), Some(Outcome::Forbidden(_))) => Ok(()),
            // Of two reasons for doing nothing the core has another one first.
            (Verdict::Forbidden(_), Some(Outcome::Ignored(_))) if unseen => Ok(()),
            // It is noted, and nothing is done for it.
            (Verdict::Ignored(_), Some(Outcome::Accepted(_))) if waits => Ok(()),
            (verdict, outcome) => Err(format!("answered {verdict:?}, decided {outcome:?}")),
        }
    }
}

/// Whether a text stands in a name that may be answered: of owner, repository or label.
fn is_named(event: &Event, text: &str) -> bool {
    let Event::Job { facts, .. } = event else { return false };
    facts.repo.to_string().contains(text) || facts.labels.iter().any(|label| label.contains(text))
}

/// A letter of the inbox is JSON.
fn is_read_again(event: &Event) -> Result<(), String> {
    let text = serde_json::to_string(event).map_err(|error| format!("an event cannot be stored: {error}"))?;
    let again: Event = serde_json::from_str(&text).map_err(|error| format!("an event cannot be read: {error}"))?;
    if again == *event { Ok(()) } else { Err("an event is read as another".into()) }
}

fn end(received: &Result<Reception, Refusal>) -> Result<&'static str, String> {
    let end = match received {
        Ok(Reception::Pong) => "200 pong",
        Ok(Reception::Job { verdict: Verdict::Accepted(_), .. }) => "202 accepted",
        Ok(Reception::Nothing(what)) if what.contains("event") => "202 ignored: event",
        Ok(Reception::Nothing(_)) => "202 ignored: action",
        Ok(Reception::Job { verdict: Verdict::Ignored(why), .. }) if why.starts_with("ignored: ") => {
            "202 ignored: labels"
        }
        Ok(Reception::Job { verdict: Verdict::Ignored(why), .. }) if why.contains("approval") => {
            "202 ignored: approval"
        }
        Ok(Reception::Job { verdict: Verdict::Ignored(_), .. }) => "202 ignored: visibility",
        Ok(Reception::Job { verdict: Verdict::Forbidden(why), .. }) if why.contains("owner ") => "403 owner",
        Ok(Reception::Job { verdict: Verdict::Forbidden(why), .. }) if why.contains("is public") => "403 public",
        Ok(Reception::Job { verdict: Verdict::Forbidden(_), .. }) => "403 repository",
        Err(Refusal::NotUnderstood(error)) => not_understood(error),
        Err(Refusal::Untrusted(error)) => untrusted(*error),
    };
    if ENDS.contains(&end) { Ok(end) } else { Err(format!("it ends as no request may: {end}")) }
}

fn not_understood(error: &ParseError) -> &'static str {
    match error {
        ParseError::NoEvent => "400 event",
        ParseError::NoPayload => "400 payload",
        ParseError::BadEscape => "400 escape",
        ParseError::Json { ended: false, .. } => "400 syntax",
        ParseError::Json { ended: true, .. } => "400 early end",
        ParseError::Field(_) => "400 field",
        ParseError::ContentType => "415 content type",
    }
}

fn untrusted(error: SignatureError) -> &'static str {
    match error {
        SignatureError::Missing => "401 missing",
        SignatureError::Malformed => "401 malformed",
        SignatureError::Mismatch => "401 mismatch",
        SignatureError::EmptyBody => "401 empty",
        SignatureError::NoSecret => "503 no secret",
    }
}
