//! What a person reads when the server cannot be used: what happened, and what to do about it. Never the URL, which may
//! hold a password: only host and port.

use controller::ports::{ErrorKind, PortError};
use redis::{ConnectionInfo, RedisError};

/// Knows the server's address.
#[derive(Debug)]
pub(super) struct Words {
    address: String,
}

/// A URL that is none. It is not repeated.
pub(super) fn invalid_url(error: &RedisError) -> PortError {
    let what = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    let text = format!(
        "the URL of Valkey cannot be used ({what}): write valkeys://user:password@host:port (TLS) or valkey://host:port, \
         with what is special in user and password percent-encoded"
    );
    PortError::new(ErrorKind::Invalid, text)
}

impl Words {
    pub(super) fn of(info: &ConnectionInfo) -> Self {
        Self { address: info.addr().to_string() }
    }

    /// A call that failed.
    pub(super) fn failed(&self, error: &RedisError) -> PortError {
        let (kind, advice) = judge(error);
        PortError::new(kind, format!("Valkey at {}: {error}: {advice}", self.address))
    }

    /// Something that cannot be read.
    pub(super) fn damaged(&self, what: &str) -> PortError {
        let text = format!("Valkey at {} holds what this version cannot read: {what}", self.address);
        PortError::new(ErrorKind::Invalid, text)
    }
}

/// Whether the server does not take user and password.
pub(super) fn refuses(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::AuthenticationFailed || ["NOAUTH", "WRONGPASS"].contains(&code(error).as_str())
}

fn judge(error: &RedisError) -> (ErrorKind, &'static str) {
    use redis::ErrorKind as Kind;
    let code = code(error);
    let is = |codes: &[&str]| codes.contains(&code.as_str());
    if refuses(error) {
        return (ErrorKind::Denied, "it refuses user and password: look at the URL, or at the secret with them");
    }
    if is(&["NOPERM"]) {
        return (ErrorKind::Denied, "its user may not do that: allow it all commands on the keys {self-runners:*");
    }
    if is(&["WRONGTYPE"]) {
        let advice = "another program uses its keys: give this stage a server or a database of its own";
        return (ErrorKind::Invalid, advice);
    }
    if error.kind() == Kind::InvalidClientConfig {
        return (ErrorKind::Invalid, "look at the URL");
    }
    let advice = match code.as_str() {
        "OOM" => "its memory is full: give it more",
        "MISCONF" => "it cannot write to its disk: look at its log",
        _ if error.is_io_error() => "is it up, is the address right, and does its firewall let us in?",
        _ => "try again; if it goes on, look at its log",
    };
    (ErrorKind::Retry, advice)
}

/// The server's word for what is wrong; of several questions asked at once, the first one's.
fn code(error: &RedisError) -> String {
    let of_pipeline = || error.clone().into_server_errors()?.first().map(|(_, error)| error.code().to_owned());
    error.code().map(str::to_owned).or_else(of_pipeline).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_not_repeated() {
        for url in ["http://user:s3cr3t@host", "valkey://user:s3cr3t@host:port", "s3cr3t"] {
            let error = invalid_url(&redis::Client::open(url).unwrap_err());
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert!(!error.message.contains("s3cr3t") && error.message.contains("valkeys://"), "{error}");
        }
    }
}
