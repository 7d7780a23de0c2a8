//! What can be typed. Shapes only; each command checks and uses its own.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::{
    cloud_args::{CostArgs, DeployArgs, DestroyArgs, DoctorArgs, LogsArgs, SecretsArgs, TemplateArgs},
    config::ConfigArgs,
    demo::DemoArgs,
    drain::DrainArgs,
    jobs::JobsArgs,
    practice::PracticeArgs,
    runners::RunnersArgs,
    serve::ServeArgs,
    setup::GitHubArgs,
    status::StatusArgs,
    webhook_send::WebhookArgs,
    why::WhyArgs,
};

/// Short-lived machines for GitHub Actions jobs: one job, one runner, then nothing.
#[derive(Debug, Parser)]
#[command(name = "self-runners", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole life of some jobs on this machine, with a simulated GitHub: offline, in seconds
    Demo(DemoArgs),
    /// Run a simulated GitHub alone, to practise `serve` with
    Practice(PracticeArgs),
    /// Serve the jobs of your owners and repositories with runners on this machine
    Serve(ServeArgs),
    /// Write a configuration, check it, or show each value in force and where it came from
    Config(ConfigArgs),
    /// Set up what is needed at GitHub
    Github(GitHubArgs),
    /// Tell why a job waits, was ignored, or ended as it did
    Why(WhyArgs),
    /// Show what a daemon knows and does, on one screen
    Status(StatusArgs),
    /// Show the jobs that a daemon knows
    Jobs(JobsArgs),
    /// Show the runners that a daemon knows, or stop one
    Runners(RunnersArgs),
    /// Start nothing more of a class or of all: idle runners end, busy ones finish, jobs wait
    Drain(DrainArgs),
    /// Deploy a stage to AWS, or bring it up to date: shows what would be done, then asks
    Deploy(DeployArgs),
    /// Take a stage away from AWS
    Destroy(DestroyArgs),
    /// Look whether a deployed stage can work, part by part, and say what to do where it cannot
    Doctor(DoctorArgs),
    /// Show what a machine or a function of a deployed stage wrote
    Logs(LogsArgs),
    /// Tell what a configuration costs on AWS: at rest, a job, a runner's hour
    Cost(CostArgs),
    /// Set the secrets of a deployed stage, or tell which are set
    Secrets(SecretsArgs),
    /// Print the CloudFormation template of a stage, made from the section [aws] of the configuration
    Template(TemplateArgs),
    /// Send a webhook by hand, signed as GitHub signs it
    Webhook(WebhookArgs),
    /// Entrypoint of a runner's machine; engines start it, people do not
    #[command(hide = true)]
    Agent {
        /// For the agent's second life only.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}
