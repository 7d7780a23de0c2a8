//! The functions: what each is given, may do and costs at the most. Names are those of the original system.
//!
//! Their code is not here: the template names an object in a bucket, which `deploy` puts there.

use fleet::class::Arch;
use serde_json::{Value, json};

use super::{
    Stack,
    api::Api,
    ecs::{Cluster, SERVICE, WRITE_LOGS},
    network::Network,
    policy::{Arn, Statement},
    queue::Queue,
    stack_name,
    state::{READ_SECRET, Secrets, Store},
    template::{Id, Resource, Template, join, sub},
};
use crate::{
    environment::{Common, Core, Engine, Environment, Intake, PUBLIC, Webhook, compact},
    settings::Fault,
};

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// Takes webhooks: verifies, sets aside, puts into the queue.
    Webhook,
    /// Handles what is in the queue: decides, starts and stops runners.
    Scaler,
    /// Compares what is with what should be, each minute.
    Sweep,
    /// Answers the agents of runners.
    Agent,
    /// Says that it is there.
    Hello,
}

/// Name of the log group of a stage's function.
#[must_use]
pub fn function_logs(stage: &str, function: Function) -> String {
    format!("/aws/lambda/{}-{}", stack_name(stage), function.name())
}

/// All of them.
pub const FUNCTIONS: [Function; 5] =
    [Function::Webhook, Function::Scaler, Function::Sweep, Function::Agent, Function::Hello];

impl Function {
    /// Its name: the logical one, and the end of the one in the account.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "WebhookHandlerGHA",
            Self::Scaler => "ScalerHandler",
            Self::Sweep => "SweepHandler",
            Self::Agent => "AgentHandler",
            Self::Hello => "HelloHandler",
        }
    }

    /// The file with its code.
    #[must_use]
    pub fn artefact(self) -> &'static str {
        match self {
            Self::Webhook => "WebhookHandlerGHA.zip",
            Self::Scaler => "ScalerHandler.zip",
            Self::Sweep => "SweepHandler.zip",
            Self::Agent => "AgentHandler.zip",
            Self::Hello => "HelloHandler.zip",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Webhook => "Takes webhooks: verifies, sets aside, puts into the queue.",
            Self::Scaler => "Handles the queue: decides, starts and stops runners.",
            Self::Sweep => "Each minute: compares what is with what should be.",
            Self::Agent => "Answers the agents of runners.",
            Self::Hello => "Says that it is there.",
        }
    }

    /// Memory in MiB; a function's share of a processor grows with it.
    fn memory_mb(self) -> u32 {
        match self {
            Self::Webhook | Self::Agent => 256,
            Self::Scaler | Self::Sweep => 512,
            Self::Hello => 128,
        }
    }

    /// Seconds after which it is ended.
    fn timeout_s(self) -> u32 {
        match self {
            // GitHub waits no longer (FACTS §1).
            Self::Webhook => 10,
            Self::Scaler => SCALER_TIMEOUT_S,
            // Ends before its lease does.
            Self::Sweep => 240,
            // The API waits 30 (FACTS §5).
            Self::Agent => 29,
            Self::Hello => 5,
        }
    }

    /// Whether it loads, decides and commits.
    fn has_core(self) -> bool {
        match self {
            Self::Scaler | Self::Sweep | Self::Agent => true,
            Self::Webhook | Self::Hello => false,
        }
    }

    /// Whether it speaks to the engine.
    fn has_engine(self) -> bool {
        match self {
            Self::Scaler | Self::Sweep => true,
            Self::Webhook | Self::Agent | Self::Hello => false,
        }
    }
}

/// What functions are connected with.
pub(super) struct Parts {
    pub(super) network: Network,
    pub(super) secrets: Secrets,
    pub(super) store: Store,
    pub(super) cluster: Cluster,
    pub(super) queue: Queue,
    pub(super) api: Api,
}

/// Where the code is.
struct Code {
    bucket: Id,
    prefix: Id,
}

