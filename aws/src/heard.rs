//! What AWS's errors mean, whatever the service: done, not done, or not known; and what to do where that is the same for all.

use aws_sdk_ecs::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use controller::ports::{ErrorKind, PortError};

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
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    if let (Some(code), Some(service)) = (error.code(), error.as_service_error())
        && (400..500).contains(&status)
    {
        // Older protocols put the service before the name.
        let code = code.rsplit(['#', '.']).next().unwrap_or(code).to_owned();
        return Heard::Refused { code, message: service.message().unwrap_or_default().to_owned() };
    }
    let text = in_words(error);
    if matches!(error, SdkError::DispatchFailure(_)) && text.to_ascii_lowercase().contains("credential") {
        return Heard::NoCredentials(text);
    }
    Heard::Unknown(text)
}

/// With this the SDK begins to show a request.
const REQUEST: &str = "to request `";

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
        Heard::NoCredentials(_) => {
            let why =
                "there are no credentials for AWS: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or log in (`aws sso login`)";
            Some((ErrorKind::Denied, why.to_owned()))
        }
        Heard::Refused { code, message } => of_code(action, code, message.trim()),
    }
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
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
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
