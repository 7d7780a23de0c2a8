//! `template`: the CloudFormation template of a stage. It talks to nobody.

use std::process::ExitCode;

use super::Deployment;
use crate::{
    cloud_args::{TemplateArgs, TemplateFormat},
    failure::Failure,
    terminal,
};

/// Prints it.
pub(crate) fn command(args: &TemplateArgs) -> Result<ExitCode, Failure> {
    let deployment = Deployment::read(&args.plan)?;
    deployment.check_domain()?;
    let template = deployment.stack().template();
    match args.format {
        TemplateFormat::Yaml => terminal::draw(&template.to_yaml()),
        TemplateFormat::Json => terminal::draw(&format!("{:#}\n", template.to_json())),
    };
    Ok(ExitCode::SUCCESS)
}
