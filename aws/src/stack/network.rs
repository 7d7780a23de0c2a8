//! Where runners and functions are: a VPC over two zones, or one that is there; and what they may reach.
//!
//! Runners are in public subnets with public addresses, which costs less than a NAT gateway. Nothing can call them: their
//! security group lets nothing in. Functions are inside the VPC only where something can be reached from there alone.

use serde_json::{Value, json};

use super::{
    Stack,
    template::{Id, Resource, Template},
};
use crate::settings::{ExistingNetwork, Network as Given, State, quarters, valkey_port};

/// What there is.
pub(super) struct Network {
    /// Subnets of the runners.
    pub(super) runners: Vec<Value>,
    /// Their security group.
    pub(super) runners_group: Id,
    /// Whether they get public addresses.
    pub(super) public_ip: bool,
    /// Subnets and security group of the functions, if they are inside.
    pub(super) functions: Option<Inside>,
    /// The VPC.
    pub(super) vpc: Value,
}

/// Functions inside the VPC.
pub(super) struct Inside {
    /// Their subnets.
    pub(super) subnets: Vec<Value>,
    /// Their security group.
    pub(super) group: Id,
}

/// A subnet's ending: the zone's number is its place in the list of the Region's zones.
const ZONES: [&str; 2] = ["A", "B"];

