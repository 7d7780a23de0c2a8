//! What single values of a deployment must be. Each fault says what to write instead.

use std::net::Ipv4Addr;

use fleet::{class::Class, policy::Policy};

use super::{Domain, ExistingNetwork, Network, Settings, State, ValkeyAt, size};
use crate::stack::{TAG_APPLICATION, TAG_STAGE};

/// Always open: without it nothing has a name.
const DNS_PORT: u16 = 53;

/// What GitHub and our API are reached at.
const HTTPS_PORT: u16 = 443;

/// Something in the configuration that cannot be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key in the file, step by step.
    pub key: Vec<String>,
    /// What is wrong and what to write instead.
    pub what: String,
}

/// Faults as they are found.
struct Faults(Vec<Fault>);

impl Faults {
    fn keep(&mut self, key: &[&str], checked: Result<(), String>) {
        if let Err(what) = checked {
            self.0.push(Fault { key: key.iter().map(ToString::to_string).collect(), what });
        }
    }
}

impl Settings {
    /// What cannot be deployed.
    #[must_use]
    pub fn faults(&self, policy: &Policy) -> Vec<Fault> {
        let mut faults = Faults(Vec::new());
        faults.keep(&["aws", "region"], given(self.region.as_ref(), region));
        faults.keep(&["aws", "image"], given(self.image.as_ref(), image));
        let boundary = |text: &str| match text.contains(":policy/") {
            true => arn(text, "iam", "a policy"),
            false => Err(format!("`{text}` is no ARN of a policy: write arn:aws:iam::123456789012:policy/NAME")),
        };
        let key = |text: &str| match text.contains(":alias/") {
            // In a role's permissions it permits nothing, and CloudWatch Logs refuses it.
            true => Err(format!("`{text}` is an alias: write the key's own ARN")),
            false => arn(text, "kms", "a key"),
        };
        faults.keep(&["aws", "permissions_boundary"], given(self.permissions_boundary.as_ref(), boundary));
        let key = |text: &str| key(text).and_then(|()| same_region(text, self.region.as_deref(), "a key"));
        faults.keep(&["aws", "kms_key"], given(self.kms_key.as_ref(), key));
        faults.keep(&["aws", "log_retention_days"], retention(self.log_retention_days));
        faults.keep(&["aws", "scaler_concurrency"], concurrency(self.scaler_concurrency));
        self.state_faults(&mut faults);
        self.network_faults(&mut faults);
        if let Some(domain) = &self.domain {
            domain_faults(domain, self.region.as_deref(), &mut faults);
        }
        for (name, value) in &self.tags {
            faults.keep(&["aws", "tags", name], tag(name, value));
        }
        for class in self.spot.iter().filter(|name| policy.class(name).is_none()) {
            faults.keep(&["aws", "spot"], Err(format!("there is no class `{class}`: write names of classes")));
        }
        if self.image.is_none() && policy.classes.iter().any(|class| class.image.is_none()) {
            let what = "missing: write the URI of the runners' image, as \
                        123456789012.dkr.ecr.eu-central-1.amazonaws.com/runner:1; or `image` in each class";
            faults.keep(&["aws", "image"], Err(what.into()));
        }
        self.capacity_faults(policy, &mut faults);
        for (n, class) in policy.classes.iter().enumerate() {
            self.class_faults(&n.to_string(), class, &mut faults);
        }
        faults.0
    }

    fn state_faults(&self, faults: &mut Faults) {
        match &self.state {
            State::DynamoDb => {}
            State::Valkey => {
                if matches!(&self.network, Network::Existing(network) if network.private_subnets.len() < 2) {
                    let what = "two, in two zones, are needed: functions reach the cache from inside the VPC only; name subnets with a way to \
                                the internet through a NAT gateway";
                    faults.keep(&["aws", "network", "private_subnets"], Err(what.into()));
                }
            }
            State::ValkeyAt(ValkeyAt { url, secret }) => {
                faults.keep(&["aws", "valkey", "url"], valkey_url(url));
                let of = |text: &str| {
                    arn(text, "secretsmanager", "a secret")
                        .and_then(|()| same_region(text, self.region.as_deref(), "a secret"))
                };
                let secret = given(secret.as_ref(), of);
                faults.keep(&["aws", "valkey", "secret"], secret);
            }
        }
    }

