//! A plan as the arguments of the one script that writes it.

use controller::ports::{ErrorKind, PortError, PortResult};
use redis::{Script, ScriptInvocation};
use serde_json::{Value, json};

use super::{Names, member, with_version};
use crate::rows::{Change, Condition, Expect, Part, Plan, TotalsChange};

/// The script. It is called by its digest; a server that does not have it (a new one, a restarted one) is given it.
#[derive(Debug)]
pub(super) struct Commit(Script);

impl Commit {
    pub(super) fn new() -> Self {
        Self(Script::new(include_str!("commit.lua")))
    }

    /// The call for a plan.
    pub(super) fn call(&self, names: &Names, plan: &Plan) -> PortResult<ScriptInvocation<'_>> {
        let mut keys = Keys(vec![names.totals()]);
        let (mut checks, mut writes) = (Vec::new(), totals(&plan.totals));
        for change in plan.changes.iter().chain(&plan.log) {
            let at = change.at();
            let key = keys.number(names.part(&at.part));
            if let Some(expect) = change.expect() {
                checks.push(json!([key, at.sort, version(expect)]));
            }
            write(change, key, &mut writes);
            if at.part.is_log() {
                let whole = keys.number(names.whole_log());
                write(change, whole, &mut writes);
            }
        }
        let conditions: Vec<Value> = plan.totals.conditions.iter().map(condition).collect();
        let plan = json!({ "conditions": conditions, "checks": checks, "writes": writes });
        let text = serde_json::to_string(&plan)
            .map_err(|error| PortError::new(ErrorKind::Invalid, format!("a commit cannot be written: {error}")))?;
        let mut call = self.0.prepare_invoke();
        call.key(keys.0).arg(text);
        Ok(call)
    }
}

/// The keys of a call, each once.
struct Keys(Vec<String>);

impl Keys {
    /// Its number, from 1.
    fn number(&mut self, key: String) -> usize {
        if let Some(index) = self.0.iter().position(|known| *known == key) {
            return index + 1;
        }
        self.0.push(key);
        self.0.len()
    }
}

fn version(expect: Expect) -> String {
    match expect {
        Expect::Absent => String::new(),
        Expect::Version(version) => version.to_string(),
    }
}

fn write(change: &Change, key: usize, writes: &mut Vec<Value>) {
    match change {
        Change::Put { at, row, lasts_ms, .. } if at.part.is_ordered() => {
            writes.push(json!(["join", key, member(&at.sort, row)]));
            writes.extend(lasts_ms.map(|ms| json!(["last", key, ms.to_string()])));
        }
        Change::Put { at, row, .. } => writes.push(json!(["put", key, at.sort, with_version(row)])),
        Change::Delete { at, .. } if matches!(at.part, Part::Wait(_)) => writes.push(json!(["leave", key, at.sort])),
        Change::Delete { at, .. } => writes.push(json!(["delete", key, at.sort])),
        Change::Check { .. } => {}
    }
}

fn totals(change: &TotalsChange) -> Vec<Value> {
    let add = change.add.iter().map(|(field, by)| json!(["add", field, by.to_string()]));
    let set = change.set.iter().map(|(field, value)| match value {
        Some(value) => json!(["set", field, value]),
        None => json!(["unset", field]),
    });
    add.chain(set).collect()
}

fn condition(condition: &Condition) -> Value {
    let named = |name: &str, fields: &[String]| {
        let all: Vec<&str> = std::iter::once(name).chain(fields.iter().map(String::as_str)).collect();
        json!(all)
    };
    match condition {
        Condition::AtMost(field, n) => json!(["most", field, n.to_string()]),
        Condition::AtLeast(field, n) => json!(["least", field, n.to_string()]),
        Condition::None(fields) => named("none", fields),
        Condition::Any(fields) => named("any", fields),
    }
}
