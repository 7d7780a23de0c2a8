//! What a person reads when the table cannot be used: what happened, and what to do about it.

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use controller::ports::{ErrorKind, PortError};
use fleet::ledger::RowError;

/// Knows the table's name and Region.
#[derive(Debug)]
pub(super) struct Words {
    table: String,
}

/// The other side wants fewer calls, or has a trouble of its own.
const LATER: [&str; 8] = [
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingError",
    "ThrottlingException",
    "TransactionInProgressException",
];

/// It does not let us in.
const DENIED: [&str; 6] = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
];

impl Words {
    pub(super) fn new(table: &str, region: Option<&str>) -> Self {
        Self { table: format!("`{table}` in {}", region.unwrap_or("no Region")) }
    }

    fn error(&self, kind: ErrorKind, text: &str) -> PortError {
        PortError::new(kind, format!("the DynamoDB table {}: {text}", self.table))
    }

    /// A call that failed.
    pub(super) fn failed<E>(&self, doing: &str, error: &SdkError<E>) -> PortError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let (kind, advice) = judge(error);
        let text = match (error.code(), error.message()) {
            (Some(code), message) => format!("{code}: {}", message.unwrap_or("no more is said")),
            (None, _) => all_of(error),
        };
        self.error(kind, &format!("cannot {doing}: {text}: {advice}"))
    }

    /// A transaction that was refused for this reason.
    pub(super) fn not_written(&self, code: &str) -> PortError {
        let (kind, advice) = judge_code(code);
        self.error(kind, &format!("cannot write: {code}: {advice}"))
    }

    /// A request that the SDK does not accept.
    pub(super) fn not_built(&self, error: &BuildError) -> PortError {
        self.error(ErrorKind::Invalid, &format!("a request cannot be made: {error}"))
    }

    /// It leaves parts of a batch undone again and again.
    pub(super) fn too_busy(&self) -> PortError {
        self.error(ErrorKind::Retry, "it is asked for more than it gives; try again")
    }

    /// More than one write can hold.
    pub(super) fn too_many(&self, rows: usize, most: usize) -> PortError {
        let text = format!(
            "a decision changes {rows} rows, {most} are the most of one transaction: decide fewer events at once"
        );
        self.error(ErrorKind::Invalid, &text)
    }

    /// A row that cannot be read.
    pub(super) fn unreadable(&self, error: &RowError) -> PortError {
        let text = format!(
            "it holds what this version cannot read: {error}. Start the version that wrote it, or delete the item; with \
             an empty table runners that live are adopted from the engine, nothing stops them, and GitHub is asked for \
             the queued jobs"
        );
        self.error(ErrorKind::Invalid, &text)
    }
}

fn judge<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> (ErrorKind, &'static str) {
    if let Some(code) = error.code() {
        return judge_code(code);
    }
    // Before a request leaves it is signed: without credentials it never does.
    let unsigned = matches!(error, SdkError::ConstructionFailure(_))
        || matches!(error, SdkError::DispatchFailure(failure) if failure.is_other() && failure.as_other().is_none());
    if unsigned {
        return (ErrorKind::Denied, "are there credentials, and is the Region set?");
    }
    (ErrorKind::Retry, "DynamoDB is not reached: look at the network, the Region and the endpoint")
}

/// An error with what it comes from.
fn all_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut from = error.source();
    while let Some(inner) = from {
        text = format!("{text}: {inner}");
        from = inner.source();
    }
    text
}

fn judge_code(code: &str) -> (ErrorKind, &'static str) {
    if LATER.contains(&code) {
        return (ErrorKind::Retry, "it is asked for more than it gives, or has a trouble of its own; try again");
    }
    if DENIED.contains(&code) {
        return (ErrorKind::Denied, "look at the credentials, and at what their role may do with this table");
    }
    match code {
        "ResourceNotFoundException" => {
            (ErrorKind::NotFound, "there is no such table: deploy the stage, or look at table name, account and Region")
        }
        "ValidationException" | "ValidationError" => {
            (ErrorKind::Invalid, "is it a table of this project, with the string keys pk and sk?")
        }
        _ => (ErrorKind::Retry, "try again"),
    }
}