    fn network_faults(&self, faults: &mut Faults) {
        let key = |name| ["aws", "network", name];
        if self.egress_ports.len() > EGRESS_PORTS_MAX {
            let what =
                format!("more than {EGRESS_PORTS_MAX} ports: a security group has that many rules; leave some out");
            faults.keep(&key("egress_ports"), Err(what));
        }
        let twice = |port: &u16| self.egress_ports.iter().filter(|other| *other == port).count() > 1;
        if let Some(port) = self.egress_ports.iter().find(|port| **port == 0 || **port == DNS_PORT || twice(port)) {
            let what = format!("{port}: each port from 1 on once; DNS ({DNS_PORT}) is always open");
            faults.keep(&key("egress_ports"), Err(what));
        }
        if !self.egress_ports.contains(&HTTPS_PORT) {
            let what = format!("{HTTPS_PORT} is missing: runners reach GitHub, and us, at it");
            faults.keep(&key("egress_ports"), Err(what));
        }
        match &self.network {
            Network::Own { cidr } => faults.keep(&key("cidr"), quarters(cidr).map(|_| ())),
            Network::Existing(ExistingNetwork { vpc_id, subnets, private_subnets, public_ip }) => {
                faults.keep(&key("subnets"), once(subnets));
                faults.keep(&key("private_subnets"), once(private_subnets));
                if let Some(subnet) = subnets.iter().find(|subnet| *public_ip && private_subnets.contains(subnet)) {
                    let what = format!(
                        "{subnet} is among `subnets` too, whose runners get public addresses: functions have none and \
                         reach nothing from there; name subnets behind a NAT gateway"
                    );
                    faults.keep(&key("private_subnets"), Err(what));
                }
                faults.keep(&key("vpc_id"), id(vpc_id, "vpc-"));
                if subnets.is_empty() {
                    faults.keep(&key("subnets"), Err("missing: name the subnets that runners are started in".into()));
                }
                subnets.iter().for_each(|subnet| faults.keep(&key("subnets"), id(subnet, "subnet-")));
                private_subnets.iter().for_each(|subnet| faults.keep(&key("private_subnets"), id(subnet, "subnet-")));
            }
        }
    }

    fn capacity_faults(&self, policy: &Policy, faults: &mut Faults) {
        for (name, capacity) in &self.capacity {
            let mut keep = |checked| faults.keep(&["aws", "capacity", name.as_str()], checked);
            let refuse = |is_so: bool, what: &str| if is_so { Err(what.to_owned()) } else { Ok(()) };
            let class = policy.class(name);
            keep(refuse(class.is_none(), "there is no class of that name: write names of classes"));
            keep(refuse(
                capacity.providers.is_empty(),
                "no provider: write names of capacity providers, as [\"team-arm64\"]",
            ));
            capacity.providers.iter().for_each(|provider| keep(provider_name(provider)));
            let asks = class.map(|class| (class.allow.spot, class.allow.disk_gb.is_some())).unwrap_or_default();
            let spot = self.spot.contains(name) || asks.0;
            keep(refuse(
                spot,
                "Spot is the provider's matter: leave the class out of `spot`, and `spot` out of its `allow`",
            ));
            keep(refuse(asks.1, "the disk is the provider's matter: leave `disk_gb` out of the class's `allow`"));
            let is_made = matches!(self.network, Network::Own { .. });
            let what =
                "a task on an instance has no public address: name subnets behind a NAT gateway in [aws.network]";
            keep(refuse(is_made, what));
        }
    }

    fn class_faults(&self, at: &str, class: &Class, faults: &mut Faults) {
        faults.keep(&["classes", at, "image"], given(class.image.as_ref(), image));
        if self.capacity.contains_key(&class.name) {
            return;
        }
        faults.keep(&["classes", at, "size", "cpu_milli"], size::cpu(&class.size));
        faults.keep(&["classes", at, "size", "memory_mb"], size::memory(&class.size));
        faults.keep(&["classes", at, "size", "disk_gb"], size::disk(&class.size));
        faults.keep(&["classes", at, "allow", "cpu_milli"], size::allowed_cpu(&class.allow));
        faults.keep(&["classes", at, "allow", "memory_mb"], size::allowed_memory(class));
        faults.keep(&["classes", at, "allow", "disk_gb"], size::allowed_disk(&class.allow));
    }
}

