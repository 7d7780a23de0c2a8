//! What must hold in every variant, looked at in the finished template.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::variants::all;

/// Calls `look` with the path and each value of a tree.
fn walk(path: &str, value: &Value, look: &mut dyn FnMut(&str, &Value)) {
    look(path, value);
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| walk(&format!("{path}/{key}"), inner, look)),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, inner)| walk(&format!("{path}/{n}"), inner, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn templates() -> Vec<(String, Value)> {
    all().iter().map(|variant| (variant.name(), variant.template().to_json())).collect()
}

fn resources(template: &Value) -> &Map<String, Value> {
    template["Resources"].as_object().unwrap()
}

fn of_type<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    resources(template).iter().filter(move |(_, resource)| resource["Type"] == kind)
}

/// All statements of all roles and policies, with the resource that they stand in.
fn statements(template: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk("", &template["Resources"], &mut |path, value| {
        if let Some(list) = value.get("Statement").and_then(Value::as_array) {
            found.extend(list.iter().map(|statement| (path.to_owned(), statement.clone())));
        }
    });
    found
}

#[test]
fn variants_have_no_faults() {
    for variant in all() {
        assert_eq!(variant.settings.faults(&variant.policy), [], "{}", variant.name());
        assert_eq!(variant.stack().faults(), [], "{}", variant.name());
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let pseudo = ["AWS::Region", "AWS::AccountId", "AWS::Partition"];
    for (name, template) in templates() {
        let mut known: BTreeSet<String> = resources(&template).keys().cloned().collect();
        known.extend(template["Parameters"].as_object().unwrap().keys().cloned());
        known.extend(pseudo.map(str::to_owned));
        let check = |at: &str, id: &str| assert!(known.contains(id), "{name}: {at} names {id}, which is not there");
        walk("", &template, &mut |path, value| {
            if let Some(id) = value.get("Ref") {
                check(path, id.as_str().unwrap());
            }
            if let Some(att) = value.get("Fn::GetAtt") {
                check(path, att[0].as_str().unwrap());
            }
            if let Some(after) = value.get("DependsOn").and_then(Value::as_array) {
                after.iter().for_each(|id| check(path, id.as_str().unwrap()));
            }
            if let Some(text) = value.get("Fn::Sub").and_then(Value::as_str) {
                text.split("${").skip(1).for_each(|rest| {
                    let id = rest.split('}').next().unwrap();
                    check(path, if id.starts_with("AWS::") { id } else { id.split('.').next().unwrap() });
                });
            }
        });
    }
}

#[test]
fn no_permission_is_wider_than_it_can_be() {
    // What AWS knows no ARN for (Service Authorization Reference), or none that is known before.
    let without_arn = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
        "ecr:GetAuthorizationToken",
        "ecs:ListTasks",
    ];
    for (name, template) in templates() {
        for (at, statement) in statements(&template) {
            let action = &statement["Action"];
            let list: Vec<Value> = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
            let actions: Vec<&str> = list.iter().map(|action| action.as_str().unwrap()).collect();
            assert!(actions.iter().all(|action| !action.contains('*')), "{name}{at}: {actions:?}");
            let Some(on) = statement.get("Resource") else {
                assert_eq!(actions, ["sts:AssumeRole"], "{name}{at}: allowed on nothing that is named");
                continue;
            };
            for resource in on.as_array().unwrap() {
                let text = resource.as_str().or_else(|| resource["Fn::Sub"].as_str()).unwrap_or("");
                if text == "*" {
                    assert!(actions.iter().all(|action| without_arn.contains(action)), "{name}{at}: {actions:?} on *");
                } else {
                    let what = text.splitn(6, ':').nth(5).unwrap_or("named");
                    assert!(!what.starts_with('*'), "{name}{at}: {text}");
                }
            }
        }
    }
}

