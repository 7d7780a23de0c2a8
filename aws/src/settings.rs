//! What an operator may say of a deployment, as it is meant: the section `[aws]` of the configuration file after its
//! shape was read. The command line fills it in; the stack is made from it.
//!
//! It holds no secret and talks to nobody. What single values must be stands in `checks`, Fargate's sizes in [`size`].

mod checks;
pub mod size;

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    class::{Arch, Class, Size},
    ids::ClassName,
    labels::LabelSet,
    policy::Policy,
};

use crate::{ecs::placement::Provider, environment::providers};

pub use checks::Fault;
pub(crate) use checks::{port as valkey_port, quarters, region as check_region};

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where; else what the environment says when it is deployed.
    pub region: Option<String>,
    /// Architecture of the functions.
    pub arch: Arch,
    /// Image of the classes that name none.
    pub image: Option<String>,
    /// Where state is kept.
    pub state: State,
    /// Where runners and functions are.
    pub network: Network,
    /// TCP ports that runners may reach.
    pub egress_ports: Vec<u16>,
    /// The webhook's own name.
    pub domain: Option<Domain>,
    /// ARN of the policy that bounds every role.
    pub permissions_boundary: Option<String>,
    /// ARN of the key that everything is encrypted with; AWS's own keys if absent.
    pub kms_key: Option<String>,
    /// Days that logs are kept.
    pub log_retention_days: u32,
    /// Classes that run on capacity providers of the cluster, and not on Fargate.
    pub capacity: BTreeMap<ClassName, Capacity>,
    /// Classes that are tried on Fargate Spot first.
    pub spot: BTreeSet<ClassName>,
    /// Tags of everything that can have some.
    pub tags: BTreeMap<String, String>,
    /// Most copies of `ScalerHandler` at a time.
    pub scaler_concurrency: u32,
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A table of the stack.
    DynamoDb,
    /// A serverless cache of the stack, which functions reach inside the VPC.
    Valkey,
    /// A server that is there.
    ValkeyAt(ValkeyAt),
}

/// A Valkey (or Redis) server that the stack does not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValkeyAt {
    /// `rediss://host:port`, without user and password.
    pub url: String,
    /// ARN of the secret with `{"username", "password"}`.
    pub secret: Option<String>,
}

/// Where runners and functions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A VPC of the stack.
    Own {
        /// Its addresses: `10.73.0.0/16`.
        cidr: String,
    },
    /// A VPC that is there.
    Existing(ExistingNetwork),
}

/// Instances that a class's runners run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// Whose instances.
    pub kind: CapacityKind,
    /// Names of capacity providers, in the order in which they are tried.
    pub providers: Vec<String>,
}

/// Whose instances a capacity provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapacityKind {
    /// EC2 instances of an Auto Scaling group.
    Ec2,
    /// ECS Managed Instances. Such a provider belongs to one cluster from its making on.
    Managed,
}

/// A VPC that the stack does not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingNetwork {
    /// The VPC.
    pub vpc_id: String,
    /// Subnets of the runners.
    pub subnets: Vec<String>,
    /// Subnets of the functions; none: they are outside the VPC.
    pub private_subnets: Vec<String>,
    /// Whether runners get public addresses.
    pub public_ip: bool,
}

/// A name for the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The name.
    pub name: String,
    /// ARN of its certificate; the stack makes one if absent, which needs the hosted zone.
    pub certificate: Option<String>,
    /// Id of the Route 53 zone that the name belongs to; the stack writes its records there.
    pub hosted_zone: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: None,
            arch: Arch::Arm64,
            image: None,
            state: State::DynamoDb,
            network: Network::Own { cidr: CIDR_DEFAULT.into() },
            egress_ports: EGRESS_PORTS_DEFAULT.to_vec(),
            domain: None,
            permissions_boundary: None,
            kms_key: None,
            log_retention_days: LOG_RETENTION_DAYS_DEFAULT,
            capacity: BTreeMap::new(),
            spot: BTreeSet::new(),
            tags: BTreeMap::new(),
            scaler_concurrency: SCALER_CONCURRENCY_DEFAULT,
        }
    }
}

impl Settings {
    /// Whether functions are inside the VPC.
    #[must_use]
    pub fn functions_are_inside(&self) -> bool {
        match &self.network {
            Network::Own { .. } => self.state == State::Valkey,
            Network::Existing(network) => !network.private_subnets.is_empty(),
        }
    }

    /// The rules for the classes that run on Fargate alone.
    #[must_use]
    pub fn on_fargate(&self, policy: &Policy) -> Policy {
        let mut policy = policy.clone();
        policy.classes.retain(|class| !self.capacity.contains_key(&class.name));
        policy
    }

    /// What runners of a class are tried on, in this order.
    #[must_use]
    pub fn providers(&self, class: &ClassName) -> Vec<Provider> {
        let named = self.capacity.get(class).map(|capacity| capacity.providers.clone()).unwrap_or_default();
        providers(named, self.spot.contains(class))
    }

    /// The image of a class.
    #[must_use]
    pub fn image_of<'a>(&'a self, class: &'a Class) -> Option<&'a str> {
        class.image.as_deref().or(self.image.as_deref())
    }
}

/// The class of a configuration that has none: jobs for `self-hosted`, `linux` and this architecture.
#[must_use]
pub fn usual_class(arch: Arch) -> Class {
    let label = match arch {
        Arch::Arm64 => "arm64",
        Arch::X86_64 => "x64",
    };
    Class {
        labels: LabelSet::parse(["self-hosted", "linux", label]).unwrap_or_default(),
        size: Size { arch, ..Size::default() },
        ..Class::default()
    }
}

/// Addresses of the stack's VPC: a quarter for each of four subnets.
pub const CIDR_DEFAULT: &str = "10.73.0.0/16";

/// HTTPS, and HTTP for package mirrors.
pub const EGRESS_PORTS_DEFAULT: [u16; 2] = [443, 80];

/// Days that logs are kept: long enough to look into last week's trouble, short enough to cost little.
pub const LOG_RETENTION_DAYS_DEFAULT: u32 = 30;

/// Fewest copies that the event source of a function can be limited to (FACTS §5); more of them only meet conflicts.
pub const SCALER_CONCURRENCY_DEFAULT: u32 = 2;
