//! What stands for AWS in a build without it: it says which build has it.

use std::process::ExitCode;

use fleet::policy::Policy;

use crate::{
    cloud_args::{DeployArgs, DestroyArgs, SecretsArgs, TemplateArgs},
    failure::Failure,
    serve::{config::ConfigFile, settings::Problems},
};

/// Says that the section `[aws]` is of no use here.
pub(crate) fn check(file: &ConfigFile, _: &Policy, problems: &mut Problems) {
    if file.aws.is_some() {
        problems.add(&["aws"], format!("this build leaves AWS out, so nothing can be checked here: {GET}"));
    }
}

/// Refuses.
pub(crate) fn template(_: &TemplateArgs) -> Result<ExitCode, Failure> {
    Err(refusal())
}

/// Refuses.
pub(crate) fn deploy(_: &DeployArgs) -> Result<ExitCode, Failure> {
    Err(refusal())
}

/// Refuses.
pub(crate) fn destroy(_: &DestroyArgs) -> Result<ExitCode, Failure> {
    Err(refusal())
}

/// Refuses.
pub(crate) fn secrets(_: &SecretsArgs) -> Result<ExitCode, Failure> {
    Err(refusal())
}

fn refusal() -> Failure {
    Failure::usage(format!("this build leaves AWS out: {GET}"))
}

/// Which build has it.
const GET: &str = "use a build with the feature `aws` (`cargo build --release --features aws`), or a published one";
