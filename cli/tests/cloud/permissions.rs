//! Each call of a function is permitted by its role, and each permission of its role is used, or implied by something that
//! is, with the source.

use std::collections::BTreeSet;

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
    (
        SCALER,
        "sqs:ChangeMessageVisibility",
        "the event source mapping, with partial failures; Amazon SQS: API permissions",
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
];

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
    let template: Value = {
        let (well, said) = site.place.says_offline(&["template", "--format", "json"], &site.config, "");
        assert!(well, "{said}");
        serde_json::from_str(&said).unwrap()
    };
    for function in ["WebhookHandlerGHA", "ScalerHandler", "SweepHandler", "AgentHandler", "HelloHandler"] {
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
        let implied =
            |action: &str| IMPLIED.iter().any(|(whose, name, _)| *name == action && whose.contains(&function));
        let idle: Vec<_> =
            allowed.iter().filter(|action| !by_twins.contains(action.as_str()) && !implied(action)).collect();
        assert!(idle.is_empty(), "{function} may what it never does: {idle:?}");
    }
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
