//! One HTTP POST to whoever takes webhooks, in plain HTTP/1.1.
//!
//! So small that no client library, and no TLS provider, has to be installed for the loopback address. It reads the
//! status and nothing more, as GitHub's record of a delivery does.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the receiver may take (FACTS §1: 10 s).
const ANSWER_WITHIN_MS: u64 = 10_000;
/// Bytes of the status line, at most.
const STATUS_LINE_MAX: usize = 1_024;

/// Posts; the status of the answer, 0 if there was none in time.
pub(super) async fn post(url: &str, headers: &[(&str, String)], body: &[u8]) -> u16 {
    let exchange = exchange(url, headers, body);
    timeout(Duration::from_millis(ANSWER_WITHIN_MS), exchange).await.ok().flatten().unwrap_or(0)
}

async fn exchange(url: &str, headers: &[(&str, String)], body: &[u8]) -> Option<u16> {
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut stream = TcpStream::connect(on_this_machine(&address)).await.ok()?;
    let mut head = format!("POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body).await.ok()?;
    read_status(&mut stream).await
}

/// Names below `localhost` are this machine (RFC 6761 §6.3), which not each resolver knows: a local AWS gives its APIs such.
fn on_this_machine(address: &str) -> &str {
    address.find(".localhost:").map_or(address, |dot| &address[dot + 1..])
}

async fn read_status(stream: &mut TcpStream) -> Option<u16> {
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < STATUS_LINE_MAX {
        if stream.read_buf(&mut line).await.ok()? == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&line);
    text.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()
}
