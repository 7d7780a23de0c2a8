//! The Docker engine on a real engine. `./test docker` starts one and runs this; alone it says that it did not run,
//! because containers on somebody's own engine are not a test's to make.
//!
//! | variable | what |
//! |---|---|
//! | `TEST_DOCKER_HOST` | the engine, `unix:///…` |
//! | `TEST_DOCKER_CONTROL` | a command that takes `stop` and `start` |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod confined;
mod ends;
mod lives;
mod refused;

use std::{future::Future, io::Write as _, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

/// Where the engine is.
pub(crate) const HOST: &str = "TEST_DOCKER_HOST";

/// What stops and starts it.
pub(crate) const CONTROL: &str = "TEST_DOCKER_CONTROL";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Some stop the engine under all others.
    arguments.test_threads = Some(1);
    if std::env::var_os(HOST).is_none() {
        // A closed stderr cannot be told.
        let _unheard = writeln!(
            std::io::stderr(),
            "NOT RUN: the Docker engine's tests need an engine: `./test docker` starts one and runs them ({HOST} is not set)"
        );
        return libtest_mimic::run(&arguments, Vec::new()).exit_code();
    }
    run(bench::prepare());
    libtest_mimic::run(&arguments, trials()).exit_code()
}

fn trials() -> Vec<Trial> {
    [confined::trials(), ends::trials(), lives::trials(), refused::trials()].into_iter().flatten().collect()
}

/// A test of its own runtime: what an engine left running ends with it.
pub(crate) fn trial<F>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        run(test());
        Ok(())
    })
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(future)
}
