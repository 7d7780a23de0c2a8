//! What stands in a message of the queue: an event that `WebhookHandlerGHA` put there, what ECS tells by way of
//! EventBridge, or only a call to look at what has fallen due.

use aws::ecs::event::{TaskWord, told};
use fleet::event::Event;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// To be handled.
    Event(Event),
    /// What became of a task, to be put in order with others first.
    Task(TaskWord),
    /// Nothing to handle: a wake-up, or somebody else's task.
    Nothing,
}

/// How our own messages are written. The version is raised with the shape, and the one before is still read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Body {
    Event(Box<Event>),
    Wake,
}

#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    v: u32,
    body: Body,
}

/// The shape that is written.
const VERSION: u32 = 1;

/// An event as a message.
///
/// # Errors
/// It cannot be written as JSON.
pub fn of_event(event: &Event) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Envelope { v: VERSION, body: Body::Event(Box::new(event.clone())) })
}

/// A wake-up as a message.
#[must_use]
pub fn of_wake() -> String {
    format!(r#"{{"v":{VERSION},"body":"wake"}}"#)
}

/// Reads a message.
///
/// # Errors
/// In words that hold nothing of it: it is of a later version, or nobody's that we know.
pub fn read(stage: &str, text: &str) -> Result<Message, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("no JSON at column {}", error.column()))?;
    if json.get("detail-type").and_then(Value::as_str) == Some(TASK_CHANGE) {
        return Ok(json.get("detail").and_then(|detail| told(stage, detail)).map_or(Message::Nothing, Message::Task));
    }
    match json.get("v").and_then(Value::as_u64) {
        Some(v) if v > u64::from(VERSION) => {
            return Err(format!("of version {v}, this function reads up to {VERSION}: deploy the newer one again"));
        }
        Some(_) => {}
        None => return Err("neither an event of ours nor one of ECS".into()),
    }
    match serde_json::from_value::<Envelope>(json) {
        Ok(Envelope { body: Body::Event(event), .. }) => Ok(Message::Event(*event)),
        Ok(Envelope { body: Body::Wake, .. }) => Ok(Message::Nothing),
        Err(_) => Err("an event that cannot be read".into()),
    }
}

/// What EventBridge calls it.
const TASK_CHANGE: &str = "ECS Task State Change";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read("dev", &of_event(&Event::Balance).unwrap()), Ok(Message::Event(Event::Balance)));
        assert_eq!(read("dev", &of_wake()), Ok(Message::Nothing));
    }

    #[test]
    fn what_ecs_tells_of_our_tasks_is_read_and_of_others_is_nothing() {
        let change = |started_by: &str| {
            let detail = json!({ "taskArn": "arn:task/1", "lastStatus": "STOPPED", "desiredStatus": "STOPPED",
                                 "version": 5, "startedBy": started_by });
            json!({ "detail-type": TASK_CHANGE, "detail": detail }).to_string()
        };
        assert!(matches!(
            read("dev", &change("self-runners/dev/linux/sr-dev-a/1")),
            Ok(Message::Task(TaskWord { version: 5, .. }))
        ));
        assert_eq!(read("dev", &change("ecs-svc/77")), Ok(Message::Nothing));
    }

    #[test]
    fn what_is_not_understood_is_told_without_its_text() {
        for (text, words) in [
            ("secret", "no JSON"),
            (r#"{"secret":1}"#, "neither"),
            (r#"{"v":9,"body":"secret"}"#, "version 9"),
            (r#"{"v":1,"body":{"event":"secret"}}"#, "cannot be read"),
        ] {
            let error = read("dev", text).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{error}");
        }
    }
}
