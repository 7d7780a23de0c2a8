//! Each call of a function is permitted by its role, and each permission of its role is used, or implied by something that
//! is, with the source.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use crate::{meter::Calls, site::Site};

/// A permission that no call shows: whose it is, why it is needed, and where that is written.
type Implied = (&'static [&'static str], &'static str, &'static str);

const ALL: &[&str] = &["WebhookHandlerGHA", "ScalerHandler", "SweepHandler", "AgentHandler", "HelloHandler"];
const CORES: &[&str] = &["ScalerHandler", "SweepHandler", "AgentHandler"];
const SCALER: &[&str] = &["ScalerHandler"];

const IMPLIED: &[Implied] = &[
    (
        &ENGINES,
        "ecs:TagResource",
        "RunTask with tags; docs.aws.amazon.com/AmazonECS: Grant permission to tag resources on creation",
    ),
    (&ENGINES, "iam:PassRole", "RunTask with the definition's roles; Amazon ECS: task execution IAM role, PassRole"),
    (ALL, "logs:CreateLogStream", "Lambda's own log; AWS Lambda: AWSLambdaBasicExecutionRole"),
    (ALL, "logs:PutLogEvents", "Lambda's own log; AWS Lambda: AWSLambdaBasicExecutionRole"),
    (
        SCALER,
        "sqs:ReceiveMessage",
        "the event source mapping; AWS Lambda: Using Lambda with Amazon SQS, execution role",
    ),
    (SCALER, "sqs:DeleteMessage", "the event source mapping; AWS Lambda: Using Lambda with Amazon SQS, execution role"),
    (
        SCALER,
        "sqs:GetQueueAttributes",
        "the event source mapping; AWS Lambda: Using Lambda with Amazon SQS, execution role",
    ),
    (CORES, "dynamodb:PutItem", "an item of a transaction; Amazon DynamoDB: transactions, IAM"),
    (CORES, "dynamodb:UpdateItem", "an item of a transaction; Amazon DynamoDB: transactions, IAM"),
    (CORES, "dynamodb:DeleteItem", "an item of a transaction; Amazon DynamoDB: transactions, IAM"),
    (CORES, "dynamodb:ConditionCheckItem", "an item of a transaction; Amazon DynamoDB: transactions, IAM"),
    (
        &ENGINES,
        "ecs:StopTask",
        "a machine that outlives its runner, which no story here is sure to have: aws/src/ecs.rs, `stop`",
    ),
    (&ENGINES, "ecs:DescribeTasks", "a launch whose answer was lost, and direct reads: aws/src/ecs.rs, `find`"),
    (&ENGINES, "ecs:ListTasks", "a launch whose answer was lost: aws/src/ecs.rs, `find`"),
    (
        CORES,
        "dynamodb:BatchWriteItem",
        "the words of a decision of many events, which no transaction holds: aws/src/dynamo/write.rs",
    ),
    (CORES, "sqs:SendMessage", "a wake-up, which not each function had a reason for"),
    // With a key of one's own.
    (
        ALL,
        "kms:Decrypt",
        "secrets, queue and table; AWS Secrets Manager: Permissions for the KMS key; Amazon SQS: Key management",
    ),
    (ALL, "kms:GenerateDataKey", "what is put into the queue; Amazon SQS: Configuring KMS permissions for producers"),
    // With functions inside the VPC.
    (ALL, "ec2:AssignPrivateIpAddresses", VPC),
    (ALL, "ec2:CreateNetworkInterface", VPC),
    (ALL, "ec2:DeleteNetworkInterface", VPC),
    (ALL, "ec2:DescribeNetworkInterfaces", VPC),
    (ALL, "ec2:DescribeSubnets", VPC),
    (ALL, "ec2:UnassignPrivateIpAddresses", VPC),
];

/// Lambda's own interfaces.
const VPC: &str = "a function inside the VPC; AWS managed policy AWSLambdaVPCAccessExecutionRole";

