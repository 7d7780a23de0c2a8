//! The CloudFormation stack of a stage, made from the operator's settings and rules. It talks to nobody: the same settings
//! yield the same template.
//!
//! | module | what it makes |
//! |---|---|
//! | [`template`] | the model of a template; `yaml` writes it for people |
//! | `policy` | roles and permissions |
//! | `network` | the VPC with its subnets, or what is there; security groups |
//! | `state` | the table or the cache; secrets |
//! | `queue` | the queue, its dead letters, what sends there |
//! | `ecs` | cluster, task definitions, the repository of images |
//! | [`functions`] | the functions with their roles and environments |
//! | `api` | the HTTP API, the domain |
//! | `observability` | log groups |
//!
//! Each stage has a stack of its own (`self-runners-<stage>`), and whatever has a name carries the stage in it, so that
//! several live side by side in one account.

mod api;
mod ecs;
pub mod functions;
mod network;
mod observability;
mod policy;
mod queue;
mod state;
pub mod template;
mod yaml;

use fleet::policy::Policy;
use serde_json::{Value, json};

use crate::settings::Settings;
pub use ecs::{CONTAINER, SERVICE, runner_logs};
pub use state::{PARTITION_KEY, SORT_KEY, TTL_KEY};
pub use template::Template;

/// What the stack takes from other sections of the configuration than `[aws]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Base URL of GitHub's REST interface.
    pub github_api_url: String,
    /// Id of a GitHub App; a token is used if absent.
    pub app_id: Option<u64>,
    /// Milliseconds between two reports of an idle runner.
    pub heartbeat_ms: u64,
    /// Milliseconds between two sweeps; AWS's scheduler counts whole minutes.
    pub sweep_interval_ms: u64,
    /// Whether failed deliveries are asked for again.
    pub redeliver: bool,
    /// Whether all repositories of an owner are looked at.
    pub discover: bool,
}

/// What a template is made from.
#[derive(Debug, Clone, Copy)]
pub struct Stack<'a> {
    /// The section `[aws]`.
    pub settings: &'a Settings,
    /// Rules and classes.
    pub policy: &'a Policy,
    /// The rest.
    pub operator: &'a Operator,
}

/// Name of a stage's stack, and the beginning of what belongs to it.
#[must_use]
pub fn stack_name(stage: &str) -> String {
    format!("{APPLICATION}-{stage}")
}

impl Stack<'_> {
    /// The template. It is only sound if the settings have no faults.
    #[must_use]
    pub fn template(&self) -> Template {
        let stage = &self.policy.stage;
        let mut template =
            Template::new(format!("{APPLICATION}, stage {stage}: short-lived machines for GitHub Actions"));
        let network = self.network(&mut template);
        let secrets = self.secrets(&mut template);
        let store = self.store(&mut template, &network);
        let cluster = self.cluster(&mut template);
        let queue = self.queue(&mut template, &cluster);
        let api = self.api(&mut template);
        let parts = functions::Parts { network, secrets, store, cluster, queue, api };
        let functions = self.functions(&mut template, &parts);
        self.routes(&mut template, &parts.api, &functions);
        template
    }

    /// `self-runners-<stage>-<what>`
    fn name(&self, what: &str) -> String {
        format!("{}-{what}", stack_name(&self.policy.stage))
    }

    /// Tags for the bill and for whoever finds something: the operator's, and ours over them.
    fn tags(&self) -> Vec<(String, String)> {
        let mut tags = self.settings.tags.clone();
        tags.insert(TAG_APPLICATION.into(), APPLICATION.into());
        tags.insert(TAG_STAGE.into(), self.policy.stage.clone());
        tags.into_iter().collect()
    }

    /// As most types take them.
    fn tag_list(&self) -> Value {
        self.tags().into_iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
    }

    /// With the name that the console shows.
    fn named_tag_list(&self, what: &str) -> Value {
        let mut tags = self.tags();
        // One that the operator gives would be a second one, which EC2 refuses.
        tags.retain(|(key, _)| key != "Name");
        tags.push(("Name".into(), self.name(what)));
        tags.into_iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
    }

    /// As API Gateway and ECS's service of queues take them.
    fn tag_map(&self) -> Value {
        self.tags().into_iter().map(|(key, value)| (key, value.into())).collect::<serde_json::Map<_, Value>>().into()
    }

    /// The operator's own key, where there is one.
    fn key(&self) -> Option<Value> {
        self.settings.kms_key.as_deref().map(Value::from)
    }
}

/// What everything is named after.
pub const APPLICATION: &str = "self-runners";

/// Tag: what it belongs to.
pub(crate) const TAG_APPLICATION: &str = "Application";

/// Tag: which stage.
pub(crate) const TAG_STAGE: &str = "Stage";
