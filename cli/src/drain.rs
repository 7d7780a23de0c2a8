//! `drain`: nothing more is started, idle runners end, busy ones finish; until `drain --end`. Asks the living daemon or the
//! stage, which stores it.

use std::process::ExitCode;

use crate::{
    control::wire::DrainRequest,
    failure::Failure,
    picture::{ClassLine, Picture},
    source::{SourceArgs, person},
    table::count,
    terminal,
};

/// What `drain` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Only this class; without it all of them
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Lift the drain
    #[arg(long)]
    end: bool,
    /// The reason, for those who wait
    #[arg(long, value_name = "TEXT", conflicts_with = "end")]
    why: Option<String>,
}

/// Does it.
pub(crate) fn command(args: &DrainArgs) -> Result<ExitCode, Failure> {
    let source = args.source.open()?;
    let wish = DrainRequest { class: args.class.clone(), by: person(args.why.as_deref()) };
    if args.end {
        terminal::say(&source.drain(wish, true)?);
        return Ok(ExitCode::SUCCESS);
    }
    terminal::say(&source.drain(wish, false)?);
    let picture = Picture::take(&source)?;
    terminal::say(&what_is_left(&picture.classes(), args.class.as_deref()));
    Ok(ExitCode::SUCCESS)
}

/// Who still lives and waits, and how the drain ends.
fn what_is_left(classes: &[ClassLine], class: Option<&str>) -> String {
    let drained = || classes.iter().filter(|line| class.is_none_or(|name| line.name.as_str() == name));
    let live: usize = drained().map(|line| line.live).sum();
    let busy: usize = drained().map(|line| line.busy).sum();
    let queued: usize = drained().map(|line| line.queued).sum();
    let only = class.map_or_else(String::new, |name| format!(" --class {name}"));
    format!(
        "{} still live, {busy} of them at work; {} waiting. `self-runners drain{only} --end` lifts it",
        count(live, "runner"),
        count(queued, "job")
    )
}