/// Variants that no story deploys: a key of one's own, and functions inside the VPC.
const OTHERS: &str = "[aws]\nkms_key = \"arn:aws:kms:eu-central-1:111122223333:key/0\"\nstate = \"valkey\"\n";

/// The functions that start and stop machines.
const ENGINES: [&str; 2] = ["ScalerHandler", "SweepHandler"];

/// The actions that a call needs.
fn needed(call: &str) -> Vec<&str> {
    match call {
        "sqs:SendMessageBatch" => vec!["sqs:SendMessage"],
        "dynamodb:TransactWriteItems" => vec!["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"],
        other => vec![other],
    }
}

/// Panics with what does not fit.
pub(crate) fn judge(site: &Site, calls: &Calls) {
    let template = template(site, &site.config);
    for function in ALL.iter().copied() {
        let allowed = allowed(&template["Resources"][format!("{function}Role")]);
        let of = calls.keys().filter(|(name, _)| *name == site.gap.function(function));
        let used: BTreeSet<&str> = of.flat_map(|(_, call)| needed(call)).collect();
        // Scaler and sweep carry out the same effects: which of them does one is chance. And the stages differ in the store.
        let twins = if ENGINES.contains(&function) { &ENGINES[..] } else { &[function][..] };
        let is_twin = |name: &str| twins.iter().any(|twin| name.ends_with(twin));
        let of_twins = calls.keys().filter(|(name, _)| is_twin(name));
        let by_twins: BTreeSet<&str> = of_twins.flat_map(|(_, call)| needed(call)).collect();
        let forbidden: Vec<_> = used.iter().filter(|action| !allowed.contains(**action)).collect();
        assert!(forbidden.is_empty(), "{function} calls what it may not: {forbidden:?}");
        let idle: Vec<_> =
            allowed.iter().filter(|action| !by_twins.contains(action.as_str()) && !implied(function, action)).collect();
        assert!(idle.is_empty(), "{function} may what it never does: {idle:?}");
    }
}

fn implied(function: &str, action: &str) -> bool {
    IMPLIED.iter().any(|(whose, name, _)| *name == action && whose.contains(&function))
}

/// What the variants allow beyond what the stage does is implied too, and each implied permission is somebody's.
pub(crate) fn judge_variants(site: &Site) {
    let text = std::fs::read_to_string(&site.config).unwrap();
    let other = site.config.with_extension("variants.toml");
    std::fs::write(&other, text.replace("[aws]\n", OTHERS)).unwrap();
    let (usual, variant) = (template(site, &site.config), template(site, &other));
    let mut given = BTreeSet::new();
    for function in ALL.iter().copied() {
        let of = |template: &Value| allowed(&template["Resources"][format!("{function}Role")]);
        let (usual, variant) = (of(&usual), of(&variant));
        let more: Vec<_> = variant.difference(&usual).filter(|action| !implied(function, action)).collect();
        assert!(more.is_empty(), "{function} may, with a key or inside the VPC, what nothing shows: {more:?}");
        given.extend(usual.into_iter().chain(variant).map(|action| (function, action)));
    }
    let is_given = |whose: &[&str], action: &str| given.iter().any(|(name, one)| whose.contains(name) && one == action);
    let stale: Vec<_> = IMPLIED.iter().filter(|(whose, action, _)| !is_given(whose, action)).collect();
    assert!(stale.is_empty(), "nobody has these: {stale:?}");
}

fn template(site: &Site, config: &Path) -> Value {
    let (well, said) = site.place.says_offline(&["template", "--format", "json"], config, "");
    assert!(well, "{said}");
    serde_json::from_str(&said).unwrap()
}

fn allowed(role: &Value) -> BTreeSet<String> {
    let policies = role["Properties"]["Policies"].as_array().into_iter().flatten();
    let statements = policies.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().into_iter().flatten());
    let actions = statements.flat_map(|statement| match &statement["Action"] {
        Value::Array(list) => list.clone(),
        one @ (Value::String(_) | Value::Object(_)) => vec![one.clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    });
    actions.filter_map(|action| action.as_str().map(str::to_owned)).collect()
}