#[test]
fn jobs_have_no_rights_in_the_account() {
    for (name, template) in templates() {
        let role = &resources(&template)["TaskRole"]["Properties"];
        assert!(role.get("Policies").is_none() && role.get("ManagedPolicyArns").is_none(), "{name}");
        for (id, task) in of_type(&template, "AWS::ECS::TaskDefinition") {
            assert_eq!(task["Properties"]["TaskRoleArn"]["Fn::GetAtt"][0], "TaskRole", "{name}: {id}");
            let container = &task["Properties"]["ContainerDefinitions"][0];
            assert!(container.get("Environment").is_none() && container.get("Secrets").is_none(), "{name}: {id}");
        }
    }
}

#[test]
fn nothing_is_let_in_to_runners_and_little_out() {
    for (name, template) in templates() {
        let group = &resources(&template)["RunnersSecurityGroup"]["Properties"];
        assert!(group.get("SecurityGroupIngress").is_none(), "{name}");
        let out: Vec<String> = group["SecurityGroupEgress"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| format!("{}{}", rule["IpProtocol"].as_str().unwrap(), rule["FromPort"]))
            .collect();
        assert_eq!(out, ["tcp443", "tcp80", "udp53", "tcp53"], "{name}");
        for (id, rule) in of_type(&template, "AWS::EC2::SecurityGroupIngress") {
            assert_eq!(
                rule["Properties"]["SourceSecurityGroupId"]["Fn::GetAtt"][0], "FunctionsSecurityGroup",
                "{name}: {id}"
            );
        }
    }
}

/// Whoever has instances: their tasks are made for them, and ask for no disk.
#[test]
fn tasks_are_made_for_what_they_run_on() {
    for (name, template) in templates().into_iter().filter(|(name, _)| name.ends_with("-vpc")) {
        let mut made: Vec<(String, bool)> = of_type(&template, "AWS::ECS::TaskDefinition")
            .map(|(_, task)| {
                let properties = &task["Properties"];
                (
                    properties["RequiresCompatibilities"][0].as_str().unwrap().to_owned(),
                    properties["EphemeralStorage"].is_null(),
                )
            })
            .collect();
        made.sort();
        let instances = ["EC2", "MANAGED_INSTANCES"];
        assert_eq!(made.iter().filter(|(on, _)| on == "FARGATE").count(), 2, "{name}");
        assert!(instances.iter().all(|on| made.contains(&((*on).to_owned(), true))), "{name}: {made:?}");
        let (_, cluster) = of_type(&template, "AWS::ECS::Cluster").next().unwrap();
        let providers = &cluster["Properties"]["CapacityProviders"];
        assert_eq!(*providers, serde_json::json!(["FARGATE", "FARGATE_SPOT", "team-a", "team-b"]), "{name}");
    }
}

#[test]
fn logs_are_forgotten_in_time_and_have_their_group() {
    for (name, template) in templates() {
        for (id, group) in of_type(&template, "AWS::Logs::LogGroup") {
            assert_eq!(group["Properties"]["RetentionInDays"], 30, "{name}: {id}");
        }
        for (id, function) in of_type(&template, "AWS::Lambda::Function") {
            let group = function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"].as_str().unwrap();
            assert!(resources(&template).contains_key(group), "{name}: {id}");
        }
    }
}

#[test]
fn what_has_a_name_carries_the_stage() {
    let names = [
        "QueueName",
        "TableName",
        "ClusterName",
        "FunctionName",
        "LogGroupName",
        "GroupName",
        "RepositoryName",
        "Family",
        "ServerlessCacheName",
    ];
    for (variant, template) in templates() {
        let stage = variant.split('-').next().unwrap();
        for (id, resource) in resources(&template) {
            for name in names.iter().filter_map(|name| resource["Properties"].get(*name)?.as_str()) {
                assert!(name.contains(stage), "{variant}: {id} is named {name}");
            }
        }
    }
}

