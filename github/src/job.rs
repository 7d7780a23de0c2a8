//! GitHub's job object, which webhooks and REST share, turned into the core's words.
//!
//! Tolerant where GitHub is loose (FACTS §1): a field that older payloads lack never loses a job.

use std::sync::Arc;

use fleet::{
    ids::{JobId, Repo, RunId},
    job::{Conclusion, JobFacts, JobInput},
};

use crate::{
    fields::{FieldError, Fields},
    time,
};

/// Longest name that is kept: rows are small. GitHub's labels have at most 256 characters, its runners' names 64.
const NAME_MAX_CHARS: usize = 300;

fn shortened(text: &str) -> String {
    text.chars().take(NAME_MAX_CHARS).collect()
}

/// All but the status.
pub(crate) fn facts(job: &Fields<'_>, repo: &Repo, public: Option<bool>) -> Result<JobFacts, FieldError> {
    Ok(JobFacts {
        id: JobId(job.number("id")?),
        run_id: RunId(job.number("run_id")?),
        run_attempt: attempt(job)?,
        repo: repo.clone(),
        public,
        name: shortened(job.optional_text("name")?.unwrap_or_default()).into(),
        // A longer label than GitHub takes stays too long, so that it is refused as a label.
        labels: job.texts("labels")?.iter().map(|label| shortened(label)).collect(),
        // 0 = unknown: a date that cannot be read is no reason to leave a job without a runner.
        created_ms: job.optional_text("created_at")?.and_then(time::parse_ms).unwrap_or(0),
    })
}

/// Attempts count from 1; payloads before 2021 do not say.
fn attempt(job: &Fields<'_>) -> Result<u32, FieldError> {
    let attempt = job.optional_number("run_attempt")?.unwrap_or(1);
    u32::try_from(attempt.max(1)).map_err(|_| job.wrong("run_attempt", "a small number"))
}

/// What a `status` means; `None` for a word that we do not know. `queued` is what to make of a queued one.
pub(crate) fn input(job: &Fields<'_>, queued: JobInput) -> Result<Option<JobInput>, FieldError> {
    Ok(match job.text("status")? {
        "queued" => Some(queued),
        status if holds(status) => Some(JobInput::Waiting),
        "in_progress" => Some(in_progress(job)?),
        "completed" => Some(completed(job)?),
        _ => None,
    })
}

/// Whether a job of this status waits for something other than a runner: an approval, or its concurrency group.
pub(crate) fn holds(status: &str) -> bool {
    matches!(status, "waiting" | "pending" | "requested")
}

/// It runs, on the runner that is named.
pub(crate) fn in_progress(job: &Fields<'_>) -> Result<JobInput, FieldError> {
    Ok(JobInput::InProgress { runner: runner(job)? })
}

/// It ended, on the runner that is named.
pub(crate) fn completed(job: &Fields<'_>) -> Result<JobInput, FieldError> {
    let conclusion = conclusion(job.optional_text("conclusion")?.unwrap_or_default());
    Ok(JobInput::Completed { conclusion, runner: runner(job)? })
}

fn runner(job: &Fields<'_>) -> Result<Arc<str>, FieldError> {
    Ok(shortened(job.name_or_none("runner_name")?.unwrap_or_default()).into())
}

/// A word that GitHub adds one day still ends the job.
fn conclusion(word: &str) -> Conclusion {
    match word {
        "success" => Conclusion::Success,
        "failure" => Conclusion::Failure,
        "skipped" => Conclusion::Skipped,
        "cancelled" => Conclusion::Cancelled,
        "timed_out" => Conclusion::TimedOut,
        "action_required" => Conclusion::ActionRequired,
        "neutral" => Conclusion::Neutral,
        "stale" => Conclusion::Stale,
        _ => Conclusion::Unknown,
    }
}

/// Whether everybody can see a repository. Where its two fields disagree, the careful answer: a public one may be
/// refused, so that no stranger's pull request runs on our machines (FACTS §2).
pub(crate) fn public(repository: &Fields<'_>) -> Result<Option<bool>, FieldError> {
    let private = repository.optional_flag("private")?;
    let visibility = repository.optional_text("visibility")?;
    Ok(match (visibility, private) {
        (Some("public"), _) | (_, Some(false)) => Some(true),
        (Some("private" | "internal"), _) | (_, Some(true)) => Some(false),
        (_, None) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn visibility_is_told_by_either_field_and_doubt_means_public() {
        for (repository, expected) in [
            (json!({}), None),
            (json!({"private": true}), Some(false)),
            (json!({"private": false}), Some(true)),
            (json!({"visibility": "internal"}), Some(false)),
            (json!({"visibility": "internal", "private": true}), Some(false)),
            (json!({"visibility": "public"}), Some(true)),
            (json!({"visibility": "public", "private": true}), Some(true)),
            (json!({"visibility": "private", "private": false}), Some(true)),
            (json!({"visibility": "odd"}), None),
        ] {
            assert_eq!(public(&Fields::root(&repository).unwrap()), Ok(expected), "{repository}");
        }
    }

    #[test]
    fn every_status_has_an_input() {
        let read = |status: &str| {
            let job = json!({"status": status, "conclusion": "odd", "runner_name": ""});
            input(&Fields::root(&job).unwrap(), JobInput::QueuedDirect).unwrap().map(|input| input.label())
        };
        let statuses = ["queued", "waiting", "pending", "requested", "in_progress", "completed", "new"];
        assert_eq!(
            statuses.map(read),
            [
                Some("queued (direct read)"),
                Some("waiting"),
                Some("waiting"),
                Some("waiting"),
                Some("in progress"),
                Some("completed"),
                None
            ]
        );
    }
}