fn domain_faults(domain: &Domain, region: Option<&str>, faults: &mut Faults) {
    let key = |name| ["aws", "domain", name];
    faults.keep(&key("name"), host(&domain.name));
    let certificate = given(domain.certificate.as_ref(), |text| certificate(text, region));
    faults.keep(&key("certificate"), certificate);
    let zone = |text: &str| match plain(text, b"") && text.starts_with('Z') {
        true => Ok(()),
        false => Err(format!("`{text}` is no id of a hosted zone: write it as Route 53 shows it, as Z0123456789ABC")),
    };
    faults.keep(&key("hosted_zone"), given(domain.hosted_zone.as_ref(), zone));
    if domain.certificate.is_none() && domain.hosted_zone.is_none() {
        let what = "missing: name the certificate's ARN, or the `hosted_zone` in which a new one can be proved";
        faults.keep(&key("certificate"), Err(what.into()));
    }
}

fn certificate(text: &str, region: Option<&str>) -> Result<(), String> {
    arn(text, "acm", "a certificate")?;
    // The one of CloudFront, which is always in us-east-1, is taken for it at times.
    same_region(text, region, "a certificate")
}

/// What stands in an ARN's Region is used from that Region only.
fn same_region(arn: &str, region: Option<&str>, what: &str) -> Result<(), String> {
    let own = arn.split(':').nth(ARN_REGION).unwrap_or_default();
    match region.filter(|region| *region != own) {
        Some(region) => Err(format!("it is of {own}: what is in {region} takes {what} of {region} only")),
        None => Ok(()),
    }
}

fn once(subnets: &[String]) -> Result<(), String> {
    let twice = subnets.iter().enumerate().find(|(n, subnet)| subnets[..*n].contains(subnet));
    twice.map_or(Ok(()), |(_, subnet)| Err(format!("{subnet} stands here twice: name each once")))
}

fn given<T: AsRef<str>>(text: Option<T>, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    text.map_or(Ok(()), |text| check(text.as_ref()))
}

fn plain(text: &str, other: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || other.contains(&byte))
}

pub(crate) fn region(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split('-').collect();
    let ends = parts.last().is_some_and(|last| last.parse::<u8>().is_ok());
    if parts.len() >= REGION_PARTS_MIN
        && ends
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"-0123456789".contains(&byte))
    {
        return Ok(());
    }
    Err(format!("`{text}` is no Region: write its code, as eu-central-1"))
}

fn arn(text: &str, service: &str, what: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.splitn(ARN_PARTS, ':').collect();
    let whole = parts.len() == ARN_PARTS && parts[0] == "arn" && parts[2] == service && !parts[5].is_empty();
    if whole && !text.contains(['*', '?', '$', '{', ' ']) {
        return Ok(());
    }
    Err(format!("`{text}` is no ARN of {what}: write it whole, as arn:aws:{service}:…"))
}

fn id(text: &str, prefix: &str) -> Result<(), String> {
    match text.strip_prefix(prefix) {
        Some(rest) if plain(rest, b"") => Ok(()),
        Some(_) | None => {
            Err(format!("`{text}` is no id: write it as the console shows it, as {prefix}0123456789abcdef0"))
        }
    }
}

fn image(text: &str) -> Result<(), String> {
    let (_, name) = text.rsplit_once('/').unwrap_or_default();
    if plain(text, b"./:@-_") && name.split_once([':', '@']).is_some_and(|(_, version)| !version.is_empty()) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is no URI of an image: write registry, repository and tag or digest, as \
         123456789012.dkr.ecr.eu-central-1.amazonaws.com/runner:1"
    ))
}

fn host(text: &str) -> Result<(), String> {
    let labels: Vec<&str> = text.split('.').collect();
    let good = |label: &&str| plain(label, b"-") && !label.starts_with('-') && !label.ends_with('-');
    if labels.len() > 1 && labels.iter().all(good) && text.len() <= HOST_CHARS_MAX {
        return Ok(());
    }
    Err(format!("`{text}` is no name of a host: write it as runners.example.com, without https://"))
}

fn provider_name(text: &str) -> Result<(), String> {
    let reserved = ["aws", "ecs", "fargate"].iter().any(|word| text.to_ascii_lowercase().starts_with(word));
    if plain(text, b"-_") && !reserved {
        return Ok(());
    }
    Err(format!("`{text}` is no name of a capacity provider of yours: write it as ECS lists it, no ARN"))
}

