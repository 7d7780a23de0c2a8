//! CloudWatch Logs: what functions and machines wrote, for a person who looks.

use aws_sdk_cloudwatchlogs::{Client, types::FilteredLogEvent};
use controller::ports::{ErrorKind, PortError, PortResult};

use crate::{
    cloud::Cloud,
    heard::{self, Heard, refused},
};

/// Pages of one reading: a hundred megabytes.
const PAGES_MAX: usize = 100;

/// A line that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// CloudWatch's name for it, which no other line has; where it gives none, one made of the rest.
    pub id: String,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// The line.
    pub text: String,
}

/// Logs of an account and Region. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Logs {
    client: Client,
}

impl Logs {
    /// Those of a way to AWS. Talks to nobody.
    #[must_use]
    pub fn new(cloud: &Cloud) -> Self {
        Self { client: Client::new(cloud.config()) }
    }

    /// The lines of a group since a time, oldest first: of one stream, or of all. Empty where the stream is not there yet.
    ///
    /// # Errors
    /// `NotFound`: there is no such group. `Denied`, `Retry`.
    pub async fn lines(&self, group: &str, stream: Option<&str>, since_ms: u64) -> PortResult<Vec<Line>> {
        let (mut lines, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let ask = self.client.filter_log_events().log_group_name(group).set_next_token(token.take());
            let ask = ask.start_time(i64::try_from(since_ms).unwrap_or(i64::MAX));
            let page = ask.set_log_stream_names(stream.map(|name| vec![name.to_owned()])).send().await;
            let page = match page.map_err(|error| heard::hear(&error)) {
                Ok(page) => page,
                Err(Heard::Refused { code, message }) if code == NOT_FOUND && message.contains("stream") => break,
                Err(heard) => return Err(told(group, &heard)),
            };
            lines.extend(page.events().iter().map(line));
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => break,
            }
        }
        lines.sort_by_key(|line| line.at_ms);
        Ok(lines)
    }
}

/// The exception for a group or a stream that is not there.
const NOT_FOUND: &str = "ResourceNotFoundException";

fn line(event: &FilteredLogEvent) -> Line {
    let at_ms = event.timestamp().and_then(|at_ms| u64::try_from(at_ms).ok()).unwrap_or(0);
    let text = event.message().unwrap_or_default().trim_end().to_owned();
    let made = || format!("{}/{at_ms}/{text}", event.log_stream_name().unwrap_or_default());
    Line { id: event.event_id().map_or_else(made, str::to_owned), at_ms, text }
}

fn told(group: &str, heard: &Heard) -> PortError {
    match heard {
        Heard::Refused { code, .. } if code == NOT_FOUND => {
            PortError::new(ErrorKind::NotFound, format!("there is no log group {group}: was the stage deployed here?"))
        }
        Heard::Refused { .. } | Heard::NoCredentials(_) | Heard::Unknown(_) => {
            refused(&format!("read the log {group}"), "logs:FilterLogEvents", heard)
        }
    }
}
