//! Deliveries as GitHub documents them, one file each in `sim/payloads`: all fields of each action, and the ways in
//! which GitHub is loose (FACTS §1). Numbers are beyond 2^32 where GitHub's are.
//!
//! Tests send them to the daemon, `sim::hostile` bends them. Whoever wants to see one accepted by a daemon sends it with
//! `self-runners webhook send`.

/// A delivery.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    /// Name of its file, without the ending.
    pub name: &'static str,
    /// Value of `X-GitHub-Event`.
    pub event: &'static str,
    /// The JSON.
    pub json: &'static str,
}

macro_rules! payload {
    ($event:literal, $name:literal) => {
        Payload { name: $name, event: $event, json: include_str!(concat!("../payloads/", $name, ".json")) }
    };
}

/// All of them. Those of one job are in the order in which GitHub sends them.
pub static ALL: [Payload; 19] = [
    payload!("ping", "ping"),
    payload!("workflow_job", "queued"),
    payload!("workflow_job", "in-progress"),
    payload!("workflow_job", "completed-success"),
    payload!("workflow_job", "queued-environment-waiting"),
    payload!("workflow_job", "waiting"),
    payload!("workflow_job", "queued-environment-approved"),
    payload!("workflow_job", "queued-person"),
    payload!("workflow_job", "queued-old"),
    payload!("workflow_job", "queued-enterprise"),
    payload!("workflow_job", "queued-public"),
    payload!("workflow_job", "queued-visibility-untold"),
    payload!("workflow_job", "queued-hosted"),
    payload!("workflow_job", "completed-hosted"),
    payload!("workflow_job", "in-progress-elsewhere"),
    payload!("workflow_job", "completed-failure"),
    payload!("workflow_job", "completed-cancelled-unstarted"),
    payload!("workflow_job", "completed-skipped"),
    payload!("workflow_job", "completed-timed-out"),
];

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_file_is_listed_and_is_json() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("payloads");
        let listed = |name: &str| ALL.iter().any(|payload| format!("{}.json", payload.name) == name);
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let json: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
        assert!(json.len() == ALL.len() && json.iter().all(|name| listed(name)), "{json:?}");
        for payload in &ALL {
            assert!(serde_json::from_str::<Value>(payload.json).unwrap().is_object(), "{}", payload.name);
        }
    }
}
