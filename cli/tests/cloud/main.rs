//! A stage on a local AWS, deployed by the program: CloudFormation makes it, the functions are the real ones as they are
//! deployed, ECS starts real containers, GitHub is the simulated one over HTTP. `./test cloud` starts what it needs and runs
//! this; alone it says that it did not run.
//!
//! | variable | what |
//! |---|---|
//! | `TEST_MINISTACK` | the local AWS |
//! | `TEST_DOCKER_HOST` | the engine that its ECS uses, `unix:///…` |
//! | `TEST_VALKEY_SERVER` | a Valkey for the stage that keeps its state there |
//! | `TEST_ARTIFACTS` | the functions' code, as `cargo xtask dist` makes it |
//!
//! Where the local AWS is not AWS, the tests supply what is missing, and no more: it sends no "ECS Task State Change"
//! events, its API has no address that containers reach, and its scheduler is not waited for ([`gap`]).
//!
//! With `PLAYGROUND` set to a folder nothing is tested: a person uses the account by hand ([`playground`]).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod gap;
mod meter;
mod permissions;
mod place;
mod playground;
mod site;
mod stories;

use std::{io::Write as _, process::ExitCode};

use libtest_mimic::Arguments;

/// What all of it needs.
const VARIABLES: [&str; 4] = ["TEST_MINISTACK", "TEST_DOCKER_HOST", "TEST_VALKEY_SERVER", "TEST_ARTIFACTS"];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share one account.
    arguments.test_threads = Some(1);
    if let Some(missing) = VARIABLES.iter().find(|name| std::env::var_os(name).is_none()) {
        // A closed stderr cannot be told.
        let _unheard = writeln!(
            std::io::stderr(),
            "NOT RUN: the stories on a local AWS: `./test cloud` starts one and runs them ({missing} is not set)"
        );
        return libtest_mimic::run(&arguments, Vec::new()).exit_code();
    }
    if std::env::var_os("PLAYGROUND").is_some() {
        playground::stay();
    }
    let conclusion = libtest_mimic::run(&arguments, stories::trials());
    place::end_all();
    conclusion.exit_code()
}
