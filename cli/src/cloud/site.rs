//! A deployed stage, or one to be: its configuration, and the way to AWS.

use std::io::{self, IsTerminal as _};

use aws::{Cloud, CloudSettings};
use controller::ports::PortError;
use tokio::runtime::Runtime;

use super::Deployment;
use crate::{cloud_args::StageArgs, failure::Failure, terminal};

/// What the commands for a stage share.
pub(super) struct Site {
    pub(super) deployment: Deployment,
    pub(super) cloud: Cloud,
    pub(super) runtime: Runtime,
}

impl Site {
    /// Reads the configuration. Talks to nobody.
    pub(super) fn open(args: &StageArgs) -> Result<Self, Failure> {
        let deployment = Deployment::read(&args.plan)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
        let region = deployment.settings.region.clone();
        let way = CloudSettings { region, endpoint_url: args.endpoint_url.clone(), ..CloudSettings::default() };
        let cloud = runtime.block_on(Cloud::open(&way));
        cloud
            .check_endpoint()
            .map_err(|what| Failure::usage(format!("--endpoint-url, or AWS_ENDPOINT_URL: {what}")))?;
        cloud.check_region().map_err(Failure::usage)?;
        Ok(Self { deployment, cloud, runtime })
    }

    pub(super) fn stage(&self) -> &str {
        &self.deployment.policy.stage
    }
}

/// What AWS said, as a person reads it.
pub(super) fn told(error: PortError) -> Failure {
    Failure::failed(error.message)
}

/// Before anything is done: without a terminal nobody can say yes.
pub(super) fn can_ask(needless: bool) -> Result<(), Failure> {
    if needless || io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage("nobody can be asked here: give `--yes`"))
}

/// Asks for a yes.
pub(super) fn agreed(question: &str, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    can_ask(false)?;
    terminal::draw(&format!("{question} Type `yes`: "));
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    Ok(read.is_ok() && line.trim() == "yes")
}
