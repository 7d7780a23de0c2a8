//! The real daemon with runners in containers, on a real Docker engine: jobs from their webhook to their end. `./test
//! docker` starts an engine and runs this; alone it says that it did not run, because containers on somebody's own
//! engine are not a test's to make.
//!
//! | variable | what |
//! |---|---|
//! | `TEST_DOCKER_HOST` | the engine, `unix:///…` |
//! | `TEST_DOCKER_CONTROL` | a command that takes `stop` and `start` |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod newcomer;
mod stage;
mod stories;

use std::{io::Write as _, process::ExitCode};

use libtest_mimic::Arguments;

/// Where the engine is.
pub(crate) const HOST: &str = "TEST_DOCKER_HOST";

/// What stops and starts it.
pub(crate) const CONTROL: &str = "TEST_DOCKER_CONTROL";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One of them stops the engine under all others.
    arguments.test_threads = Some(1);
    if std::env::var_os(HOST).is_none() {
        // A closed stderr cannot be told.
        let _unheard = writeln!(
            std::io::stderr(),
            "NOT RUN: the stories in containers need an engine: `./test docker` starts one and runs them ({HOST} is not set)"
        );
        return libtest_mimic::run(&arguments, Vec::new()).exit_code();
    }
    libtest_mimic::run(&arguments, stories::trials()).exit_code()
}
