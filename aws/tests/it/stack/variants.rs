//! Every variant of a deployment.

use aws::{
    settings::{Capacity, CapacityKind, Domain, ExistingNetwork, Network, Settings, State, ValkeyAt, usual_class},
    stack::{Operator, Stack, Template},
};
use fleet::{
    class::{Arch, Class, Size},
    labels::LabelSet,
    policy::{Owner, Policy},
};

/// A deployment.
pub(super) struct Variant {
    name: String,
    pub(super) settings: Settings,
    pub(super) policy: Policy,
    operator: Operator,
}

impl Variant {
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    pub(super) fn stack(&self) -> Stack<'_> {
        Stack { settings: &self.settings, policy: &self.policy, operator: &self.operator }
    }

    pub(super) fn template(&self) -> Template {
        self.stack().template()
    }
}

/// What a new deployment has.
pub(super) fn usual() -> Variant {
    variant("production", Arch::Arm64, State::DynamoDb, false, false)
}

/// All of them.
pub(super) fn all() -> Vec<Variant> {
    let at = ValkeyAt {
        url: "rediss://valkey.example.com:6400".into(),
        secret: Some("arn:aws:secretsmanager:eu-central-1:123456789012:secret:valkey-AbCdEf".into()),
    };
    let mut all = Vec::new();
    for stage in ["production", "qa", "dev"] {
        for arch in [Arch::Arm64, Arch::X86_64] {
            for state in [State::DynamoDb, State::Valkey, State::ValkeyAt(at.clone())] {
                for domain in [false, true] {
                    for existing in [false, true] {
                        all.push(variant(stage, arch, state.clone(), domain, existing));
                    }
                }
            }
        }
    }
    all
}

fn variant(stage: &str, arch: Arch, state: State, domain: bool, existing: bool) -> Variant {
    let kind = match state {
        State::DynamoDb => "dynamodb",
        State::Valkey => "valkey",
        State::ValkeyAt(_) => "valkey-url",
    };
    let mut name = format!("{stage}-{arch:?}-{kind}").to_ascii_lowercase();
    let mut settings = Settings { arch, state, image: Some("ghcr.io/acme/runner:1".into()), ..Settings::default() };
    let mut policy = policy(stage, arch);
    if domain {
        name.push_str("-domain");
        settings.domain = Some(domain_of(stage));
    }
    if existing {
        // Whoever brings a network brings their rules too.
        name.push_str("-vpc");
        settings.network = network(&settings.state);
        settings.permissions_boundary = Some("arn:aws:iam::123456789012:policy/boundary".into());
        settings.kms_key = Some(KEY.into());
        settings.tags = [("Team".to_owned(), "Build".to_owned())].into();
        policy.classes.push(spot_class());
        settings.spot = ["big-spot".into()].into();
        policy.classes.extend([instances("team"), instances("managed")]);
        settings.capacity = [
            ("team".into(), Capacity { kind: CapacityKind::Ec2, providers: vec!["team-a".into(), "team-b".into()] }),
            ("managed".into(), Capacity { kind: CapacityKind::Managed, providers: vec!["managed-a".into()] }),
        ]
        .into();
    }
    let app_id = existing.then_some(4711);
    Variant { name, settings, policy, operator: Operator { app_id, ..operator() } }
}

fn policy(stage: &str, arch: Arch) -> Policy {
    let owner = Owner { organization: true, repositories: None };
    Policy {
        stage: stage.into(),
        classes: vec![usual_class(arch)],
        owners: [("acme".to_owned(), owner)].into(),
        ..Policy::default()
    }
}

fn spot_class() -> Class {
    Class {
        name: "big-spot".into(),
        labels: LabelSet::parse(["self-hosted", "big"]).unwrap(),
        size: Size { cpu_milli: 8_000, memory_mb: 32_768, disk_gb: 20, arch: Arch::X86_64 },
        image: Some("123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/runner:1".into()),
        ..Class::default()
    }
}

/// Of a size that Fargate does not have.
fn instances(name: &str) -> Class {
    Class {
        name: name.into(),
        labels: LabelSet::parse(["self-hosted", name]).unwrap(),
        size: Size { cpu_milli: 48_000, memory_mb: 100_000, disk_gb: 500, arch: Arch::X86_64 },
        ..Class::default()
    }
}

fn domain_of(stage: &str) -> Domain {
    // One with a certificate that is there, the others with one that is made.
    let own = stage == "production";
    Domain {
        name: format!("{stage}.runners.example.com"),
        certificate: own.then(|| "arn:aws:acm:eu-central-1:123456789012:certificate/0-1".into()),
        hosted_zone: (!own).then(|| "Z0123456789ABCDEFGHIJ".into()),
    }
}

fn network(state: &State) -> Network {
    let private = match state {
        State::DynamoDb => Vec::new(),
        State::Valkey | State::ValkeyAt(_) => vec!["subnet-0c".to_owned() + FILL, "subnet-0d".to_owned() + FILL],
    };
    Network::Existing(ExistingNetwork {
        vpc_id: "vpc-0a".to_owned() + FILL,
        subnets: vec!["subnet-0a".to_owned() + FILL, "subnet-0b".to_owned() + FILL],
        private_subnets: private,
        public_ip: false,
    })
}

fn operator() -> Operator {
    Operator {
        github_api_url: "https://api.github.com".into(),
        app_id: None,
        heartbeat_ms: 15_000,
        sweep_interval_ms: 60_000,
        redeliver: true,
        discover: true,
    }
}

const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef";

/// Ids have 17 digits.
const FILL: &str = "123456789abcdef";
