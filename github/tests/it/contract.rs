//! The client's table against what GitHub publishes, so that a wrong path or a parameter that does not exist fails here
//! and not in front of GitHub.

use std::collections::BTreeSet;

use github::contract::{CALLS, Call};
use serde_json::Value;

use super::server::word;

const PUBLISHED: &str = include_str!("openapi.json");

fn texts(operation: &Value, name: &str) -> BTreeSet<String> {
    operation[name].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn owned(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn every_row_is_as_github_publishes_it() {
    let published: Value = serde_json::from_str(PUBLISHED).unwrap();
    let operations = published["operations"].as_array().unwrap();
    for call in CALLS {
        let Call { operation: name, .. } = *call;
        let found = operations.iter().find(|operation| operation["operation"] == name);
        let operation = found.unwrap_or_else(|| panic!("{name} is not published"));
        assert_eq!(operation["method"], word(call.method), "{name}");
        assert_eq!(operation["path"], call.path, "{name}");
        assert!(texts(operation, "query").is_superset(&owned(call.query)), "{name}: query");
        assert!(texts(operation, "body").is_superset(&owned(call.body)), "{name}: body");
        assert!(owned(call.body).is_superset(&texts(operation, "body_required")), "{name}: required fields");
        assert!(texts(operation, "answers").contains(&call.success.to_string()), "{name}: {}", call.success);
    }
    assert_eq!(operations.len(), CALLS.len());
}

#[test]
fn rows_differ() {
    let names: BTreeSet<_> = CALLS.iter().map(|call| call.operation).collect();
    let paths: BTreeSet<_> = CALLS.iter().map(|call| (word(call.method), call.path)).collect();
    assert_eq!((names.len(), paths.len()), (CALLS.len(), CALLS.len()));
}
