//! The client's table against what GitHub publishes, so that a wrong path or a parameter that does not exist fails here
//! and not in front of GitHub.

use std::collections::BTreeSet;

use github::contract::{CALLS, Call};
use serde_json::Value;

use super::server::word;

const PUBLISHED: &str = include_str!("openapi.json");

fn texts(operation: &Value, name: &str) -> BTreeSet<String> {
    if let Some(fields) = operation[name].as_object() {
        return fields.keys().cloned().collect();
    }
    operation[name].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn owned(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The names in braces.
fn in_path(path: &str) -> BTreeSet<String> {
    path.split('/').filter_map(|part| Some(part.strip_prefix('{')?.strip_suffix('}')?.to_owned())).collect()
}

#[test]
fn every_row_is_as_github_publishes_it() {
    let published: Value = serde_json::from_str(PUBLISHED).unwrap();
    let operations = published["operations"].as_array().unwrap();
    for call in CALLS.iter().filter(|call| call.published) {
        let Call { operation: name, .. } = **call;
        let found = operations.iter().find(|operation| operation["operation"] == name);
        let operation = found.unwrap_or_else(|| panic!("{name} is not published"));
        assert_eq!(operation["method"], word(call.method), "{name}");
        assert_eq!(operation["path"], call.path, "{name}");
        assert_eq!(texts(operation, "in_path"), in_path(call.path), "{name}: path");
        assert!(texts(operation, "query").is_superset(&owned(call.query)), "{name}: query");
        assert!(texts(operation, "body").is_superset(&owned(call.body)), "{name}: body");
        assert!(owned(call.body).is_superset(&texts(operation, "body_required")), "{name}: required fields");
        assert!(texts(operation, "answers").contains(&call.success.to_string()), "{name}: {}", call.success);
        // Enterprise Server too, each version that is described.
        assert_eq!(operation["servers"].as_array().unwrap().len(), 4, "{name}");
    }
    assert_eq!(operations.len(), CALLS.iter().filter(|call| call.published).count());
}

#[test]
fn the_bodies_that_are_sent_have_the_published_types() {
    let published: Value = serde_json::from_str(PUBLISHED).unwrap();
    let types = serde_json::json!({"labels": "array of string, 1 to 100", "name": "string",
        "runner_group_id": "integer", "work_folder": "string", "active": "boolean", "config": "object",
        "events": "array of string", "url": "string", "content_type": "string", "secret": "string",
        "insecure_ssl": "any"});
    let with_body: Vec<_> = CALLS.iter().filter(|call| !call.body.is_empty()).collect();
    assert_eq!(with_body.len(), 7);
    for call in with_body {
        let operations = published["operations"].as_array().unwrap();
        let found = operations.iter().find(|operation| operation["operation"] == call.operation).unwrap();
        for field in call.body {
            assert_eq!(found["body"][field], types[field], "{}: {field}", call.operation);
        }
    }
}

/// When GitHub publishes such a row, it is to be held against that.
#[test]
fn what_is_not_published_is_marked() {
    let marked: Vec<_> = CALLS.iter().filter(|call| !call.published).map(|call| call.path).collect();
    assert_eq!(marked.len(), 2);
    assert!(marked.iter().all(|path| path.ends_with("/actions/runners/deprecations/{version}")));
    assert!(!PUBLISHED.contains("deprecations"));
}

#[test]
fn rows_differ() {
    let names: BTreeSet<_> = CALLS.iter().map(|call| call.operation).collect();
    let paths: BTreeSet<_> = CALLS.iter().map(|call| (word(call.method), call.path)).collect();
    assert_eq!((names.len(), paths.len()), (CALLS.len(), CALLS.len()));
}
