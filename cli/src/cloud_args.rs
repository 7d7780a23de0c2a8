//! What the commands for AWS can be told. In every build, so that one without AWS knows them and says what is missing.

use std::path::PathBuf;

use clap::ValueEnum;

/// What `template` can be told.
#[derive(Debug, Clone, clap::Args)]
#[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "what this build only refuses is not read"))]
pub(crate) struct TemplateArgs {
    /// Configuration file (TOML); `self-runners.toml` of this folder if there is one
    #[arg(long, value_name = "FILE", env = "SELF_RUNNERS_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Which stage, instead of the configuration's: `production`, `qa`, `dev`
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
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
