//! Sending a delivery as GitHub does, for whoever tries a receiver: signed, once, no redirect followed.

use std::{net::SocketAddr, time::Duration};

use controller::ports::{ErrorKind, PortError, PortResult, Secret};
use reqwest::{Client, Url, redirect};

use super::{DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER, sign};
use crate::tls;

/// GitHub waits so long for an answer (FACTS §1).
const WITHIN: Duration = Duration::from_secs(10);

/// Of an answer so much is read: ours are some hundred bytes.
const ANSWER_MAX_BYTES: usize = 64 * 1_024;

/// A delivery to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The kind of event.
    pub event: String,
    /// The GUID.
    pub delivery: String,
    /// Whether the JSON goes as the `payload` of a form, as GitHub's other content type has it.
    pub form: bool,
    /// The JSON.
    pub json: String,
}

/// What the receiver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Body, shortened.
    pub body: String,
}

impl Outgoing {
    /// The headers and the body, as GitHub sends them.
    pub fn request(&self, secret: &Secret) -> (Vec<(&'static str, String)>, Vec<u8>) {
        let (content_type, body) = if self.form {
            ("application/x-www-form-urlencoded", format!("payload={}", form_encoded(&self.json)))
        } else {
            ("application/json", self.json.clone())
        };
        let headers = vec![
            ("user-agent", concat!("GitHub-Hookshot/self-runners-", env!("CARGO_PKG_VERSION")).to_owned()),
            ("accept", "*/*".to_owned()),
            ("content-type", content_type.to_owned()),
            (EVENT_HEADER, self.event.clone()),
            (DELIVERY_HEADER, self.delivery.clone()),
            (SIGNATURE_HEADER, sign(secret, body.as_bytes())),
        ];
        (headers, body.into_bytes())
    }

    /// Signs and sends it.
    ///
    /// # Errors
    /// The address is none, or nobody answered.
    pub async fn post(&self, url: &str, secret: &Secret) -> PortResult<Reply> {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| invalid("it is no URL: write http://127.0.0.1:8080/webhook".into()))?;
        let (headers, body) = self.request(secret);
        let mut request = client(&url)?.post(url).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(|error| unanswered(&error))?;
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| unanswered(&error))? {
            bytes.extend(piece.iter().take(ANSWER_MAX_BYTES.saturating_sub(bytes.len())));
        }
        Ok(Reply { status: response.status().as_u16(), body: String::from_utf8_lossy(&bytes).trim().to_owned() })
    }
}

fn client(url: &Url) -> PortResult<Client> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls::config(None)?)
        .timeout(WITHIN)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never());
    // Whoever tries a receiver on this machine means this machine.
    let host = url.host_str().unwrap_or_default();
    let is_named_local = host.ends_with(".localhost");
    if is_named_local || host == "localhost" || host.starts_with("127.") || host == "[::1]" {
        builder = builder.no_proxy();
    }
    // RFC 6761: such names lead to this machine; not each resolver knows. A local AWS gives its APIs such ones.
    if is_named_local {
        builder = builder.resolve(host, SocketAddr::from(([127, 0, 0, 1], url.port_or_known_default().unwrap_or(80))));
    }
    builder.build().map_err(|error| invalid(format!("no HTTP client: {error}")))
}

fn invalid(message: String) -> PortError {
    PortError::new(ErrorKind::Invalid, message)
}

/// The innermost cause says what a person can mend; the outer ones repeat the address.
fn unanswered(error: &reqwest::Error) -> PortError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let seconds = WITHIN.as_secs();
    PortError::retry(if error.is_timeout() { format!("no answer within {seconds} s") } else { cause.to_string() })
}

fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            other => {
                encoded.push('%');
                for digit in [other >> 4, other & 15] {
                    encoded.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
                }
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Webhook, parse, verify};

    #[test]
    fn what_is_sent_is_what_is_received() {
        let secrets = [Secret::new("s")];
        for form in [false, true] {
            let json = r#"{"hook_id": 1, "zen": "a+b é"}"#.to_owned();
            let outgoing = Outgoing { event: "ping".into(), delivery: "g".into(), form, json };
            let (headers, body) = outgoing.request(&secrets[0]);
            let header = |name: &str| headers.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str());
            assert_eq!(verify(&secrets, header(SIGNATURE_HEADER), &body), Ok(()));
            let read = parse(header("content-type"), header(EVENT_HEADER), &body);
            assert_eq!(read, Ok(Webhook::Ping { hook_id: 1 }), "{form}");
        }
    }
}
