//! `template`: the CloudFormation template of a stage. It talks to nobody.

use std::process::ExitCode;

use super::{Deployment, site::no_configuration};
use crate::{
    cloud_args::{TemplateArgs, TemplateFormat},
    failure::Failure,
    serve::settings::SettingsArgs,
    terminal,
};

/// Prints it.
pub(crate) fn command(args: &TemplateArgs) -> Result<ExitCode, Failure> {
    let settings = SettingsArgs { config: args.config.clone(), stage: args.stage.clone(), ..SettingsArgs::default() };
    if settings.path().is_none() {
        return Err(no_configuration());
    }
    let template = Deployment::read(&settings)?.stack().template();
    match args.format {
        TemplateFormat::Yaml => terminal::draw(&template.to_yaml()),
        TemplateFormat::Json => terminal::draw(&format!("{:#}\n", template.to_json())),
    };
    Ok(ExitCode::SUCCESS)
}
