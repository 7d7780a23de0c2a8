//! `cargo xtask bench core|serve|lambda`: figures, as tables for people and as JSON. Nothing is asserted about time here.

mod core;
mod lambda;
mod payload;
mod serve;
mod table;
mod usage;

use std::{path::PathBuf, process::ExitCode};

use self::table::Table;

const USAGE: &str = "usage: cargo xtask bench core [--json]
       cargo xtask bench serve [--json] [--quick] [PART…]
       cargo xtask bench lambda [--json] [--quick] [--dist DIR] [--valkey PATH] [--peer MODULE]

  core      what a decision costs, and whether that grows with what waits and lives
  serve     the daemon as it is shipped, from outside, on two cores of this machine, over loopback
            parts, all unless named: latency burst acks memory
  lambda    the functions as they are deployed, behind the Lambda Runtime API
            --dist    where the zips are; else dist/x86_64
            --valkey  a `valkey-server`, for the functions with a store
            --peer    a peer's webhook handler, a module for Node.js, beside them
  --json    one JSON object instead of tables
  --quick   little of everything: shows that it runs, its figures mean nothing";

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if let Some(("lambda", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return run_lambda(rest);
    }
    let (flags, words): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|it| it.starts_with('-'));
    if flags.iter().any(|flag| !["--json", "--quick"].contains(flag)) {
        return usage();
    }
    let json = flags.contains(&"--json");
    match words.split_first() {
        Some((&"core", [])) => show(&[core::table()], json),
        Some((&"serve", parts)) => match serve::tables(parts, flags.contains(&"--quick")) {
            Ok(Some(tables)) => show(&tables, json),
            Ok(None) => usage(),
            Err(what) => {
                eprintln!("bench serve: {what}");
                ExitCode::FAILURE
            }
        },
        _ => usage(),
    }
}

fn run_lambda(arguments: &[String]) -> ExitCode {
    let mut settings = lambda::Settings { dist: "dist/x86_64".into(), valkey: None, peer: None, quick: false };
    let (mut json, mut rest) = (false, arguments.iter());
    while let Some(argument) = rest.next() {
        match (argument.as_str(), rest.as_slice().first()) {
            ("--json", _) => json = true,
            ("--quick", _) => settings.quick = true,
            (name @ ("--dist" | "--valkey" | "--peer"), Some(path)) => {
                let path = PathBuf::from(path);
                match name {
                    "--dist" => settings.dist = path,
                    "--valkey" => settings.valkey = Some(path),
                    _ => settings.peer = Some(path),
                }
                rest.next();
            }
            _ => return usage(),
        }
    }
    match lambda::table(&settings) {
        Ok(table) => show(&[table], json),
        Err(what) => {
            eprintln!("bench lambda: {what}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn show(tables: &[Table], json: bool) -> ExitCode {
    if json {
        println!("{}", table::json(tables));
    } else {
        tables.iter().for_each(|table| println!("{table}"));
    }
    ExitCode::SUCCESS
}
