//! The program `self-runners`. It only hands over to the library, so that tests use the same parts.

use std::process::ExitCode;

fn main() -> ExitCode {
    self_runners::main()
}
