//! `status`: what a daemon or a stage knows and does, on one screen. Changes nothing.

mod facts;
mod screen;

use std::{
    io::{IsTerminal as _, stdout},
    process::ExitCode,
    thread,
    time::Duration,
};

use crate::{failure::Failure, picture::Picture, source::SourceArgs, terminal};

/// What `status` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Go on, each second, until Ctrl-C; on a terminal redrawn, else a line for each change
    #[arg(long)]
    watch: bool,
    /// One JSON object instead of tables (docs/commands.md); with --watch one each second
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub(crate) fn command(args: &StatusArgs) -> Result<ExitCode, Failure> {
    if args.watch {
        return watch(args);
    }
    let mut picture = Picture::take(&args.source.open()?)?;
    if args.json {
        terminal::say(&terminal::json(&facts::Facts::of(&picture).json()));
    } else {
        if let Some(caveat) = picture.caveat() {
            terminal::complain(&caveat);
        }
        terminal::say(screen::whole(&mut picture).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Until nobody reads any more. A Ctrl-C ends the process as usual.
fn watch(args: &StatusArgs) -> Result<ExitCode, Failure> {
    let redraws = stdout().is_terminal() && !args.json;
    let mut told = String::new();
    let source = args.source.open()?;
    loop {
        let mut picture = Picture::take(&source)?;
        let text = if args.json {
            terminal::json(&facts::Facts::of(&picture).json()) + "\n"
        } else if redraws {
            format!("{HOME}{}", terminal::lines(&screen::fitted(&mut picture, terminal::size())))
        } else {
            let line = screen::line(&picture);
            if line == told { String::new() } else { format!("{}  {line}\n", terminal::utc(picture.now_ms)) }
        };
        if !redraws && !args.json {
            told = screen::line(&picture);
        }
        if !terminal::draw(&text) {
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep(EACH);
    }
}

/// The cursor goes to the first line, and what stood there is taken away.
const HOME: &str = "\x1b[H\x1b[2J";

/// Between two looks.
const EACH: Duration = Duration::from_secs(1);
