//! The log: to stderr, readable or as JSON lines. ERROR means that a person must act.

use std::io::{IsTerminal as _, stderr};

use clap::ValueEnum;
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

use crate::failure::Failure;

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Environment variable with the filter: `debug`, or `warn,controller=debug`.
const FILTER: &str = "SELF_RUNNERS_LOG";

/// What is logged unless told otherwise.
const USUAL: &str = "info";

/// Begins logging.
pub(crate) fn begin(format: LogFormat) -> Result<(), Failure> {
    let wanted = std::env::var(FILTER).unwrap_or_else(|_| USUAL.to_owned());
    let filter: Targets = wanted.parse().map_err(|_| {
        Failure::usage(format!("{FILTER}=`{wanted}` is no filter: write `debug`, or `warn,controller=debug`"))
    })?;
    let log = fmt::layer().with_writer(stderr);
    let log = match format {
        LogFormat::Text => log.with_ansi(stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    registry().with(log.with_filter(filter)).init();
    Ok(())
}
