//! The repository's own tools: `cargo xtask <command>`. One file a command and one line in the table below;
//! what a command does stays in its file. Nothing that is shipped depends on this crate.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people speaks on its terminal")]

mod bench;
mod dist;
mod docs;
mod fuzz;
mod sim;
mod tidy;

use std::process::ExitCode;

/// A command: its name, what it does in one line, and the function that is given the arguments after the name.
struct Command {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> ExitCode,
}

const COMMANDS: &[Command] = &[
    Command { name: "tidy", about: "check what the compiler does not: names, layers, links, sizes", run: tidy::run },
    Command { name: "sim", about: "run random worlds against the core and check its promises", run: sim::run_command },
    Command { name: "dist", about: "build what is deployed and published: functions, agent", run: dist::run },
    Command { name: "docs", about: "write the documents that are made from the code", run: docs::run },
    Command { name: "bench", about: "measure: `bench core`, `bench serve`", run: bench::run },
    Command { name: "fuzz", about: "send bent requests through the webhook's way in", run: fuzz::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        return usage();
    };
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (command.run)(rest),
        None => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: cargo xtask <command> [arguments]\n");
    for command in COMMANDS {
        eprintln!("  {:<8} {}", command.name, command.about);
    }
    ExitCode::from(2)
}
