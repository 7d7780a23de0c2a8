//! The queue between intake and decision: what is put into it, and what comes out.
//!
//! Three kinds of messages come out: events that we put in, wake-ups that we put in with a delay, and "ECS Task State
//! Change" events that EventBridge puts in as they are. Each comes at least once, in no order.

use aws_sdk_sqs::{
    Client,
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};
use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::event::Event;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cloud::Cloud,
    ecs::event::{TaskWord, told},
    heard::{self, Heard},
};

/// Messages of one call (SQS).
const BATCH_MAX: usize = 10;

/// Bytes of a message, and of all messages of one call (FACTS §5).
const BYTES_MAX: usize = 1_048_576;

/// Longest delay of a message, seconds (FACTS §5). Who is woken too early waits again.
pub const DELAY_MAX_S: u64 = 900;

/// What we put into the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sent {
    /// Something happened.
    Event(Event),
    /// An effect falls due.
    Wake {
        /// When, milliseconds since 1970.
        due_ms: u64,
    },
}

/// What comes out of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letter {
    /// Something happened.
    Event(Event),
    /// ECS says something of a task of ours. Those of one batch go through [`crate::ecs::event::in_order`].
    Task(TaskWord),
    /// An effect falls due at this time, milliseconds since 1970.
    Wake(u64),
    /// It is good and says nothing to us.
    Nothing,
}

impl Letter {
    /// Reads a message.
    ///
    /// # Errors
    /// `Invalid`: it is none of ours, or of a version that we do not understand. Its content is not told: it may be
    /// anybody's.
    pub fn read(stage: &str, body: &str) -> PortResult<Self> {
        let unreadable =
            |why: &str| PortError::new(ErrorKind::Invalid, format!("a message that we do not understand: {why}"));
        let json: Value =
            serde_json::from_str(body).map_err(|error| unreadable(&format!("not JSON ({:?})", error.classify())))?;
        if json.get("detail-type").is_some() {
            let word = json.get("detail").and_then(|detail| told(stage, detail));
            return Ok(word.map_or(Self::Nothing, Self::Task));
        }
        match serde_json::from_value(json) {
            Ok(Sent::Event(event)) => Ok(Self::Event(event)),
            Ok(Sent::Wake { due_ms }) => Ok(Self::Wake(due_ms)),
            Err(_) => Err(unreadable("was it put there by another version?")),
        }
    }
}

/// The queue, to be put into. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventQueue {
    client: Client,
    url: String,
}

impl EventQueue {
    /// The queue of this URL. Talks to nobody.
    #[must_use]
    pub fn new(cloud: &Cloud, url: impl Into<String>) -> Self {
        Self { client: Client::new(cloud.config()), url: url.into() }
    }

    /// Appends events; durable when it returns. Some may be there twice after an error.
    ///
    /// # Errors
    /// `Retry`: perhaps not all are there. `Denied`, `Invalid`, `NotFound`.
    pub async fn append(&self, events: &[Event]) -> PortResult<()> {
        let bodies = events.iter().map(|event| body(&Sent::Event(event.clone()))).collect::<PortResult<Vec<_>>>()?;
        for batch in batches(&bodies) {
            self.send(batch, 0).await?;
        }
        Ok(())
    }

    /// Has somebody woken at `due_ms`, or after [`DELAY_MAX_S`] if that is later, to be asked for again then.
    ///
    /// # Errors
    /// As [`EventQueue::append`].
    pub async fn wake(&self, due_ms: u64, now_ms: u64) -> PortResult<()> {
        let delay_s = due_ms.saturating_sub(now_ms).div_ceil(1_000).min(DELAY_MAX_S);
        self.send(&[body(&Sent::Wake { due_ms })?], delay_s).await
    }

