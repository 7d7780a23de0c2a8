//! The stores on real servers, which this starts for itself: `./test valkey dynamo` fetches them and runs this. Where a
//! server's program is not named, its tests say that they did not run.
//!
//! | variable | what |
//! |---|---|
//! | `TEST_VALKEY_SERVER` | the program `valkey-server` (or `redis-server`) |
//! | `TEST_MINISTACK` | the program `ministack`, a local AWS |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dynamo;
mod server;
mod stories;
mod valkey;
mod views;
mod workers;

use std::{future::Future, io::Write as _, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (variable, step, of) in
        [("TEST_VALKEY_SERVER", "valkey", valkey::trials()), ("TEST_MINISTACK", "dynamo", dynamo::trials())]
    {
        match std::env::var_os(variable) {
            Some(_) => trials.extend(of),
            None => not_run(variable, step),
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    server::end_all();
    conclusion.exit_code()
}

fn not_run(variable: &str, step: &str) {
    // A closed stderr cannot be told.
    let _unheard = writeln!(
        std::io::stderr(),
        "NOT RUN: the tests of {step}: `./test {step}` fetches a server and runs them ({variable} is not set)"
    );
}

/// Tells a person who asked with `--nocapture`.
pub(crate) fn say(text: impl std::fmt::Display) {
    // A closed stdout cannot be told.
    let _unheard = writeln!(std::io::stdout(), "{text}");
}

/// A test of its own runtime: what it leaves running ends with it.
pub(crate) fn trial<F>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        runtime.block_on(test());
        Ok(())
    })
}
