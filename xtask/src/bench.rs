//! `cargo xtask bench core|serve`: figures, as tables for people and as JSON. Nothing is asserted about time here.

mod core;
mod serve;
mod table;

use std::process::ExitCode;

use self::table::Table;

const USAGE: &str = "usage: cargo xtask bench core [--json]
       cargo xtask bench serve [--json] [--quick] [PART…]

  core      what a decision costs, and whether that grows with what waits and lives
  serve     the daemon as it is shipped, from outside, on two cores of this machine, over loopback
            parts, all unless named: latency burst acks memory
  --json    one JSON object instead of tables
  --quick   little of everything: shows that it runs, its figures mean nothing";

pub(crate) fn run(arguments: &[String]) -> ExitCode {
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
