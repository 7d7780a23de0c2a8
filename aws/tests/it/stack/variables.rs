//! The functions' environment: what the stack writes is what the functions read.

use std::collections::BTreeMap;

use aws::{
    ecs::placement::placements,
    environment::{Credential, Environment, Store},
    stack::functions::FUNCTIONS,
};
use serde_json::Value;

use super::variants::{Variant, all, usual};

/// The variables of a function, with what CloudFormation would make of them.
fn deployed(variant: &Variant, function: &str) -> BTreeMap<String, String> {
    let template = variant.template().to_json();
    let variables = template["Resources"][function]["Properties"]["Environment"]["Variables"].clone();
    variables.as_object().unwrap().iter().map(|(name, value)| (name.clone(), worked_out(value))).collect()
}

fn worked_out(value: &Value) -> String {
    if let Some(id) = value.get("Ref") {
        return format!("arn:of/{}", id.as_str().unwrap());
    }
    if let Some(att) = value.get("Fn::GetAtt") {
        return format!("{}-{}", att[0].as_str().unwrap(), att[1].as_str().unwrap());
    }
    if let Some(join) = value.get("Fn::Join") {
        let parts: Vec<String> = join[1].as_array().unwrap().iter().map(worked_out).collect();
        return parts.join(join[0].as_str().unwrap());
    }
    value.as_str().or_else(|| value["Fn::Sub"].as_str()).unwrap().to_owned()
}

fn read(variables: &BTreeMap<String, String>) -> Environment {
    Environment::read(|name| variables.get(name).cloned()).unwrap()
}

#[test]
fn each_function_reads_what_the_stack_wrote() {
    for variant in all() {
        for function in FUNCTIONS {
            let variables = deployed(&variant, function.name());
            let again = read(&variables).variables();
            let again: BTreeMap<String, String> =
                again.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(again, variables, "{} {}", variant.name(), function.name());
        }
    }
}

#[test]
fn the_rules_arrive_with_a_place_for_each_subnet_and_purchase() {
    for variant in all() {
        let scaler = read(&deployed(&variant, "ScalerHandler"));
        let rules = scaler.intake().unwrap().policy().unwrap();
        assert_eq!((&rules.owners, &rules.stage), (&variant.policy.owners, &variant.policy.stage));
        let engine = scaler.engine().unwrap().settings(&rules);
        for class in &rules.classes {
            let known = &engine.classes[&class.name];
            assert_eq!(class.placements, placements(engine.subnets.len(), known), "{}", variant.name());
            assert_eq!(known.size, Some(class.size), "{}", variant.name());
            assert_eq!(known.providers, variant.settings.providers(&class.name), "{}", variant.name());
            let is_on_instances = variant.settings.capacity.contains_key(&class.name);
            assert_eq!(known.is_on_fargate(), !is_on_instances, "{}", variant.name());
        }
        assert_eq!(engine.assign_public_ip, !variant.name().ends_with("-vpc"), "{}", variant.name());
        let tasks = scaler.engine().unwrap().task_definitions();
        assert!(rules.classes.iter().all(|class| tasks[&class.name].starts_with("arn:of/TaskDefinition")), "{tasks:?}");
        assert_eq!(scaler.engine().unwrap().subnets().len(), 2);
    }
}

#[test]
fn the_original_names_are_kept() {
    let variables = deployed(&usual(), "ScalerHandler");
    for name in ["CLUSTER_NAME", "SERVICE_NAME", "TASK_DEFINITION_ARN", "VPC_PUBLIC_SUBNETS", "SECURITY_GROUP_ID"] {
        assert!(variables.contains_key(name), "{name}: {variables:#?}");
    }
    assert_eq!(variables["SERVICE_NAME"], "RunnersService");
}

#[test]
fn a_function_knows_no_more_than_it_uses() {
    let variant = usual();
    let hello = read(&deployed(&variant, "HelloHandler"));
    assert!(hello.intake().is_err() && hello.core().is_err() && hello.store().is_err(), "{hello:?}");
    let webhook = read(&deployed(&variant, "WebhookHandlerGHA"));
    assert!(webhook.webhook().is_ok() && webhook.credential().is_err() && webhook.store().is_err(), "{webhook:?}");
    let agent = read(&deployed(&variant, "AgentHandler"));
    assert!(agent.engine().is_err() && agent.webhook().is_err() && agent.core().is_ok(), "{agent:?}");
    let sweep = read(&deployed(&variant, "SweepHandler"));
    assert!(sweep.webhook().is_err() && sweep.core().unwrap().heartbeat_ms() == Ok(15_000), "{sweep:?}");
}

#[test]
fn state_and_credential_are_those_that_were_chosen() {
    for variant in all() {
        let sweep = read(&deployed(&variant, "SweepHandler"));
        let table = matches!(sweep.store().unwrap(), Store::Table(_));
        assert_eq!(table, variant.name().contains("dynamodb"), "{}", variant.name());
        if let Store::Valkey(valkey) = sweep.store().unwrap() {
            assert!(valkey.url.starts_with("rediss://"), "{valkey:?}");
            assert_eq!(valkey.secret_arn().is_some(), variant.name().contains("valkey-url"), "{valkey:?}");
        }
        let app = matches!(sweep.credential().unwrap(), Credential::App(_));
        assert_eq!(app, variant.name().ends_with("-vpc"), "{}", variant.name());
    }
}