impl Stack<'_> {
    /// Makes them, in the order of [`FUNCTIONS`].
    pub(super) fn functions(&self, template: &mut Template, parts: &Parts) -> [Id; 5] {
        let code = Code {
            bucket: template.parameter("ArtefactBucket", "Bucket with the code of the functions", BUCKET_PATTERN),
            prefix: template.parameter(
                "ArtefactPrefix",
                "What the names of the functions' code in that bucket begin with; another one is another version",
                PREFIX_PATTERN,
            ),
        };
        let ids = FUNCTIONS.map(|function| self.function(template, function, parts, &code));
        let [_, scaler, sweep, _, _] = &ids;
        self.events_reach(template, scaler, parts);
        self.schedule(template, sweep);
        ids
    }

    fn function(&self, template: &mut Template, function: Function, parts: &Parts, code: &Code) -> Id {
        let (id, name) = (function.name(), self.name(function.name()));
        let group = function_logs(&self.policy.stage, function);
        let logs = self.log_group(template, format!("{id}Logs"), &group, &format!("What {id} writes."));
        let permissions = self.permissions(function, parts, &logs);
        let role = self.role(format!("What {id} may do."), "lambda.amazonaws.com", None, permissions);
        let role = template.add(format!("{id}Role"), role);
        let resource = json!({
            "FunctionName": name,
            "Description": function.about(),
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Architectures": [architecture(self.settings.arch)],
            "Code": {
                "S3Bucket": code.bucket.reference(),
                "S3Key": sub(format!("${{{}}}{}", code.prefix.as_str(), function.artefact())),
            },
            "Role": role.att("Arn"),
            "MemorySize": function.memory_mb(),
            "Timeout": function.timeout_s(),
            "LoggingConfig": { "LogGroup": logs.reference(), "LogFormat": "JSON" },
            "Environment": { "Variables": self.environment(function, parts).to_template() },
            "Tags": self.tag_list(),
        });
        let inside =
            parts.network.functions.as_ref().filter(|_| function.has_core()).map(
                |inside| json!({ "SubnetIds": inside.subnets, "SecurityGroupIds": [inside.group.att("GroupId")] }),
            );
        let resource = Resource::new("AWS::Lambda::Function", function.about(), resource);
        template.add(id, resource.with("VpcConfig", inside).with("KmsKeyArn", self.key()))
    }

    /// What a function knows.
    fn environment(&self, function: Function, parts: &Parts) -> Environment<Value> {
        let takes_events = function.has_core() || function == Function::Webhook;
        Environment {
            common: Common { stage: self.policy.stage.as_str().into() },
            intake: takes_events.then(|| Intake {
                policy: compact(&self.placed_policy(parts)).to_string().into(),
                queue_url: parts.queue.events.reference(),
            }),
            webhook: (function == Function::Webhook).then(|| Webhook { secret_arn: parts.secrets.webhook.reference() }),
            core: function.has_core().then(|| Core {
                public_url: parts.api.endpoint(),
                webhook_url: self.webhook_url(&parts.api),
                github_api_url: self.operator.github_api_url.as_str().into(),
                heartbeat_ms: self.operator.heartbeat_ms.to_string().into(),
                redeliver: self.operator.redeliver.to_string().into(),
                discover: self.operator.discover.to_string().into(),
            }),
            credential: function.has_core().then(|| parts.secrets.variables(self.operator.app_id)),
            store: function.has_core().then(|| parts.store.variables()),
            engine: function.has_engine().then(|| self.engine(parts)),
        }
    }

    fn engine(&self, parts: &Parts) -> Engine<Value> {
        let capacity = self.settings.capacity.iter();
        let capacity = capacity.map(|(class, capacity)| format!("{class}={}", capacity.providers.join("+")).into());
        let spot: Vec<Value> = self.settings.spot.iter().map(|class| class.as_str().into()).collect();
        Engine {
            cluster: parts.cluster.id.reference(),
            service: SERVICE.into(),
            task_definition_arns: parts.cluster.task_definitions(),
            subnets: join(",", parts.network.runners.clone()),
            security_group: parts.network.runners_group.att("GroupId"),
            assign_public_ip: if parts.network.public_ip { PUBLIC } else { "DISABLED" }.into(),
            capacity_providers: join(",", capacity.collect()),
            spot_classes: join(",", spot),
        }
    }

    /// A runner can be tried in each subnet, and once more where Spot goes before on-demand.
    fn placed_policy(&self, parts: &Parts) -> fleet::policy::Policy {
        let mut policy = self.policy.clone();
        for class in &mut policy.classes {
            let providers = self.settings.providers(&class.name);
            // A job that asks for Spot may have both, whatever its class has.
            let providers = if class.allow.spot { providers.len().max(2) } else { providers.len() };
            let places = parts.network.runners.len().saturating_mul(providers);
            class.placements = u32::try_from(places).unwrap_or(u32::MAX).max(1);
        }
        policy
    }

    fn permissions(&self, function: Function, parts: &Parts, logs: &Id) -> Vec<Statement> {
        let mut allowed = vec![Statement::allow("Logs", WRITE_LOGS, [Arn::below(logs, ":*")])];
        let events = || Arn::of(&parts.queue.events);
        let secrets = &parts.secrets;
        if function == Function::Webhook {
            allowed.push(Statement::allow("Secrets", READ_SECRET, [Arn::by_reference(&secrets.webhook)]));
        }
        if function.has_core() {
            allowed.push(Statement::allow("Secrets", READ_SECRET, [Arn::by_reference(&secrets.credential)]));
            allowed.extend(parts.store.permissions());
        }
        if function.has_core() || function == Function::Webhook {
            allowed.push(Statement::allow("SendEvents", &["sqs:SendMessage"], [events()]));
            allowed.extend(self.key_permissions());
        }
        if function == Function::Scaler {
            allowed.push(Statement::allow("TakeEvents", TAKE_ACTIONS, [events()]));
        }
        if function.has_engine() {
            allowed.extend(parts.cluster.permissions(self.families()));
        }
        if parts.network.functions.is_some() && function.has_core() {
            allowed.push(Statement::anywhere(
                "Inside",
                INTERFACE_ACTIONS,
                "Lambda makes network interfaces whose ids nobody knows before",
            ));
        }
        allowed
    }

    fn key_permissions(&self) -> Option<Statement> {
        let key = self.settings.kms_key.as_deref()?;
        Some(Statement::allow("OwnKey", &["kms:Decrypt", "kms:GenerateDataKey"], [Arn::given(key)]))
    }

    fn events_reach(&self, template: &mut Template, scaler: &Id, parts: &Parts) {
        let mapping = json!({
            "EventSourceArn": parts.queue.events.att("Arn"),
            "FunctionName": scaler.reference(),
            "BatchSize": BATCH_EVENTS,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": { "MaximumConcurrency": self.settings.scaler_concurrency },
            "Tags": self.tag_list(),
        });
        let about = "Events reach the scaler in batches; what fails comes again by itself.";
        template.add("EventsMapping", Resource::new("AWS::Lambda::EventSourceMapping", about, mapping));
    }

    fn schedule(&self, template: &mut Template, sweep: &Id) {
        let mut allowed = vec![Statement::allow("Sweep", &["lambda:InvokeFunction"], [Arn::of(sweep)])];
        // What the schedule tells the function is encrypted with it.
        allowed.extend(self.key_permissions());
        let trust = json!({ "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } });
        let role =
            self.role("With which the schedule calls the sweep.", "scheduler.amazonaws.com", Some(trust), allowed);
        let role = template.add("SweepScheduleRole", role);
        let minutes = self.operator.sweep_interval_ms.div_ceil(MINUTE_MS).max(1);
        let rate = if minutes == 1 { "rate(1 minute)".into() } else { format!("rate({minutes} minutes)") };
        let schedule = json!({
            "Name": self.name("sweep"),
            "Description": "When the sweep looks",
            "State": "ENABLED",
            "ScheduleExpression": rate,
            "FlexibleTimeWindow": { "Mode": "OFF" },
            "Target": {
                "Arn": sweep.att("Arn"),
                "RoleArn": role.att("Arn"),
                // The next one is a minute away.
                "RetryPolicy": { "MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60 },
            },
        });
        let schedule = Resource::new("AWS::Scheduler::Schedule", "When the sweep looks.", schedule);
        template.add("SweepSchedule", schedule.with("KmsKeyArn", self.key()));
        let once = json!({
            "FunctionName": sweep.reference(),
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 0,
            "MaximumEventAgeInSeconds": 60,
        });
        let about = "A sweep that failed is not repeated: the next one looks at everything again.";
        template.add("SweepOnce", Resource::new("AWS::Lambda::EventInvokeConfig", about, once));
    }

    /// What the stack as a whole cannot hold.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let template = self.template().to_json();
        let sizes = FUNCTIONS.iter().map(|function| {
            let variables = &template["Resources"][function.name()]["Properties"]["Environment"]["Variables"];
            variables.as_object().into_iter().flatten().map(|(name, value)| name.len() + length(value)).sum::<usize>()
        });
        let largest = sizes.max().unwrap_or(0);
        if largest <= ENVIRONMENT_BYTES_MAX {
            return Vec::new();
        }
        let what = format!(
            "classes and owners take about {largest} bytes of the {ENVIRONMENT_BYTES_MAX} that a function's environment may \
             have: write fewer classes, or leave `repositories` out to serve all of an owner's"
        );
        vec![Fault { key: Vec::new(), what }]
    }
}

/// How long a value can become.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(length).sum(),
        Value::Object(map) if map.contains_key("Ref") || map.contains_key("Fn::GetAtt") => REFERENCE_BYTES,
        Value::Object(map) => map.values().map(length).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::Arm64 => "arm64",
        Arch::X86_64 => "x86_64",
    }
}

/// Seconds that the scaler has for a batch: an effect has 40, and the queue holds a message back six times as long.
pub(super) const SCALER_TIMEOUT_S: u32 = 60;

/// Most events of a batch. More would have to wait for each other (SQS gathers more than ten only in a window).
const BATCH_EVENTS: u32 = 10;

/// Milliseconds of a minute.
const MINUTE_MS: u64 = 60_000;

/// All variables of a function together (Lambda's quota).
const ENVIRONMENT_BYTES_MAX: usize = 4_096;

/// An ARN or URL of this stack is no longer.
const REFERENCE_BYTES: usize = 120;

/// What the event source does in the function's name.
const TAKE_ACTIONS: &[&str] = &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];

/// What Lambda does in the function's name inside a VPC (AWSLambdaVPCAccessExecutionRole).
const INTERFACE_ACTIONS: &[&str] = &[
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
];

/// Names of buckets.
const BUCKET_PATTERN: &str = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]";

/// A folder, or nothing.
const PREFIX_PATTERN: &str = "([A-Za-z0-9._/-]*/)?";
