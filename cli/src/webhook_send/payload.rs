//! A `workflow_job` payload made from arguments: a documented delivery with its names, numbers and times replaced.

use clap::ValueEnum;
use fleet::ids::Repo;
use serde_json::{Value, json};
use sim::payloads;

use crate::{failure::Failure, terminal::utc};

/// Where random ids of jobs begin: beyond 2^32, as GitHub's do, and beyond GitHub's own for some years.
const JOB_IDS_FROM: u64 = 900_000_000_000;

/// The action of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Action {
    /// A job wants a runner
    Queued,
    /// It waits for an approval
    Waiting,
    /// A runner took it
    InProgress,
    /// It ended
    Completed,
}

/// A payload made from arguments.
#[derive(Debug, clap::Args)]
#[group(id = "job", multiple = true)]
#[command(next_help_heading = "A payload from arguments")]
pub(super) struct Made {
    /// What happened to the job
    #[arg(long, value_enum, value_name = "ACTION", requires = "repo")]
    action: Option<Action>,
    /// Its repository
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<String>,
    /// Its labels; `self-hosted,linux` unless given
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// Its id; a random one unless given
    #[arg(long, value_name = "N")]
    job_id: Option<u64>,
    /// Id of its run; the job's unless given
    #[arg(long, value_name = "N")]
    run_id: Option<u64>,
    /// Attempt of its run; 1 unless given
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Its name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Name of the runner that took it, as registered
    #[arg(long, value_name = "NAME")]
    runner: Option<String>,
    /// How it ended; `success` unless given
    #[arg(long, value_name = "WORD")]
    conclusion: Option<String>,
    /// Its repository is public
    #[arg(long)]
    public: bool,
}

impl Made {
    /// The payload.
    pub(super) fn json(&self, now_ms: u64) -> Result<String, Failure> {
        let (Some(action), Some(repo)) = (self.action, &self.repo) else {
            return Err(Failure::usage("give a payload's file, or --action and --repo"));
        };
        let (owner, name) = match repo.split_once('/') {
            Some(parts) if Repo::parse(repo).is_some() => parts,
            _ => return Err(Failure::usage(format!("`{repo}` is no repository: write it as owner/name"))),
        };
        let mut payload = documented(action, owner, name)?;
        self.fill(&mut payload, now_ms, action);
        Ok(payload.to_string())
    }

    fn fill(&self, payload: &mut Value, now_ms: u64, action: Action) {
        let id = self.job_id.unwrap_or_else(|| JOB_IDS_FROM + fastrand::u64(..JOB_IDS_FROM));
        let now = utc(now_ms);
        let repository = &mut payload["repository"];
        repository["private"] = json!(!self.public);
        repository["visibility"] = json!(if self.public { "public" } else { "private" });
        let job = &mut payload["workflow_job"];
        job["id"] = json!(id);
        job["run_id"] = json!(self.run_id.unwrap_or(id));
        job["run_attempt"] = json!(self.attempt.unwrap_or(1));
        job["created_at"] = json!(now);
        job["started_at"] = json!(now);
        let labels = ["self-hosted", "linux"].map(str::to_owned);
        job["labels"] = json!(if self.labels.is_empty() { &labels[..] } else { &self.labels });
        if let Some(name) = &self.name {
            job["name"] = json!(name);
        }
        if action == Action::Completed {
            job["completed_at"] = json!(now);
            job["conclusion"] = json!(self.conclusion.as_deref().unwrap_or("success"));
        }
        let runner_id = self.runner.as_ref().map(|_| id);
        job["runner_id"] = json!(runner_id);
        job["runner_name"] = json!(self.runner);
    }
}

/// The documented delivery of an action, with another owner and repository in its names and links.
fn documented(action: Action, owner: &str, name: &str) -> Result<Value, Failure> {
    let file = match action {
        Action::Queued => "queued",
        Action::Waiting => "waiting",
        Action::InProgress => "in-progress",
        Action::Completed => "completed-success",
    };
    let text = payloads::ALL.iter().find(|payload| payload.name == file).map_or("", |payload| payload.json);
    // Both names are letters, digits and - _ . only, so nothing needs to be escaped.
    let text = text
        .replace("acme/web", &format!("{owner}/{name}"))
        .replace("/acme", &format!("/{owner}"))
        .replace("\"acme\"", &format!("\"{owner}\""))
        .replace("\"web\"", &format!("\"{name}\""));
    serde_json::from_str(&text).map_err(|error| Failure::failed(format!("the built-in payload is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use fleet::{event::Event, job::JobInput};
    use github::webhook::{Webhook, parse};

    use super::*;

    fn made(action: Action) -> Made {
        Made {
            action: Some(action),
            repo: Some("Octo/Tools".into()),
            labels: Vec::new(),
            job_id: Some(900_000_000_001),
            run_id: None,
            attempt: None,
            name: None,
            runner: Some("sr-dev-0abc-1".into()),
            conclusion: Some("cancelled".into()),
            public: false,
        }
    }

    fn read(made: &Made) -> (String, String, JobInput) {
        let json = made.json(1_795_428_000_000).unwrap();
        assert!(!json.contains("acme/web") && !json.contains("/acme"), "{json}");
        match parse(Some("application/json"), Some("workflow_job"), json.as_bytes()) {
            Ok(Webhook::Job(Event::Job { facts, input })) => {
                assert_eq!((facts.public, facts.created_ms), (Some(false), 1_795_428_000_000));
                (facts.id.to_string(), facts.repo.to_string(), input)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_action_is_understood() {
        let runner = || "sr-dev-0abc-1".into();
        let conclusion = fleet::job::Conclusion::Cancelled;
        for (action, input) in [
            (Action::Queued, JobInput::Queued),
            (Action::Waiting, JobInput::Waiting),
            (Action::InProgress, JobInput::InProgress { runner: runner() }),
            (Action::Completed, JobInput::Completed { conclusion, runner: runner() }),
        ] {
            assert_eq!(read(&made(action)), ("900000000001".into(), "octo/tools".into(), input));
        }
        let nobody = Made { runner: None, ..made(Action::Completed) };
        assert_eq!(read(&nobody).2, JobInput::Completed { conclusion, runner: "".into() });
    }

    #[test]
    fn a_repository_that_is_none_is_refused() {
        for repo in ["tools", "a/b/c", "a/\"b"] {
            let made = Made { repo: Some(repo.into()), ..made(Action::Queued) };
            assert!(made.json(0).unwrap_err().to_string().contains("owner/name"), "{repo}");
        }
    }
}
