//! The queue: batches, delays, and messages that are refused one by one.

use aws::queue::{EventQueue, Letter};
use controller::ports::ErrorKind;
use fleet::event::Event;
use serde_json::{Value, json};

use crate::small::{Service, error};

const URL: &str = "https://sqs.eu-west-1.amazonaws.com/1/events";

fn all(_: &str, body: &Value) -> Result<Value, Value> {
    let sent = body["Entries"].as_array().unwrap().iter();
    let sent = sent.map(|one| json!({"Id": one["Id"], "MessageId": "m", "MD5OfMessageBody": "0"}));
    Ok(json!({"Successful": sent.collect::<Vec<_>>(), "Failed": []}))
}

#[tokio::test]
async fn events_are_sent_ten_at_a_time_and_can_be_read_again() {
    let (service, cloud) = Service::new(all).await;
    EventQueue::new(&cloud, URL).append(&vec![Event::Balance; 23]).await.unwrap();
    let calls = service.calls();
    let sizes: Vec<usize> = calls.iter().map(|(_, body)| body["Entries"].as_array().unwrap().len()).collect();
    assert_eq!((calls[0].0.as_str(), sizes), ("SendMessageBatch", vec![10, 10, 3]));
    let entry = &calls[0].1["Entries"][0];
    assert_eq!((&calls[0].1["QueueUrl"], &entry["DelaySeconds"]), (&json!(URL), &json!(0)));
    assert_eq!(Letter::read("dev", entry["MessageBody"].as_str().unwrap()).unwrap(), Letter::Event(Event::Balance));
}

#[tokio::test]
async fn a_wake_up_is_delayed_by_a_quarter_of_an_hour_at_the_most() {
    let (service, cloud) = Service::new(all).await;
    let queue = EventQueue::new(&cloud, URL);
    for (due_ms, delay_s) in [(0, 0), (1_000, 0), (1_001, 1), (61_000, 60), (10_000_000, 900)] {
        queue.wake(due_ms, 1_000).await.unwrap();
        let (_, body) = service.calls().pop().unwrap();
        assert_eq!(body["Entries"][0]["DelaySeconds"], delay_s, "{due_ms}");
        assert_eq!(
            Letter::read("dev", body["Entries"][0]["MessageBody"].as_str().unwrap()).unwrap(),
            Letter::Wake(due_ms)
        );
    }
}

#[tokio::test]
async fn an_answer_with_refused_messages_is_a_failure() {
    let (_, cloud) = Service::new(|_, _| {
        let failed = json!({"Id": "1", "SenderFault": false, "Code": "InternalError", "Message": "later"});
        Ok(json!({"Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "0"}], "Failed": [failed]}))
    })
    .await;
    let error = EventQueue::new(&cloud, URL).append(&[Event::Balance, Event::Balance]).await.unwrap_err();
    assert!(error.kind == ErrorKind::Retry && error.message.contains("1 of 2 messages"), "{error}");
}

#[tokio::test]
async fn a_queue_that_is_not_there_says_what_to_do() {
    let (_, cloud) = Service::new(|_, _| Err(error("com.amazonaws.sqs#QueueDoesNotExist"))).await;
    let error = EventQueue::new(&cloud, URL).append(&[Event::Balance]).await.unwrap_err();
    assert!(error.kind == ErrorKind::NotFound && error.message.contains("deploy` again"), "{error}");
}