#[test]
fn stages_share_no_name() {
    let mut seen = BTreeSet::new();
    for stage in ["production", "qa", "dev"] {
        let variant = all().into_iter().find(|one| one.name().starts_with(stage)).unwrap();
        for (id, resource) in resources(&variant.template().to_json()) {
            let named = [
                "QueueName",
                "TableName",
                "ClusterName",
                "FunctionName",
                "LogGroupName",
                "GroupName",
                "RepositoryName",
                "Family",
                "Name",
            ];
            for name in named.iter().filter_map(|name| resource["Properties"].get(*name)?.as_str()) {
                let kind = resource["Type"].as_str().unwrap();
                assert!(seen.insert(format!("{kind} {name}")), "{id}: {name} twice");
            }
        }
    }
}

#[test]
fn everything_that_can_be_is_tagged_and_bounded() {
    let untagged = [
        "AWS::ApiGatewayV2::ApiMapping",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::EC2::Route",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Permission",
        "AWS::Route53::RecordSet",
        "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule",
    ];
    for variant in all() {
        let template = variant.template().to_json();
        for (id, resource) in resources(&template) {
            let kind = resource["Type"].as_str().unwrap();
            let tags = resource["Properties"]["Tags"].to_string();
            let tagged = tags.contains("self-runners") && tags.contains(&variant.policy.stage);
            assert!(tagged != untagged.contains(&kind), "{}: {id} of {kind}: {tags}", variant.name());
            if kind == "AWS::IAM::Role" {
                let bound = resource["Properties"].get("PermissionsBoundary").and_then(Value::as_str);
                assert_eq!(bound, variant.settings.permissions_boundary.as_deref(), "{id}");
            }
        }
    }
}

#[test]
fn an_own_key_encrypts_all_that_is_kept() {
    let key = [
        ("AWS::Logs::LogGroup", "KmsKeyId"),
        ("AWS::SecretsManager::Secret", "KmsKeyId"),
        ("AWS::SQS::Queue", "KmsMasterKeyId"),
        ("AWS::Lambda::Function", "KmsKeyArn"),
        ("AWS::Scheduler::Schedule", "KmsKeyArn"),
        ("AWS::ElastiCache::ServerlessCache", "KmsKeyId"),
    ];
    for variant in all() {
        let template = variant.template().to_json();
        for (kind, property) in key {
            for (id, resource) in of_type(&template, kind) {
                let used = resource["Properties"].get(property).and_then(Value::as_str);
                assert_eq!(used, variant.settings.kms_key.as_deref(), "{}: {id}", variant.name());
            }
        }
        for (id, table) in of_type(&template, "AWS::DynamoDB::Table") {
            let used = table["Properties"]["SSESpecification"]["KMSMasterKeyId"].as_str();
            assert_eq!(used, variant.settings.kms_key.as_deref(), "{}: {id}", variant.name());
        }
        // Who sends under the key needs it: a schedule without it calls nobody.
        let role = resources(&template)["SweepScheduleRole"].to_string();
        assert_eq!(role.contains("kms:Decrypt"), variant.settings.kms_key.is_some(), "{}", variant.name());
    }
}

#[test]
fn a_message_stays_hidden_for_six_timeouts_and_fails_alone() {
    for (name, template) in templates() {
        let all = resources(&template);
        let timeout = all["ScalerHandler"]["Properties"]["Timeout"].as_u64().unwrap();
        let hidden = all["Events"]["Properties"]["VisibilityTimeout"].as_u64().unwrap();
        assert!(hidden >= 6 * timeout, "{name}");
        let mapping = &all["EventsMapping"]["Properties"];
        assert_eq!(mapping["FunctionResponseTypes"][0], "ReportBatchItemFailures", "{name}");
        assert_eq!(mapping["ScalingConfig"]["MaximumConcurrency"], 2, "{name}");
    }
}

#[test]
fn no_password_of_the_configuration_is_in_a_template() {
    for (name, template) in templates() {
        walk("", &template, &mut |path, value| {
            let text = value.as_str().unwrap_or("");
            let like = ["ghp_", "BEGIN", "password="].iter().any(|secret| text.contains(secret));
            assert!(!like && value.get("SecretString").is_none(), "{name}{path}");
        });
    }
}