fn valkey_url(text: &str) -> Result<(), String> {
    let rest = ["rediss://", "redis://", "valkeys://", "valkey://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let Some(rest) = rest else {
        return Err(format!("`{}` is no URL of a server: write rediss://HOST:PORT", shown(text)));
    };
    if rest.contains('@') {
        // It would stand in the template and in the functions' environment, where many may read it.
        return Err("user and password stand in a secret, not here: store {\"username\", \"password\"} in Secrets \
                    Manager and name its ARN with `secret`"
            .into());
    }
    if plain(rest, b".-:/_") && port(text).is_some() {
        return Ok(());
    }
    Err(format!("`{text}` is no URL of a server: write rediss://HOST:PORT"))
}

/// A URL without what may be a password.
fn shown(text: &str) -> &str {
    text.rsplit('@').next().unwrap_or_default()
}

/// The port of a server's URL; `None` if it is no number.
#[must_use]
pub(crate) fn port(url: &str) -> Option<u16> {
    let authority = url.split("://").nth(1)?.split('/').next()?;
    match authority.rsplit_once(':') {
        Some((_, port)) => port.parse().ok(),
        None => Some(VALKEY_PORT),
    }
}

fn retention(days: u32) -> Result<(), String> {
    if RETENTION_DAYS.contains(&days) {
        return Ok(());
    }
    let next = RETENTION_DAYS.iter().find(|one| **one > days).unwrap_or(&3_653);
    Err(format!("CloudWatch does not keep logs for {days} days: write {next}"))
}

fn concurrency(copies: u32) -> Result<(), String> {
    if (CONCURRENCY_MIN..=CONCURRENCY_MAX).contains(&copies) {
        return Ok(());
    }
    Err(format!("{copies}: AWS takes {CONCURRENCY_MIN} to {CONCURRENCY_MAX}"))
}

fn tag(name: &str, value: &str) -> Result<(), String> {
    if OWN_TAGS.contains(&name) {
        return Err("this tag is set for each stage: leave it out, or give yours another name".into());
    }
    let long = name.len() > TAG_NAME_CHARS_MAX || value.len() > TAG_VALUE_CHARS_MAX;
    if name.to_ascii_lowercase().starts_with("aws:") || long || !plain(name, b" _.:/=+-@") {
        return Err(format!(
            "AWS does not take this tag: a name has up to {TAG_NAME_CHARS_MAX} letters, digits and ` _.:/=+-@` and does \
             not begin with `aws:`, a value has up to {TAG_VALUE_CHARS_MAX}"
        ));
    }
    Ok(())
}

/// The four quarters of a network, as `a.b.c.d/n`.
///
/// # Errors
/// It is no network, or too large or small for AWS.
pub(crate) fn quarters(cidr: &str) -> Result<[String; 4], String> {
    let wrong = || {
        format!(
            "`{cidr}` is no network for a VPC: write the first address and {CIDR_BITS_MIN} to {CIDR_BITS_MAX} bits, as 10.73.0.0/16"
        )
    };
    let (address, bits) = cidr.split_once('/').ok_or_else(wrong)?;
    let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let bits: u32 = bits.parse().map_err(|_| wrong())?;
    let first = u32::from(address);
    if !(CIDR_BITS_MIN..=CIDR_BITS_MAX).contains(&bits) || first & (u32::MAX >> bits) != 0 || !address.is_private() {
        return Err(wrong());
    }
    let quarter = |n: u32| format!("{}/{}", Ipv4Addr::from(first + (n << (30 - bits))), bits + 2);
    Ok([0, 1, 2, 3].map(quarter))
}

/// Area, direction, number; some Regions have more.
const REGION_PARTS_MIN: usize = 3;

/// `arn:partition:service:region:account:resource`
const ARN_PARTS: usize = 6;

/// The Region among them.
const ARN_REGION: usize = 3;

/// Names of hosts are no longer (RFC 1035).
const HOST_CHARS_MAX: usize = 253;

/// A security group has 60 rules; DNS and some to spare are left.
const EGRESS_PORTS_MAX: usize = 50;

/// The port that Valkey and Redis listen on.
const VALKEY_PORT: u16 = 6_379;

/// What CloudWatch Logs takes (PutRetentionPolicy).
const RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1_096, 1_827, 2_192, 2_557, 2_922, 3_288, 3_653];

/// Limits of an event source's `MaximumConcurrency` (FACTS §5).
const CONCURRENCY_MIN: u32 = 2;
const CONCURRENCY_MAX: u32 = 1_000;

/// Tags that everything of a stage has.
const OWN_TAGS: [&str; 3] = [TAG_APPLICATION, TAG_STAGE, "Name"];

