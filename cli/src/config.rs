//! `config`: what the configuration is, what is wrong with it, and where each value came from. Starts nothing.

mod docs;
mod init;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    failure::{Failure, USAGE},
    serve::{
        plan::{NO_TOKEN, Plan},
        settings::{Settings, SettingsArgs, Variables, schema},
    },
    terminal,
};

/// What `config` can be told.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

/// What is to be done with the configuration.
#[derive(Debug, Subcommand)]
enum Command {
    /// Write a first configuration; asks on a terminal for what flags do not give
    Init(init::InitArgs),
    /// Tell everything that is wrong with the configuration, line by line; exit code 2 if something is
    Check(LookArgs),
    /// Show each value in force and where it came from
    Show(LookArgs),
    /// Print the JSON schema of the file, for editors
    Schema,
    /// Print `docs/configuration.md`, which is made from the definition
    #[command(hide = true)]
    Docs,
}

/// Which configuration, and how it is told.
#[derive(Debug, Args)]
struct LookArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Which stage, instead of the configuration's: `production`, `qa`, `dev`
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

impl LookArgs {
    fn read(&self, variables: &Variables) -> Result<Settings, Failure> {
        Settings::read(&SettingsArgs { stage: self.stage.clone(), ..self.settings.clone() }, variables)
    }
}

/// Does it.
pub(crate) fn command(args: &ConfigArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        Command::Init(args) => init::command(args),
        Command::Check(args) => check(args),
        Command::Show(args) => show::command(args),
        Command::Schema => {
            terminal::say(&format!("{:#}", schema()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Docs => {
            terminal::draw(&docs::page());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(args: &LookArgs) -> Result<ExitCode, Failure> {
    let variables = Variables::of_process();
    let mut settings = args.read(&variables)?;
    if settings.is_for_aws_alone() {
        crate::cloud::judge(&mut settings);
    } else {
        judge(&mut settings, &variables);
    }
    let Settings { tree, path, problems, .. } = &settings;
    let errors = problems.iter().filter(|problem| problem.serious).count();
    let warnings = problems.iter().count() - errors;
    let path = path.as_deref();
    if args.json {
        let told: Vec<_> = problems.iter().map(|problem| problem.object(tree, path)).collect();
        terminal::say(&terminal::json(
            &json!({ "errors": errors, "warnings": warnings, "problems": told }).to_string(),
        ));
    } else {
        for problem in problems.iter() {
            let word = if problem.serious { "error" } else { "warning" };
            terminal::say(&format!("{word}: {}", problem.line(tree, path)));
        }
        terminal::say(&format!("{}: {}", named(&settings), counted(errors, warnings)));
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(USAGE) })
}

/// As the daemon will that is started with it.
fn judge(settings: &mut Settings, variables: &Variables) {
    let plan = Plan::of(settings, variables);
    if plan.is_some_and(|plan| plan.secrets.credentials.is_none()) {
        // Where the file is checked is often not where the daemon runs.
        settings.problems.warn(&[], NO_TOKEN);
    }
}

fn named(settings: &Settings) -> String {
    settings.path.as_ref().map_or_else(|| "configuration without a file".into(), |path| path.display().to_string())
}

fn counted(errors: usize, warnings: usize) -> String {
    let number = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => "nothing is wrong".into(),
        (0, _) => number(warnings, "warning"),
        (_, 0) => number(errors, "error"),
        (_, _) => format!("{}, {}", number(errors, "error"), number(warnings, "warning")),
    }
}
