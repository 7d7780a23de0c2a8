//! What AWS's errors mean, whatever the service: done, not done, or not known; and what to do where that is the same for all.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecs::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use controller::ports::{ErrorKind, PortError};

use crate::reach::{Place, Unreached};

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// AWS refused: nothing was done.
    Refused {
        /// Name of the exception.
        code: String,
        /// Its message.
        message: String,
    },
    /// The call never left, because nobody says who we are.
    NoCredentials(String),
    /// Whether it was done is not known.
    Unknown(String),
}

/// What an error of the SDK says.
pub(crate) fn hear<E>(error: &SdkError<E, HttpResponse>) -> Heard
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match (error, error.raw_response()) {
        (SdkError::ServiceError(service), _) => of_answer(service.err(), service.raw()),
        (_, Some(raw)) => Heard::Unknown(strange(raw)),
        (_, None) => unanswered(error),
    }
}

/// AWS's own words, if the answer has any.
fn of_answer(error: &impl ProvideErrorMetadata, raw: &HttpResponse) -> Heard {
    let message = error.message().unwrap_or_default().to_owned();
    // Older protocols put the service before the name.
    let code = error.code().map(|code| code.rsplit(['#', '.']).next().unwrap_or(code).to_owned());
    match (code, raw.status().as_u16()) {
        (Some(code), 400..500) => Heard::Refused { code, message },
        (Some(code), status) => Heard::Unknown(format!("AWS failed: {message} ({code}, HTTP {status})")),
        (None, _) => Heard::Unknown(strange(raw)),
    }
}

/// Of an answer that is not in AWS's words, as a proxy's page is. Its own words may be anything, so they are not shown.
fn strange(raw: &HttpResponse) -> String {
    let place = raw.extension::<Place>().map_or_else(String::new, |place| format!(" from {place}"));
    format!(
        "the answer{place} (HTTP {}) is none of AWS's: look at proxy and endpoint, or try again",
        raw.status().as_u16()
    )
}

/// Nobody answered, or nobody was asked.
fn unanswered(error: &(dyn std::error::Error + 'static)) -> Heard {
    let chain = || std::iter::successors(Some(error), |error| error.source());
    if let Some(cause) = chain().position(|cause| cause.is::<CredentialsError>()) {
        return Heard::NoCredentials(chain().nth(cause + 1).map(in_words).unwrap_or_default());
    }
    match chain().find(|cause| cause.is::<Unreached>()) {
        Some(unreached) => Heard::Unknown(unreached.to_string()),
        None => Heard::Unknown(in_words(error)),
    }
}

/// With this the SDK begins to show a request.
const REQUEST: &str = "to request `";

/// Where nobody even tried, the SDK says this.
const NO_PROVIDER: &str = "no credentials found in chain";

/// Before why one of many ways gave none.
const NOT_ENABLED: &str = "the credential provider was not enabled: ";

/// Before why a way failed.
const LOADING: &str = "an error occurred while loading credentials: ";

/// Of a profile.
const NOT_DEFINED: &str = "was not defined";

/// An error and its causes, each once. Not the SDK's own long form: that shows the answer's bytes, and a secret may be
/// among them; nor a cause that shows the request, as that of an endpoint which is no URL does.
fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let text = cause.to_string();
        let text = text.split_once(REQUEST).map_or(text.as_str(), |(before, _)| before).trim_end().to_owned();
        if !words.iter().any(|word| word.contains(&text)) {
            words.push(text);
        }
    }
    words.join(": ")
}

/// What it means where that is the same for all services; `None`: the service's own codes say it. `action` is the
/// permission that the call needs.
pub(crate) fn meaning(action: &str, heard: &Heard) -> Option<(ErrorKind, String)> {
    match heard {
        Heard::Unknown(why) => Some((ErrorKind::Retry, why.clone())),
        Heard::NoCredentials(cause) => Some((ErrorKind::Denied, no_credentials(cause))),
        Heard::Refused { code, message } => of_code(action, code, message.trim()),
    }
}

/// Why there are none, if something says it.
fn no_credentials(cause: &str) -> String {
    let next = "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or log in (`aws sso login`)";
    // Of all that were tried, a profile that is not there is what somebody got wrong.
    let of_chain = || cause.lines().find(|line| line.contains("Profile: ") && line.contains(NOT_DEFINED));
    let cause = if cause.contains(NO_PROVIDER) { of_chain().unwrap_or_default() } else { cause };
    let bare = |before| cause.rsplit_once(before).map(|(_, why)| why);
    let cause = bare(NOT_ENABLED).or_else(|| bare(LOADING)).unwrap_or(cause).trim().trim_end_matches(". Stderr:");
    if cause.is_empty() {
        return format!("there are no credentials for AWS: {next}");
    }
    format!("there are no credentials for AWS ({cause}): {next}")
}

/// A call that failed, in words. `doing` completes "cannot …", `action` is the permission that the call needs.
pub(crate) fn refused(doing: &str, action: &str, heard: &Heard) -> PortError {
    let (kind, why) = meaning(action, heard).unwrap_or_else(|| match heard {
        Heard::Refused { code, .. } if is_throttled(code) => (ErrorKind::Retry, "too many calls".to_owned()),
        Heard::Refused { code, message } => (ErrorKind::Invalid, format!("{message} ({code})")),
        Heard::NoCredentials(why) | Heard::Unknown(why) => (ErrorKind::Retry, why.clone()),
    });
    PortError::new(kind, format!("cannot {doing}: {why}"))
}

fn of_code(action: &str, code: &str, message: &str) -> Option<(ErrorKind, String)> {
    match code {
        "AccessDeniedException" | "AccessDenied" => {
            let missing = missing_action(message).unwrap_or(action);
            let why = format!("the permission {missing} is missing: allow it to our role ({message})");
            Some((ErrorKind::Denied, why))
        }
        "RequestTimeTooSkewed" | "RequestExpired" => Some((ErrorKind::Denied, wrong_clock(message))),
        "InvalidSignatureException" | "SignatureDoesNotMatch" if is_of_time(message) => {
            Some((ErrorKind::Denied, wrong_clock(message)))
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => {
            let why = format!("AWS does not accept our credentials ({message}): log in again, and look at the clock");
            Some((ErrorKind::Denied, why))
        }
        "BlockedException" => {
            Some((ErrorKind::Denied, format!("AWS has blocked the account: ask its support ({message})")))
        }
        _ => None,
    }
}

/// "Signature expired: 20261127T… is now earlier than 20261127T…", "Signature not yet current: …".
fn is_of_time(message: &str) -> bool {
    message.contains("Signature expired") || message.contains("Signature not yet current")
}

fn wrong_clock(message: &str) -> String {
    format!("this machine's clock is wrong ({message}): set it, as with `timedatectl set-ntp true`")
}

/// Whether AWS says that too much is asked for at a time.
pub(crate) fn is_throttled(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException" | "Throttling" | "RequestThrottled" | "RequestLimitExceeded" | "TooManyRequestsException"
    )
}

/// The action in "… is not authorized to perform: iam:PassRole on resource …".
fn missing_action(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("to perform: ")?;
    rest.split_whitespace().next().map(|action| action.trim_end_matches([',', '.']))
}
