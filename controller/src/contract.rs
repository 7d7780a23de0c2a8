//! Contract suites: what every adapter of a port must do, as functions that its tests call.
//!
//! They stand beside the ports because they are the ports' meaning. Each check gets its own fresh adapter, says in
//! words what is broken, and never looks inside. They must not know any adapter.
//!
//! | suite | for |
//! |---|---|
//! | [`store::all`], [`store::durable`] | [`crate::ports::Store`] |
//! | [`inbox::all`], [`inbox::durable`] | [`crate::ports::Inbox`] |
//! | [`engine::all`] | [`crate::ports::Compute`] |

pub mod engine;
pub mod facts;
pub mod inbox;
pub mod store;

use std::fmt;

use crate::ports::PortError;

/// A promise that an adapter does not keep, in words.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

/// What a check answers.
pub type Checked = Result<(), Broken>;

impl Broken {
    /// A broken promise.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }

    /// The same, with the check's name before it.
    fn of(name: &str, inner: &Self) -> Self {
        Self(format!("{name}: {}", inner.0))
    }
}

impl From<PortError> for Broken {
    fn from(error: PortError) -> Self {
        Self(format!("unexpected error ({:?}): {error}", error.kind))
    }
}

impl From<tokio::task::JoinError> for Broken {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(format!("a task ended: {error}"))
    }
}

/// Holds, or is broken in these words.
fn ensure(holds: bool, what: impl fmt::Display) -> Checked {
    if holds { Ok(()) } else { Err(Broken::new(what)) }
}

/// Both are the same.
fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, expected: &T) -> Checked {
    ensure(found == expected, format_args!("{what}: found {found:?}, expected {expected:?}"))
}

/// Runs one check and names it if it fails.
async fn run(name: &str, check: impl Future<Output = Checked>) -> Checked {
    Box::pin(check).await.map_err(|broken| Broken::of(name, &broken))
}

/// Runs checks, each on an adapter of its own.
macro_rules! run_each {
    ($make:expr, $($check:path),+ $(,)?) => {{
        $($crate::contract::run(stringify!($check), $check($make().await)).await?;)+
        Ok(())
    }};
}
use run_each;
