//! What the commands for AWS can be told. In every build, so that one without AWS knows them and says what is missing.

#![cfg_attr(not(feature = "aws"), allow(dead_code, reason = "what this build only refuses is not read"))]

use std::path::PathBuf;

use clap::ValueEnum;

/// Which stage is meant, and what it is to be.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlanArgs {
    /// Configuration file (TOML); `self-runners.toml` of this folder if there is one
    #[arg(long, value_name = "FILE", env = "SELF_RUNNERS_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Which stage, instead of the configuration's: `production`, `qa`, `dev`
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
}

/// Which stage is meant, and where AWS is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StageArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// Another endpoint for all services of AWS, as of a local AWS
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
}

/// What `deploy` can be told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Folder with the functions' code; else `dist/ARCH` beside this program, or here
    #[arg(long, value_name = "DIR")]
    pub(crate) artifacts: Option<PathBuf>,
    /// Afterwards make the webhook at GitHub, or give the one that is there this stage's address and secret
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) install_webhook: bool,
    /// Only show what would be done: CloudFormation is asked with a change set, which is taken back
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do it without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// What `destroy` can be told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DestroyArgs {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Also while jobs run: they are lost
    #[arg(long)]
    pub(crate) force: bool,
    /// How long runners may take to end by themselves
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub(crate) wait: u64,
    /// Do it without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// What `cost` can be told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CostArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// Jobs of a month
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) jobs: u64,
    /// How long each takes
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) minutes: u64,
    /// Other prices, as of another Region: a file of the shape of aws/src/cost/prices.json
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// One JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `doctor` can be told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// One JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `logs` can be told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LogsArgs {
    /// Id of a job or the URL of its page, the name of a runner, or a function: WebhookHandlerGHA, ScalerHandler,
    /// SweepHandler, AgentHandler, HelloHandler
    #[arg(value_name = "JOB|RUNNER|FUNCTION")]
    pub(crate) about: String,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Go on until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Of a function: the lines of so many minutes
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub(crate) minutes: u64,
}

/// What `secrets` can be told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SecretsArgs {
    #[command(subcommand)]
    pub(crate) command: SecretsCommand,
}

/// What is to be done with secrets.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum SecretsCommand {
    /// Set one: from stdin, or asked for on a terminal; never on the command line
    Set {
        /// Which
        #[arg(value_enum)]
        name: SecretName,
        #[command(flatten)]
        stage: StageArgs,
    },
    /// Tell which are set
    List {
        #[command(flatten)]
        stage: StageArgs,
    },
}

/// A secret that a person sets. The names of the original system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecretName {
    /// GitHub's token
    #[value(name = "GITHUB_API_TOKEN")]
    ApiToken,
    /// The private key of a GitHub App, in PEM
    #[value(name = "GITHUB_APP_PRIVATE_KEY")]
    AppKey,
    /// What GitHub signs webhooks with
    #[value(name = "GITHUB_WEBHOOK_SECRET")]
    WebhookSecret,
}

/// What `template` can be told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TemplateArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// How it is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "yaml")]
    pub(crate) format: TemplateFormat,
}

/// How a template is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TemplateFormat {
    /// For people, each resource with a comment
    Yaml,
    /// For programs
    Json,
}
