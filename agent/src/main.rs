//! The program `agent`: entrypoint of a runner's machine.
//!
//! It only hands over to the library, because the command line carries the same agent as a hidden subcommand.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::main_with(&[], std::env::args_os().skip(1))
}
