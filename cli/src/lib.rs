//! The command line: where the adapters meet. One file (or folder) a command.
//!
//! | module | what it holds |
//! |---|---|
//! | `arguments` | what can be typed |
//! | [`demo`] | `demo`: the whole life of jobs on this machine, with a simulated GitHub |
//! | `practice` | `practice`: the simulated GitHub alone, for whoever tries `serve` |
//! | `serve` | `serve`: the daemon |
//! | `config` | `config`: what its configuration is and what is wrong with it |
//! | `cloud` | `deploy`, `destroy`, `doctor`, `logs`, `cost`, `secrets`, `template`: the deployment to AWS, in builds that have it |
//! | `control` | the socket on which commands ask the living daemon |
//! | `source` | whom a command asks: a daemon of this machine, or a stage on AWS |
//! | `picture` | what that knows, as of one moment |
//! | `status`, `jobs`, `runners`, `why` | parts of that picture |
//! | `runners`, `drain` | what a person wants of it |
//! | `subject`, `table`, `terminal` | what is asked about, and text for people |
//! | `setup` | `github setup`: registers a GitHub App |
//! | `webhook_send` | `webhook send`: a delivery by hand |
//! | [`failure`] | what a person reads when something fails, and the exit code |
//!
//! No decision about a job or a runner is made here: that is `fleet`'s.

mod arguments;
#[cfg(feature = "aws")]
mod cloud;
#[cfg(not(feature = "aws"))]
#[path = "cloud/left_out.rs"]
mod cloud;
mod cloud_args;
mod config;
mod control;
pub mod demo;
mod drain;
pub mod failure;
mod jobs;
mod log;
mod picture;
pub mod practice;
mod runners;
mod serve;
mod setup;
mod source;
mod status;
mod subject;
mod table;
mod terminal;
mod webhook_send;
mod why;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    arguments::{Cli, Command},
    failure::Failure,
};

/// The words of a usage error would show what was typed.
fn may_name_a_secret(args: &[String]) -> bool {
    args.windows(2).any(|words| words == ["secrets", "set"])
}

/// What is said instead.
const SECRET_TYPED: &str = "that is no use of `secrets set`; what was typed is not shown, because it may be the \
    secret. Write `self-runners secrets set NAME [--stage STAGE]`, NAME one of GITHUB_API_TOKEN, GITHUB_APP_PRIVATE_KEY, \
    GITHUB_WEBHOOK_SECRET, and give the value at the prompt or on stdin. If it was typed here, others could see it and the \
    shell remembers it: make a new one";

/// Runs the command line to its end.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    // The stand-in runner's programs are links to this executable: their name decides what they are.
    if let [argv0, rest @ ..] = args.as_slice()
        && let Some(code) = sim::standin::dispatch(argv0, rest)
    {
        return ExitCode::from(u8::try_from(code).unwrap_or(failure::FAILED));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { failure::USAGE } else { 0 };
            if code != 0 && may_name_a_secret(&args) {
                terminal::complain(SECRET_TYPED);
                return ExitCode::from(code);
            }
            // A closed terminal cannot be told that it is closed.
            let _unheard = error.print();
            return ExitCode::from(code);
        }
    };
    match run(cli.command) {
        Ok(code) if code == ExitCode::SUCCESS => written(),
        Ok(code) => code,
        Err(failure) => {
            terminal::complain(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

/// What cannot be read was not done: `template > FILE` on a full disk.
fn written() -> ExitCode {
    match terminal::unwritten() {
        None => ExitCode::SUCCESS,
        Some(why) => {
            terminal::complain(&format!("cannot write what was asked for: {why}"));
            ExitCode::from(failure::FAILED)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(args) => demo::command(&args),
        Command::Practice(args) => practice::command(&args),
        Command::Serve(args) => serve::command(&args),
        Command::Config(args) => config::command(&args),
        Command::Github(args) => setup::command(&args),
        Command::Why(args) => why::command(&args),
        Command::Status(args) => status::command(&args),
        Command::Jobs(args) => jobs::command(&args),
        Command::Runners(args) => runners::command(&args),
        Command::Drain(args) => drain::command(&args),
        Command::Deploy(args) => cloud::deploy(&args),
        Command::Destroy(args) => cloud::destroy(&args),
        Command::Doctor(args) => cloud::doctor(&args),
        Command::Logs(args) => cloud::logs(&args),
        Command::Cost(args) => cloud::cost(&args),
        Command::Secrets(args) => cloud::secrets(&args),
        Command::Template(args) => cloud::template(&args),
        Command::Webhook(args) => webhook_send::command(&args),
        Command::Agent { args } => Ok(agent::main_with(&["agent"], args)),
    }
}
