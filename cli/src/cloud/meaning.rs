//! From the shape of `[aws]` to what it means. Keys that only make sense together are looked at here; single values are
//! checked where they are used, in the crate `aws`.

use aws::settings::{
    CIDR_DEFAULT, Capacity, CapacityKind, Domain, ExistingNetwork, Network, Settings, State, ValkeyAt,
};

use crate::serve::{
    config::aws::{
        self as config, AwsSection, CapacitySection, DomainSection, NetworkSection, StateKind, ValkeySection,
    },
    settings::Problems,
};

/// What it means.
pub(super) fn settings(section: &AwsSection, problems: &mut Problems) -> Settings {
    Settings {
        region: section.region.clone(),
        arch: section.arch,
        image: section.image.clone(),
        state: state(section.state, &section.valkey, problems),
        network: network(&section.network, problems),
        egress_ports: section.network.egress_ports.clone(),
        domain: domain(&section.domain, problems),
        permissions_boundary: section.permissions_boundary.clone(),
        kms_key: section.kms_key.clone(),
        log_retention_days: section.log_retention_days,
        capacity: section.capacity.iter().map(|(class, capacity)| (class.clone(), of(capacity))).collect(),
        spot: section.spot.iter().cloned().collect(),
        tags: section.tags.clone(),
        scaler_concurrency: section.scaler_concurrency,
    }
}

fn of(section: &CapacitySection) -> Capacity {
    let kind = match section.kind {
        config::CapacityKind::Ec2 => CapacityKind::Ec2,
        config::CapacityKind::Managed => CapacityKind::Managed,
    };
    Capacity { kind, providers: section.providers.clone() }
}

fn state(kind: StateKind, valkey: &ValkeySection, problems: &mut Problems) -> State {
    if valkey.url.is_none() && valkey.secret.is_some() {
        problems.add(&["aws", "valkey", "secret"], "of which server? Name it with `url`, or leave this out");
    }
    match (kind, &valkey.url) {
        (StateKind::DynamoDb, None) => State::DynamoDb,
        (StateKind::DynamoDb, Some(_)) => {
            let what = "state is kept in DynamoDB: write `state = \"valkey\"` below [aws], or leave this out";
            problems.add(&["aws", "valkey", "url"], what);
            State::DynamoDb
        }
        (StateKind::Valkey, None) => State::Valkey,
        (StateKind::Valkey, Some(url)) => State::ValkeyAt(ValkeyAt { url: url.clone(), secret: valkey.secret.clone() }),
    }
}

fn network(section: &NetworkSection, problems: &mut Problems) -> Network {
    let Some(vpc_id) = &section.vpc_id else {
        for (name, list) in [("subnets", &section.subnets), ("private_subnets", &section.private_subnets)] {
            if !list.is_empty() {
                problems.add(&["aws", "network", name], "of which VPC? Name it with `vpc_id`, or leave this out");
            }
        }
        if !section.public_ip {
            let what =
                "runners of the VPC that is made reach nothing without: leave this out, or name a VPC with `vpc_id`";
            problems.add(&["aws", "network", "public_ip"], what);
        }
        return Network::Own { cidr: section.cidr.clone().unwrap_or_else(|| CIDR_DEFAULT.into()) };
    };
    if section.cidr.is_some() {
        problems.add(&["aws", "network", "cidr"], "the VPC that is there has its addresses already: leave this out");
    }
    Network::Existing(ExistingNetwork {
        vpc_id: vpc_id.clone(),
        subnets: section.subnets.clone(),
        private_subnets: section.private_subnets.clone(),
        public_ip: section.public_ip,
    })
}

fn domain(section: &DomainSection, problems: &mut Problems) -> Option<Domain> {
    let DomainSection { name, certificate, hosted_zone } = section;
    if name.is_none() && (certificate.is_some() || hosted_zone.is_some()) {
        problems.add(&["aws", "domain"], "of which name? Write `name = \"runners.example.com\"`");
    }
    Some(Domain { name: name.clone()?, certificate: certificate.clone(), hosted_zone: hosted_zone.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(section: &AwsSection) -> (Settings, Vec<String>) {
        let mut problems = Problems::default();
        let settings = settings(section, &mut problems);
        (settings, problems.iter().map(|problem| problem.key.join(".")).collect())
    }

    #[test]
    fn what_holds_without_a_word_is_the_same_in_both_crates() {
        assert_eq!(told(&AwsSection::default()), (Settings::default(), Vec::new()));
    }

    #[test]
    fn keys_that_make_no_sense_alone_are_told() {
        let valkey = ValkeySection { url: Some("rediss://h:1".into()), secret: None };
        let network =
            NetworkSection { subnets: vec!["subnet-1".into()], public_ip: false, ..NetworkSection::default() };
        let domain = DomainSection { hosted_zone: Some("Z1".into()), ..DomainSection::default() };
        let (_, keys) = told(&AwsSection { valkey, network, domain, ..AwsSection::default() });
        assert_eq!(keys, ["aws.valkey.url", "aws.network.subnets", "aws.network.public_ip", "aws.domain"]);
        let network = NetworkSection { vpc_id: Some("v".into()), cidr: Some("c".into()), ..NetworkSection::default() };
        let valkey = ValkeySection { url: None, secret: Some("s".into()) };
        let (_, keys) = told(&AwsSection { valkey, network, ..AwsSection::default() });
        assert_eq!(keys, ["aws.valkey.secret", "aws.network.cidr"]);
    }
}
