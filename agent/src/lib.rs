//! The agent: parent of the official runner program on a runner's machine, PID 1 where that machine is a container.
//!
//! It asks the control plane what to be (*claim*), starts the runner, watches it, tells what it sees (*report*) and
//! ends the machine. It holds one promise above all: **a runner that executes a job is never stopped by it**, except
//! when the platform or a person asks for that.
//!
//! | module | what |
//! |---|---|
//! | `lifecycle` | the state machine: facts in, actions out. Pure; read it first |
//! | `run`, `inbox` | the loop that feeds it and performs its actions; how it hears of them |
//! | `process`, `proc_fs` | start, freeze, look at, kill and reap the runner's processes |
//! | `claim`, `plane`, `report` | what the two calls to the control plane mean, make, and repeat |
//! | `resolve`, `dns` | names to addresses without the C library's resolver |
//! | `config`, `reexec`, `task_dir` | how it starts: nothing secret left behind, never twice |
//! | `lines`, `console` | the runner's output and our own log |
//!
//! It must not hold control-plane logic, must not write a secret anywhere, and must not depend on anything else of
//! this workspace than `fleet`'s wire types.

mod claim;
mod config;
mod console;
mod dns;
mod exit;
mod inbox;
mod lifecycle;
mod lines;
mod plane;
mod proc_fs;
mod process;
mod reexec;
mod report;
mod resolve;
mod run;
mod task_dir;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::config::Config;
use crate::console::Log;

pub use crate::exit::code;

/// Runs the agent to its end. The only entry: the program `agent` and the command line's hidden subcommand call it.
///
/// `prefix` is what stands between the program's name and the agent's own arguments (`["agent"]` for `self-runners
/// agent`); the agent executes its own file again and must be found there the same way. `args` is what comes after.
/// The agent takes no arguments of its own; everything comes from the environment (`fleet::wire::env`).
///
/// On a good start this replaces the calling process, so call it before threads are started.
#[must_use]
pub fn main_with(prefix: &[&str], args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let code = match args.as_slice() {
        [] => reexec::replace_self(prefix),
        [marker] if marker == reexec::MARKER => configured(),
        [..] => {
            Log::new(false).say(format_args!("takes no arguments; it is configured by SELF_RUNNERS_* variables"));
            code::USAGE
        }
    };
    ExitCode::from(code)
}

/// The second life, with a clean environment and the configuration on stdin.
fn configured() -> u8 {
    let log = Log::new(false);
    match reexec::settle() {
        Ok(config) => start(config),
        Err(error) => {
            log.say(format_args!("cannot take over the configuration: {error}"));
            code::USAGE
        }
    }
}

fn start(config: Config) -> u8 {
    let log = Log::new(config.debug);
    let held = match config.task_dir.as_deref().map(task_dir::hold).transpose() {
        Ok(held) => held,
        Err(error) => {
            log.say(format_args!("{error}"));
            return error.code();
        }
    };
    let code = match run::run(config, log) {
        Ok(code) => code,
        Err(error) => {
            log.say(format_args!("cannot run: {error}"));
            code::SYSTEM
        }
    };
    // The lock means "this agent lives": it goes last.
    drop(held);
    code
}