    /// Messages that wait or are being handled, about; not those that are to come later.
    ///
    /// # Errors
    /// `Denied`, `Retry`, `NotFound`.
    pub async fn depth(&self) -> PortResult<u64> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let ask = self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(names.to_vec()));
        let told = ask
            .send()
            .await
            .map_err(|error| self.refused("look at", "sqs:GetQueueAttributes", &heard::hear(&error)))?;
        let number = |name| told.attributes().and_then(|all| all.get(name)?.parse::<u64>().ok()).unwrap_or(0);
        Ok(names.iter().map(number).sum())
    }

    async fn send(&self, bodies: &[String], delay_s: u64) -> PortResult<()> {
        let delay_s = i32::try_from(delay_s).unwrap_or(0);
        let entry = |(n, body): (usize, &String)| {
            SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(body).delay_seconds(delay_s).build()
        };
        let entries = bodies.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|error| PortError::new(ErrorKind::Invalid, error.to_string()))?;
        let sent = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let sent = sent.map_err(|error| self.refused("put into", "sqs:SendMessage", &heard::hear(&error)))?;
        // Status 200 with some of them refused.
        let Some(failed) = sent.failed().first() else { return Ok(()) };
        let kind = if failed.sender_fault() { ErrorKind::Invalid } else { ErrorKind::Retry };
        let why = format!(
            "{} of {} messages were not put into the queue: {} ({})",
            sent.failed().len(),
            bodies.len(),
            failed.message().unwrap_or_default(),
            failed.code()
        );
        Err(PortError::new(kind, why))
    }

    fn refused(&self, doing: &str, action: &str, heard: &Heard) -> PortError {
        let (kind, why) = heard::meaning(action, heard).unwrap_or_else(|| meaning(heard));
        PortError::new(kind, format!("cannot {doing} the queue {}: {why}", self.url))
    }
}

fn body(sent: &Sent) -> PortResult<String> {
    let body = serde_json::to_string(sent).map_err(|error| PortError::new(ErrorKind::Invalid, error.to_string()))?;
    if body.len() <= BYTES_MAX {
        return Ok(body);
    }
    let why = format!("an event of {} bytes does not fit into the queue, which takes {BYTES_MAX}", body.len());
    Err(PortError::new(ErrorKind::Invalid, why))
}

/// As few calls as can be.
fn batches(bodies: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = bodies;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(BATCH_MAX).take_while(|body| {
            bytes += body.len();
            bytes <= BYTES_MAX
        });
        let (batch, after) = rest.split_at(fits.count());
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

fn meaning(heard: &Heard) -> (ErrorKind, String) {
    match heard {
        Heard::Refused { code, .. } if heard::is_throttled(code) => (ErrorKind::Retry, "too many calls".to_owned()),
        Heard::Refused { code, message } if code.contains("QueueDoesNotExist") || code.contains("NonExistentQueue") => {
            (ErrorKind::NotFound, format!("it is not there ({message}): run `self-runners deploy` again"))
        }
        Heard::Refused { code, message } => (ErrorKind::Invalid, format!("{message} ({code})")),
        Heard::NoCredentials(why) | Heard::Unknown(why) => (ErrorKind::Retry, why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        for (sent, expected) in
            [(Sent::Event(Event::Balance), Letter::Event(Event::Balance)), (Sent::Wake { due_ms: 7 }, Letter::Wake(7))]
        {
            assert_eq!(Letter::read("dev", &body(&sent).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn task_events_come_as_they_are_and_strangers_say_nothing() {
        let mut event = json!({"detail-type": "ECS Task State Change", "source": "aws.ecs", "detail": {
            "taskArn": "arn:aws:ecs:eu-west-1:1:task/dev/0123", "lastStatus": "STOPPED", "version": 8,
            "startedBy": "self-runners/dev/linux/sr-dev-a/1",
        }});
        assert!(matches!(Letter::read("dev", &event.to_string()), Ok(Letter::Task(word)) if word.version == 8));
        assert_eq!(Letter::read("qa", &event.to_string()).unwrap(), Letter::Nothing);
        event["detail-type"] = json!("Something Else");
        event["detail"] = json!(7);
        assert_eq!(Letter::read("dev", &event.to_string()).unwrap(), Letter::Nothing);
    }

    #[test]
    fn what_is_not_understood_is_refused_without_its_content() {
        for bad in ["", "{", "7", "{}", r#"{"event":{"secret-word":1}}"#, r#"{"event":"balance","wake":{"due_ms":1}}"#]
        {
            let error = Letter::read("dev", bad).unwrap_err();
            assert!(error.kind == ErrorKind::Invalid && !error.message.contains("secret-word"), "{bad}: {error}");
        }
    }

    #[test]
    fn batches_are_of_ten_and_of_a_mebibyte() {
        let lengths = |sizes: &[usize]| {
            let bodies: Vec<String> = sizes.iter().map(|size| "x".repeat(*size)).collect();
            batches(&bodies).map(<[String]>::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&[1; 23]), [10, 10, 3]);
        assert_eq!(lengths(&[BYTES_MAX, 1, BYTES_MAX / 2, BYTES_MAX / 2]), [1, 2, 1]);
        assert_eq!(lengths(&[]), Vec::<usize>::new());
    }
}
