//! The HTTP API: webhooks of GitHub, calls of agents, a word for people; and a name of one's own for it.

use serde_json::{Value, json};

use super::{
    Stack,
    functions::{FUNCTIONS, Function},
    template::{Id, Resource, Template, sub},
};
use crate::settings::Domain;

/// The API.
pub(super) struct Api {
    id: Id,
}

impl Api {
    /// Its address, without a trailing slash. Agents use it also where there is a domain: it needs nobody's DNS.
    pub(super) fn endpoint(&self) -> Value {
        self.id.att("ApiEndpoint")
    }
}

/// Route, how IAM writes it, and who answers. Any method: a wrong one is told what is right, as the daemon tells it.
const ROUTES: [(&str, &str, &str, Function); 4] = [
    ("Webhook", "ANY /webhook", "*/webhook", Function::Webhook),
    ("Agent", "ANY /agent/v1/{proxy}", "*/agent/v1/*", Function::Agent),
    ("Hello", "ANY /", "*/", Function::Hello),
    ("Health", "ANY /healthz", "*/healthz", Function::Hello),
];

impl Stack<'_> {
    /// Makes it, still without routes: functions know its address.
    pub(super) fn api(&self, template: &mut Template) -> Api {
        let api = json!({
            "Name": super::stack_name(&self.policy.stage),
            "Description": "Webhooks of GitHub and calls of agents",
            "ProtocolType": "HTTP",
            "Tags": self.tag_map(),
        });
        let api = Api { id: template.add("Api", Resource::new("AWS::ApiGatewayV2::Api", "Webhooks and agents.", api)) };
        let name = format!("/aws/vendedlogs/apis/{}", super::stack_name(&self.policy.stage));
        let logs =
            self.log_group(template, "ApiLogs".into(), &name, "One line for each request, without what was sent.");
        let stage = json!({
            "ApiId": api.id.reference(),
            "StageName": "$default",
            "AutoDeploy": true,
            "DefaultRouteSettings": { "ThrottlingBurstLimit": BURST_REQUESTS, "ThrottlingRateLimit": REQUESTS_PER_S },
            "AccessLogSettings": { "DestinationArn": logs.att("Arn"), "Format": Self::access_log_format() },
            "Tags": self.tag_map(),
        });
        let stage = template.add("ApiStage", Resource::new("AWS::ApiGatewayV2::Stage", "What is public.", stage));
        if let Some(domain) = &self.settings.domain {
            self.domain(template, domain, &api, &stage);
        }
        template.output("WebhookUrl", "Payload URL of the webhook at GitHub", self.webhook_url(&api));
        template.output("ApiEndpoint", "Address of the API", api.endpoint());
        api
    }

    /// Where GitHub sends webhooks.
    pub(super) fn webhook_url(&self, api: &Api) -> Value {
        match &self.settings.domain {
            Some(domain) => format!("https://{}/webhook", domain.name).into(),
            None => sub(format!("${{{}.ApiEndpoint}}/webhook", api.id.as_str())),
        }
    }

    /// Connects routes and functions.
    pub(super) fn routes(&self, template: &mut Template, api: &Api, functions: &[Id; 5]) {
        for (function, id) in FUNCTIONS.iter().zip(functions) {
            if !ROUTES.iter().any(|route| route.3 == *function) {
                continue;
            }
            let integration = json!({
                "ApiId": api.id.reference(),
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": id.att("Arn"),
                "PayloadFormatVersion": "2.0",
            });
            let about = format!("{} as an answerer.", function.name());
            let integration = Resource::new("AWS::ApiGatewayV2::Integration", about, integration);
            let integration = template.add(format!("{}Integration", function.name()), integration);
            for (name, key, path, _) in ROUTES.iter().filter(|route| route.3 == *function) {
                let to = sub(format!("integrations/${{{}}}", integration.as_str()));
                let route =
                    json!({ "ApiId": api.id.reference(), "RouteKey": key, "AuthorizationType": "NONE", "Target": to });
                let about = format!("{key}: {}", proof(*function));
                template.add(format!("{name}Route"), Resource::new("AWS::ApiGatewayV2::Route", about, route));
                self.may_call(template, name, path, api, id);
            }
        }
    }

    fn may_call(&self, template: &mut Template, name: &str, path: &str, api: &Api, function: &Id) {
        let api = api.id.as_str();
        let source =
            format!("arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{api}}}/*/{path}");
        let permission = json!({
            "Action": "lambda:InvokeFunction",
            "FunctionName": function.reference(),
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": sub(source),
        });
        let about = "The API may call the function, on that route only.";
        template.add(format!("{name}Permission"), Resource::new("AWS::Lambda::Permission", about, permission));
    }

    fn domain(&self, template: &mut Template, domain: &Domain, api: &Api, stage: &Id) {
        let certificate = match &domain.certificate {
            Some(arn) => arn.as_str().into(),
            None => self.certificate(template, domain),
        };
        let name = json!({
            "DomainName": domain.name,
            "DomainNameConfigurations": [
                { "CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2" },
            ],
            "Tags": self.tag_map(),
        });
        let about = "The webhook's own name.";
        let id = template.add("Domain", Resource::new("AWS::ApiGatewayV2::DomainName", about, name));
        let mapping = json!({ "ApiId": api.id.reference(), "DomainName": id.reference(), "Stage": stage.reference() });
        let about = "The name leads to the API.";
        template.add("DomainMapping", Resource::new("AWS::ApiGatewayV2::ApiMapping", about, mapping));
        let (target, zone) = (id.att("RegionalDomainName"), id.att("RegionalHostedZoneId"));
        if let Some(own) = &domain.hosted_zone {
            let record = json!({
                "HostedZoneId": own,
                "Name": domain.name,
                "Type": "A",
                "AliasTarget": { "DNSName": target, "HostedZoneId": zone },
            });
            let about = "The name's record in the zone that is configured.";
            template.add("DomainRecord", Resource::new("AWS::Route53::RecordSet", about, record));
        }
        template.output("DnsRecordName", "DNS record to make: its name", domain.name.as_str().into());
        template.output("DnsRecordTarget", "DNS record to make: CNAME (or alias) to", target);
        template.output("DnsRecordTargetZone", "Hosted zone of that target, for an alias in Route 53", zone);
    }

    fn certificate(&self, template: &mut Template, domain: &Domain) -> Value {
        let certificate = json!({
            "DomainName": domain.name,
            "ValidationMethod": "DNS",
            "DomainValidationOptions": [{ "DomainName": domain.name, "HostedZoneId": domain.hosted_zone }],
            "Tags": self.named_tag_list("webhook"),
        });
        let about = "Certificate of the name, proved by a record in its zone.";
        let certificate = Resource::new("AWS::CertificateManager::Certificate", about, certificate);
        template.add("Certificate", certificate).reference()
    }
}

/// What a caller must show: the API itself asks for nothing.
fn proof(function: Function) -> &'static str {
    match function {
        Function::Webhook => "GitHub's signature is verified by the function.",
        Function::Agent => "the claim token is verified by the function.",
        Function::Hello => "open to everybody, tells nothing.",
        Function::Scaler | Function::Sweep => "not reached from outside.",
    }
}

/// Requests at once and a second: a thousand jobs and their machines at a time, not what a flood of strangers can cost.
const BURST_REQUESTS: u32 = 2_000;
const REQUESTS_PER_S: u32 = 1_000;
