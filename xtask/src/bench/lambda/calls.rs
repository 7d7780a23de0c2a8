//! What the functions are called with.

use serde_json::{Value, json};

/// A request of an HTTP API, payload format 2.0, from the bytes of an HTTP request.
pub(super) fn request(bytes: &[u8]) -> Option<String> {
    let (head, body) = std::str::from_utf8(bytes).ok()?.split_once("\r\n\r\n")?;
    let (first, headers) = head.split_once("\r\n")?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let headers: serde_json::Map<String, Value> = headers
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.into()))
        .collect();
    let http = json!({
        "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "140.82.115.1", "userAgent": "GitHub-Hookshot",
    });
    let context = json!({
        "accountId": "123456789012", "apiId": "abc", "domainName": "abc.execute-api.eu-central-1.amazonaws.com",
        "domainPrefix": "abc", "http": http, "requestId": "id", "routeKey": "$default", "stage": "$default",
        "time": "12/Mar/2026:19:03:58 +0000", "timeEpoch": 1_773_342_238_000_u64,
    });
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "requestContext": context, "body": body, "isBase64Encoded": false,
    });
    Some(event.to_string())
}

/// A batch of a queue.
pub(super) fn batch(bodies: &[String]) -> String {
    let record = |(n, body): (usize, &String)| {
        json!({
            "messageId": format!("m{n}"), "receiptHandle": "r", "body": body, "attributes": {}, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:q", "awsRegion": "eu-central-1",
        })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() }).to_string()
}