/// Limits of tags.
const TAG_NAME_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;

/// A VPC has /16 to /28; a quarter must hold a crowd of runners with an address each.
const CIDR_BITS_MIN: u32 = 16;
const CIDR_BITS_MAX: u32 = 22;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fleet::{
        class::{Arch, Size},
        wishes::Allow,
    };

    use super::*;
    use crate::settings::{Capacity, CapacityKind, usual_class};

    fn told(settings: &Settings) -> BTreeMap<String, String> {
        let policy = Policy { classes: vec![usual_class(settings.arch)], ..Policy::default() };
        settings.faults(&policy).into_iter().map(|fault| (fault.key.join("."), fault.what)).collect()
    }

    fn good() -> Settings {
        Settings { image: Some("ghcr.io/acme/runner:1".into()), ..Settings::default() }
    }

    #[test]
    fn the_usual_deployment_has_no_fault() {
        assert_eq!(told(&good()), BTreeMap::new());
    }

    #[test]
    fn each_value_that_cannot_be_is_told_with_what_can() {
        let domain = Domain { name: "https://x".into(), certificate: None, hosted_zone: None };
        let settings = Settings {
            region: Some("Frankfurt".into()),
            image: Some("runner".into()),
            domain: Some(domain),
            permissions_boundary: Some("arn:aws:iam::1:*".into()),
            kms_key: Some("alias/x".into()),
            log_retention_days: 31,
            spot: ["big".into()].into(),
            tags: [("aws:x".to_owned(), String::new()), ("Stage".to_owned(), "x".to_owned())].into(),
            scaler_concurrency: 1,
            network: Network::Own { cidr: "10.73.1.0/16".into() },
            ..Settings::default()
        };
        let told = told(&settings);
        for (key, words) in [
            ("aws.region", "as eu-central-1"),
            ("aws.image", "is no URI of an image"),
            ("aws.domain.name", "without https://"),
            ("aws.domain.certificate", "or the `hosted_zone`"),
            ("aws.permissions_boundary", "ARN of a policy"),
            ("aws.kms_key", "ARN of a key"),
            ("aws.log_retention_days", "write 60"),
            ("aws.spot", "no class `big`"),
            ("aws.tags.aws:x", "does not take this tag"),
            ("aws.tags.Stage", "is set for each stage"),
            ("aws.scaler_concurrency", "2 to 1000"),
            ("aws.network.cidr", "as 10.73.0.0/16"),
        ] {
            assert!(told.get(key).is_some_and(|what| what.contains(words)), "{key}: {told:#?}");
        }
        assert_eq!(told.len(), 12, "{told:#?}");
    }

    #[test]
    fn instances_are_named_have_any_size_and_a_way_out() {
        let capacity = |providers: &[&str]| Capacity {
            kind: CapacityKind::Ec2,
            providers: providers.iter().map(ToString::to_string).collect(),
        };
        let usual = usual_class(Arch::Arm64);
        let name = usual.name.clone();
        let told = |settings: &Settings, class: &Class| -> Vec<String> {
            let policy = Policy { classes: vec![class.clone()], ..Policy::default() };
            settings
                .faults(&policy)
                .into_iter()
                .map(|fault| format!("{}: {}", fault.key.join("."), fault.what))
                .collect()
        };
        let with = |providers: &[&str]| Settings { capacity: [(name.clone(), capacity(providers))].into(), ..good() };
        let faults = told(&with(&["team"]), &usual);
        assert!(faults.len() == 1 && faults[0].contains("NAT gateway"), "{faults:?}");
        let subnets = vec!["subnet-1".to_owned()];
        let network = Network::Existing(ExistingNetwork {
            vpc_id: "vpc-1".into(),
            subnets,
            private_subnets: Vec::new(),
            public_ip: false,
        });
        let inside = |providers: &[&str]| Settings { network: network.clone(), ..with(providers) };
        let huge =
            Class { size: Size { cpu_milli: 48_000, memory_mb: 1, disk_gb: 900, ..usual.size }, ..usual.clone() };
        assert_eq!(told(&inside(&["team-a", "team_b"]), &huge), [] as [&str; 0]);
        let asking = Class { allow: Allow { spot: true, disk_gb: Some([21, 40]), ..Allow::default() }, ..usual };
        let faults = told(&inside(&["FARGATE", "arn:x"]), &asking);
        for words in
            ["`FARGATE` is no name", "`arn:x` is no name", "Spot is the provider's", "the disk is the provider's"]
        {
            assert!(faults.iter().any(|fault| fault.contains(words)), "{words}: {faults:?}");
        }
        let nobody = Settings { capacity: [("big".into(), capacity(&[]))].into(), ..good() };
        let faults = told(&nobody, &huge);
        assert!(faults.iter().any(|fault| fault.contains("no class of that name")), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.contains("no provider")), "{faults:?}");
    }

    #[test]
    fn a_certificate_is_of_the_region_and_an_image_is_named_somewhere() {
        let of = |region: &str| {
            let certificate = Some("arn:aws:acm:us-east-1:1:certificate/x".into());
            let domain = Some(Domain { name: "ci.example.com".into(), certificate, hosted_zone: None });
            told(&Settings { domain, region: Some(region.into()), ..good() })
        };
        assert!(of("eu-central-1")["aws.domain.certificate"].contains("certificate of eu-central-1 only"));
        assert_eq!(of("us-east-1"), BTreeMap::new());
        let key = |region: &str| {
            let kms_key = Some("arn:aws:kms:us-east-1:1:key/x".into());
            told(&Settings { kms_key, region: Some(region.into()), ..good() })
        };
        assert!(key("eu-central-1")["aws.kms_key"].contains("takes a key of eu-central-1 only"));
        assert_eq!(key("us-east-1"), BTreeMap::new());
        for image in ["ghcr.io/acme/runner", "localhost:5000/runner", "ghcr.io/acme/runner:", "runner:1"] {
            let told = told(&Settings { image: Some(image.into()), ..good() });
            assert!(told["aws.image"].contains("tag or digest"), "{image}: {told:?}");
        }
        for image in ["localhost:5000/runner:1", "ghcr.io/acme/runner@sha256:0123"] {
            assert_eq!(told(&Settings { image: Some(image.into()), ..good() }), BTreeMap::new());
        }
        let without = told(&Settings { image: None, ..good() });
        assert!(without["aws.image"].contains("the URI of the runners' image"), "{without:?}");
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for url in ["rediss://u:hunter2@h:1", "http://u:hunter2@h:1"] {
            let state = State::ValkeyAt(ValkeyAt { url: url.into(), secret: None });
            let told = told(&Settings { state, ..good() });
            assert!(told.contains_key("aws.valkey.url") && !format!("{told:?}").contains("hunter2"), "{told:?}");
        }
        assert_eq!((valkey_url("redis://127.0.0.1:6400"), port("rediss://h:6400/0")), (Ok(()), Some(6_400)));
    }

    #[test]
    fn a_network_has_four_quarters() {
        assert_eq!(quarters("10.73.0.0/16").unwrap()[3], "10.73.192.0/18");
        assert!(quarters("8.8.0.0/16").is_err() && quarters("10.0.0.0/24").is_err() && quarters("x").is_err());
    }

    #[test]
    fn runners_reach_github_and_each_subnet_stands_once() {
        let ports = told(&Settings { egress_ports: vec![80], ..good() });
        assert!(ports["aws.network.egress_ports"].contains("443 is missing"), "{ports:?}");
        let told = |subnets: &[&str], private: &[&str], public_ip| {
            let list = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
            let (subnets, private_subnets) = (list(subnets), list(private));
            let network =
                Network::Existing(ExistingNetwork { vpc_id: "vpc-1".into(), subnets, private_subnets, public_ip });
            told(&Settings { network, ..good() })
        };
        let twice = told(&["subnet-1", "subnet-2", "subnet-1"], &[], true);
        assert!(twice["aws.network.subnets"].contains("subnet-1 stands here twice"), "{twice:?}");
        let both = told(&["subnet-1"], &["subnet-1"], true);
        assert!(both["aws.network.private_subnets"].contains("among `subnets` too"), "{both:?}");
        assert_eq!(told(&["subnet-1"], &["subnet-1"], false), BTreeMap::new(), "both behind a NAT gateway");
    }

    #[test]
    fn an_existing_network_needs_subnets_and_the_cache_private_ones() {
        let existing = ExistingNetwork {
            vpc_id: "vpc-1".into(),
            subnets: Vec::new(),
            private_subnets: Vec::new(),
            public_ip: true,
        };
        let told = told(&Settings { state: State::Valkey, network: Network::Existing(existing), ..good() });
        assert!(told.contains_key("aws.network.subnets") && told.contains_key("aws.network.private_subnets"));
    }
}