impl Stack<'_> {
    /// Makes it, or takes what is there.
    pub(super) fn network(&self, template: &mut Template) -> Network {
        let (vpc, runners, private, public_ip) = match &self.settings.network {
            Given::Existing(ExistingNetwork { vpc_id, subnets, private_subnets, public_ip }) => {
                (vpc_id.as_str().into(), values(subnets), values(private_subnets), *public_ip)
            }
            Given::Own { cidr } => {
                // A network with faults is never deployed; its template is of no use, but it is none that panics.
                let quarters = quarters(cidr).unwrap_or_default();
                let (vpc, runners, private) = self.vpc(template, cidr, &quarters);
                (vpc, runners, private, true)
            }
        };
        let runners_group = self.runners_group(template, &vpc);
        let inside = self.settings.functions_are_inside();
        let functions = inside.then(|| Inside { subnets: private, group: self.functions_group(template, &vpc) });
        Network { runners, runners_group, public_ip, functions, vpc }
    }

    fn vpc(&self, template: &mut Template, cidr: &str, quarters: &[String; 4]) -> (Value, Vec<Value>, Vec<Value>) {
        let vpc = json!({
            "CidrBlock": cidr,
            "EnableDnsHostnames": true,
            "EnableDnsSupport": true,
            "Tags": self.named_tag_list("vpc"),
        });
        let vpc = template.add("Vpc", Resource::new("AWS::EC2::VPC", "The network of this stage.", vpc));
        let gateway = json!({ "Tags": self.named_tag_list("gateway") });
        let gateway = template.add(
            "InternetGateway",
            Resource::new("AWS::EC2::InternetGateway", "The way to GitHub and to registries.", gateway),
        );
        let attached = json!({ "VpcId": vpc.reference(), "InternetGatewayId": gateway.reference() });
        let attached = Resource::new("AWS::EC2::VPCGatewayAttachment", "The gateway belongs to the VPC.", attached);
        let attached = template.add("InternetGatewayAttachment", attached);
        let out = json!({ "GatewayId": gateway.reference() });
        let table = self.route_table(template, "Public", &vpc, out, Some(&attached));
        let public: Vec<Id> =
            [0, 1].map(|zone| self.subnet(template, "Public", zone, &vpc, &quarters[zone], &table)).to_vec();
        let mut private = Vec::new();
        if self.settings.functions_are_inside() {
            let nat = self.nat(template, &public[0], &attached);
            let out = json!({ "NatGatewayId": nat.reference() });
            let table = self.route_table(template, "Private", &vpc, out, None);
            private =
                [0, 1].map(|zone| self.subnet(template, "Private", zone, &vpc, &quarters[zone + 2], &table)).to_vec();
        }
        (vpc.reference(), references(&public), references(&private))
    }

    /// One, not one a zone: the other zone's functions lose their way out with it, and the sweep makes up for that.
    fn nat(&self, template: &mut Template, subnet: &Id, attached: &Id) -> Id {
        let address = json!({ "Domain": "vpc", "Tags": self.named_tag_list("nat") });
        let address = Resource::new("AWS::EC2::EIP", "Address from which functions call GitHub.", address);
        let address = template.add("NatAddress", address.after(attached));
        let nat = json!({
            "AllocationId": address.att("AllocationId"),
            "SubnetId": subnet.reference(),
            "Tags": self.named_tag_list("nat"),
        });
        template.add("NatGateway", Resource::new("AWS::EC2::NatGateway", "The way out of the private subnets.", nat))
    }

    fn route_table(&self, template: &mut Template, kind: &str, vpc: &Id, out: Value, after: Option<&Id>) -> Id {
        let name = kind.to_ascii_lowercase();
        let table = json!({ "VpcId": vpc.reference(), "Tags": self.named_tag_list(&name) });
        let table = Resource::new("AWS::EC2::RouteTable", format!("Routes of the {name} subnets."), table);
        let table = template.add(format!("{kind}RouteTable"), table);
        let route = json!({ "RouteTableId": table.reference(), "DestinationCidrBlock": EVERYWHERE });
        let mut route = Resource::new("AWS::EC2::Route", format!("From the {name} subnets to the internet."), route);
        for (name, value) in out.as_object().into_iter().flatten() {
            route = route.with(name, Some(value.clone()));
        }
        let route = after.into_iter().fold(route, Resource::after);
        template.add(format!("{kind}Route"), route);
        table
    }

    fn subnet(&self, template: &mut Template, kind: &str, zone: usize, vpc: &Id, cidr: &str, table: &Id) -> Id {
        let (name, letter) = (kind.to_ascii_lowercase(), ZONES[zone]);
        let subnet = json!({
            "VpcId": vpc.reference(),
            "CidrBlock": cidr,
            "AvailabilityZone": { "Fn::Select": [zone, { "Fn::GetAZs": "" }] },
            // A task asks for its address itself.
            "MapPublicIpOnLaunch": false,
            "Tags": self.named_tag_list(&format!("{name}-{}", letter.to_ascii_lowercase())),
        });
        let about = format!("{kind} subnet in zone {letter}.");
        let id = template.add(format!("{kind}Subnet{letter}"), Resource::new("AWS::EC2::Subnet", about, subnet));
        let routed = json!({ "SubnetId": id.reference(), "RouteTableId": table.reference() });
        let about = format!("The {name} routes hold in subnet {letter}.");
        let routed = Resource::new("AWS::EC2::SubnetRouteTableAssociation", about, routed);
        template.add(format!("{kind}Subnet{letter}Routes"), routed);
        id
    }

    fn runners_group(&self, template: &mut Template, vpc: &Value) -> Id {
        let mut out: Vec<Value> =
            self.settings.egress_ports.iter().map(|port| rule("tcp", *port, "As configured")).collect();
        out.push(rule("udp", DNS_PORT, "DNS"));
        out.push(rule("tcp", DNS_PORT, "DNS, long answers"));
        self.group(template, "RunnersSecurityGroup", vpc, "runners", "Runners: nothing comes in, little goes out.", out)
    }

    fn functions_group(&self, template: &mut Template, vpc: &Value) -> Id {
        let mut out = vec![rule("tcp", HTTPS_PORT, "AWS and GitHub")];
        let about = "Functions: nothing comes in; out to AWS, GitHub and the state.";
        match &self.settings.state {
            State::DynamoDb => {}
            // Reads may come from replicas, at a port of their own.
            State::Valkey => out.extend([VALKEY_PORT, VALKEY_READ_PORT].map(|port| rule("tcp", port, "Valkey"))),
            State::ValkeyAt(at) => out.push(rule("tcp", valkey_port(&at.url).unwrap_or(VALKEY_PORT), "Valkey")),
        }
        self.group(template, "FunctionsSecurityGroup", vpc, "functions", about, out)
    }

    fn group(
        &self,
        template: &mut Template,
        id: &'static str,
        vpc: &Value,
        what: &str,
        about: &str,
        out: Vec<Value>,
    ) -> Id {
        let group = json!({
            // No name of its own: with one, CloudFormation could not make it anew, as another network or description needs.
            "GroupDescription": about.trim_end_matches('.').replace([';', ':'], ","),
            "VpcId": vpc,
            "SecurityGroupEgress": out,
            "Tags": self.named_tag_list(what),
        });
        template.add(id, Resource::new("AWS::EC2::SecurityGroup", about, group))
    }

    /// The cache: functions may come in, nothing goes out.
    pub(super) fn cache_group(&self, template: &mut Template, vpc: &Value, functions: &Id) -> Id {
        let about = "The cache: only functions come in, nothing goes out.";
        // A group without any rule of its own would get the one that lets everything out.
        let nowhere = json!({ "IpProtocol": "icmp", "FromPort": 252, "ToPort": 86, "CidrIp": "255.255.255.255/32", "Description": "Nothing" });
        let id = self.group(template, "CacheSecurityGroup", vpc, "cache", about, vec![nowhere]);
        let rule = json!({
            "GroupId": id.att("GroupId"),
            "IpProtocol": "tcp",
            "FromPort": VALKEY_PORT,
            "ToPort": VALKEY_READ_PORT,
            "SourceSecurityGroupId": functions.att("GroupId"),
            "Description": "Functions to Valkey",
        });
        let about = "Functions reach the cache.";
        template.add("CacheIngress", Resource::new("AWS::EC2::SecurityGroupIngress", about, rule));
        id
    }
}

fn rule(protocol: &str, port: u16, about: &str) -> Value {
    json!({ "IpProtocol": protocol, "FromPort": port, "ToPort": port, "CidrIp": EVERYWHERE, "Description": about })
}

fn values(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

fn references(ids: &[Id]) -> Vec<Value> {
    ids.iter().map(Id::reference).collect()
}

/// GitHub, registries and package mirrors have no fixed addresses.
const EVERYWHERE: &str = "0.0.0.0/0";

/// HTTPS.
const HTTPS_PORT: u16 = 443;

/// Names.
const DNS_PORT: u16 = 53;

/// Where a serverless cache is written to, and where its readers are.
const VALKEY_PORT: u16 = 6_379;
const VALKEY_READ_PORT: u16 = 6_380;
