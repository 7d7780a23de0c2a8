//! What stands for AWS in a build without it: it says which build has it.

use std::process::ExitCode;

use controller::ports::{About, Secret};
use fleet::{event::Event, ledger::Ledger, policy::Policy, view::Record};

use crate::{
    cloud_args::{CostArgs, DeployArgs, DestroyArgs, DoctorArgs, LogsArgs, SecretsArgs, StageArgs, TemplateArgs},
    control::NotDone,
    failure::Failure,
    picture::StageFacts,
    serve::{
        config::ConfigFile,
        settings::{Problems, Settings},
    },
};

/// A stage on AWS: none can be asked.
pub(crate) enum Stage {}

impl Stage {
    /// Refuses.
    pub(crate) fn open(_: &StageArgs) -> Result<Self, Failure> {
        Err(refusal())
    }

    pub(crate) fn policy(&self) -> &Policy {
        match *self {}
    }

    pub(crate) fn facts(&self) -> Result<StageFacts, Failure> {
        match *self {}
    }

    pub(crate) fn webhook_url(&self) -> Result<String, Failure> {
        match *self {}
    }

    pub(crate) fn webhook_secret(&self) -> Result<Secret, Failure> {
        match *self {}
    }

    pub(crate) fn letters(&self) -> Result<u64, Failure> {
        match *self {}
    }

    pub(crate) fn ledger(&self) -> Result<Ledger, Failure> {
        match *self {}
    }

    pub(crate) fn records(&self, _: &About, _: usize) -> Result<Vec<Record>, Failure> {
        match *self {}
    }

    pub(crate) fn wish(&self, _: Event) -> Result<String, NotDone> {
        match *self {}
    }
}

/// Says that the section `[aws]` is of no use here.
pub(crate) fn check(file: &ConfigFile, _: &Policy, problems: &mut Problems) {
    if file.aws.is_some() {
        unchecked(problems);
    }
}

/// Says that the whole file is.
pub(crate) fn judge(settings: &mut Settings) {
    unchecked(&mut settings.problems);
}

fn unchecked(problems: &mut Problems) {
    problems.add(&["aws"], format!("this build leaves AWS out, so nothing can be checked here: {GET}"));
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
pub(crate) fn cost(_: &CostArgs) -> Result<ExitCode, Failure> {
    Err(refusal())
}

/// Refuses.
pub(crate) fn doctor(_: &DoctorArgs) -> Result<ExitCode, Failure> {
    Err(refusal())
}

/// Refuses.
pub(crate) fn logs(_: &LogsArgs) -> Result<ExitCode, Failure> {
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
