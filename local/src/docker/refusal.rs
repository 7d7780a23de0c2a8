//! What the engine's errors mean to a caller, in words that say what to do.

use bollard::errors::Error;
use controller::ports::{ErrorKind, PortError};

/// The status that the engine answered with; `None`: no answer, so whether it was done is not known.
pub(super) fn status(error: &Error) -> Option<u16> {
    if let Error::DockerResponseServerError { status_code, .. } = error { Some(*status_code) } else { None }
}

/// Whether the engine said that there is no such thing.
pub(super) fn is_missing(error: &Error) -> bool {
    status(error) == Some(NOT_FOUND)
}

/// An error of the engine at `host` while it was asked for something.
pub(super) fn told(host: &str, doing: &str, error: &Error) -> PortError {
    if let Error::DockerResponseServerError { status_code, message } = error {
        return answered(doing, *status_code, message.trim());
    }
    // The engine's own words, in the middle of an answer.
    if let Error::DockerStreamError { error } = error {
        return answered(doing, SERVER_ERROR, error.trim());
    }
    unanswered(host, doing, error)
}

fn answered(doing: &str, status: u16, message: &str) -> PortError {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let (kind, advice) = if says(&["no space left", "disk quota"]) {
        (ErrorKind::Capacity, ": free space where Docker keeps its data (`docker system df`)")
    } else if says(&["cannot allocate memory", "too many open files", "no available IPv4", "resource temporarily"]) {
        (ErrorKind::Capacity, ": the machine has no room for one more container: lower the limit of runners")
    } else {
        match status {
            BAD_REQUEST => (ErrorKind::Invalid, ": check the class and [engine] in the configuration"),
            UNAUTHORIZED | FORBIDDEN => (ErrorKind::Denied, ": the engine does not let us"),
            NOT_FOUND => (ErrorKind::NotFound, ""),
            CONFLICT => (ErrorKind::Conflict, ""),
            _otherwise => (ErrorKind::Retry, ""),
        }
    };
    PortError::new(kind, format!("Docker cannot {doing}: {message}{advice}"))
}

fn unanswered(host: &str, doing: &str, error: &Error) -> PortError {
    let cause = cause(error);
    let advice = if cause.contains("ermission denied") {
        "let the user of the daemon use Docker (`usermod -aG docker USER`, then log in again)"
    } else if matches!(error, Error::RequestTimeoutError) {
        "it hangs: look at `journalctl -u docker`; restart it if it does not come back"
    } else {
        "start it (`systemctl start docker`), or set `host` below [engine]"
    };
    PortError::retry(format!("cannot {doing}: the Docker engine at {host} does not answer ({cause}): {advice}"))
}

/// The innermost reason: the operating system's words say more than the client's.
fn cause(error: &Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    // This one shows its inner error, but does not name it as its source.
    if let Error::HyperLegacyError { err } = error {
        inner = err;
    }
    while let Some(deeper) = inner.source() {
        inner = deeper;
    }
    inner.to_string()
}

const BAD_REQUEST: u16 = 400;
const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;
const SERVER_ERROR: u16 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status_code: u16, message: &str) -> ErrorKind {
        let error = Error::DockerResponseServerError { status_code, message: message.into() };
        told("unix:///run/docker.sock", "create the container a.1", &error).kind
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(kind(400, "invalid reference format"), ErrorKind::Invalid);
        assert_eq!(kind(404, "No such image: x:latest"), ErrorKind::NotFound);
        assert_eq!(kind(409, "name is in use"), ErrorKind::Conflict);
        assert_eq!(kind(500, "something"), ErrorKind::Retry);
        assert_eq!(kind(500, "write /var/lib/docker/x: no space left on device"), ErrorKind::Capacity);
        assert_eq!(kind(500, "failed to create shim task: cannot allocate memory: unknown"), ErrorKind::Capacity);
    }

    #[test]
    fn no_answer_says_what_to_start() {
        let error = Error::SocketNotFoundError("/run/docker.sock".into());
        let told = told("unix:///run/docker.sock", "list", &error);
        assert_eq!(told.kind, ErrorKind::Retry);
        assert!(told.message.contains("systemctl start docker"), "{}", told.message);
    }
}
