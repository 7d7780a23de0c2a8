//! The section `[aws]` of the configuration file: its definition, and nothing else. It is part of every build, so that
//! one page documents it and a build without AWS can say that it is one; `crate::cloud` gives it its meaning.

use std::collections::BTreeMap;

use fleet::{class::Arch, ids::ClassName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[aws]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AwsSection {
    /// Region that is deployed to, as `eu-central-1`. If absent, what `AWS_REGION` or the profile says.
    pub(crate) region: Option<String>,
    /// Architecture of the functions, and of the runners where no class is written.
    pub(crate) arch: Arch,
    /// Image of the classes that name none: its URI, with a tag or digest.
    pub(crate) image: Option<String>,
    /// Where state is kept. `valkey` makes a serverless cache, and with it private subnets and a NAT gateway, unless
    /// `[aws.valkey]` names a server.
    pub(crate) state: StateKind,
    /// A Valkey (or Redis) server that is there.
    pub(crate) valkey: ValkeySection,
    /// Where runners and functions are. If absent, a VPC of their own over two zones.
    pub(crate) network: NetworkSection,
    /// A name of your own for the webhook. If absent, API Gateway gives it one.
    pub(crate) domain: DomainSection,
    /// ARN of the policy that is to bound every role.
    pub(crate) permissions_boundary: Option<String>,
    /// ARN of your own key, no alias: tables, queues, secrets, logs and variables are encrypted with it. Not the disks of
    /// tasks, nor the bucket with the code. AWS's keys if absent. Its policy must let the services `logs`, `events` and
    /// `scheduler` use it, and principals of this account.
    pub(crate) kms_key: Option<String>,
    /// Days that logs are kept.
    pub(crate) log_retention_days: u32,
    /// Classes that run on instances instead of Fargate, each with the capacity providers that it is tried on:
    /// `capacity.big = { kind = "ec2", providers = ["team-arm64"] }`. Their subnets need a NAT gateway.
    pub(crate) capacity: BTreeMap<ClassName, CapacitySection>,
    /// Classes whose runners are tried on Fargate Spot first, and on demand where it has no room.
    pub(crate) spot: Vec<ClassName>,
    /// Tags of everything that is made, for the bill. `Application` and `Stage` are always there.
    pub(crate) tags: BTreeMap<String, String>,
    /// Most copies of the function that decides, 2 to 1000.
    pub(crate) scaler_concurrency: u32,
}

/// Where state is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateKind {
    /// In a table that costs by use.
    #[default]
    DynamoDb,
    /// In a cache, or the server that `[aws.valkey]` names.
    Valkey,
}

/// `[aws.capacity.CLASS]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CapacitySection {
    /// Whose instances they are.
    pub(crate) kind: CapacityKind,
    /// Names of capacity providers that are there, in the order in which they are tried.
    pub(crate) providers: Vec<String>,
}

/// Whose instances a capacity provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CapacityKind {
    /// EC2 instances of an Auto Scaling group.
    Ec2,
    /// ECS Managed Instances: made for the stage's cluster after its first deployment.
    Managed,
}

/// `[aws.valkey]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ValkeySection {
    /// Where the server is: `rediss://HOST:PORT`, without user and password.
    pub(crate) url: Option<String>,
    /// ARN of the secret in Secrets Manager with `{"username", "password"}`, if the server asks for them.
    pub(crate) secret: Option<String>,
}

/// `[aws.network]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NetworkSection {
    /// Addresses of the VPC that is made, /16 to /22. `10.73.0.0/16` if absent.
    pub(crate) cidr: Option<String>,
    /// A VPC that is there, instead of one that is made.
    pub(crate) vpc_id: Option<String>,
    /// Its subnets for runners, best in several zones.
    pub(crate) subnets: Vec<String>,
    /// Its subnets for functions, with a way to the internet. If absent, functions are outside the VPC.
    pub(crate) private_subnets: Vec<String>,
    /// Give runners public addresses. In public subnets they reach nothing without; `false` is for subnets behind a NAT
    /// gateway.
    pub(crate) public_ip: bool,
    /// TCP ports that runners may reach; DNS is always there.
    pub(crate) egress_ports: Vec<u16>,
}

/// `[aws.domain]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DomainSection {
    /// The name, as `runners.example.com`.
    pub(crate) name: Option<String>,
    /// ARN of its certificate in ACM, in the same Region. If absent, one is made, which needs `hosted_zone`.
    pub(crate) certificate: Option<String>,
    /// Id of the Route 53 zone of the name: its records are written there. If absent, `deploy` tells which to make.
    pub(crate) hosted_zone: Option<String>,
}

impl Default for AwsSection {
    fn default() -> Self {
        Self {
            region: None,
            arch: Arch::Arm64,
            image: None,
            state: StateKind::DynamoDb,
            valkey: ValkeySection::default(),
            network: NetworkSection::default(),
            domain: DomainSection::default(),
            permissions_boundary: None,
            kms_key: None,
            log_retention_days: 30,
            capacity: BTreeMap::new(),
            spot: Vec::new(),
            tags: BTreeMap::new(),
            scaler_concurrency: 2,
        }
    }
}

impl Default for NetworkSection {
    fn default() -> Self {
        Self {
            cidr: None,
            vpc_id: None,
            subnets: Vec::new(),
            private_subnets: Vec::new(),
            public_ip: true,
            egress_ports: vec![443, 80],
        }
    }
}
