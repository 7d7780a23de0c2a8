//! How jobs stand, in words, and each change of that on the terminal.

use std::collections::BTreeMap;

use fleet::{ids::JobId, job::Conclusion};
use sim::{
    http::Handle,
    hub::{
        Hub,
        model::{HubJob, Status},
    },
};

use crate::{serve::now_ms, terminal};

/// A line: id, name, how it stands, its page.
pub(super) fn job(handle: &Handle, id: JobId) -> String {
    let url = handle.url();
    handle.look(|hub| match hub.true_job(id) {
        Some(job) => {
            let (facts, stands) = (&job.facts, stands(hub, job));
            format!(
                "{id}  {:14}  {stands:34}  {url}/{}/actions/runs/{}/job/{id}\n",
                facts.name, facts.repo, facts.run_id
            )
        }
        None => format!("{id}  is no job\n"),
    })
}

/// Tells each change, for ever.
pub(super) async fn changes(handle: &Handle) {
    let mut told: BTreeMap<JobId, String> = BTreeMap::new();
    let mut changes = handle.changes();
    loop {
        changes.mark_unchanged();
        let now: Vec<(JobId, String, String)> = handle.look(|hub| {
            let line = |(id, job): (JobId, &HubJob)| (id, job.facts.name.to_string(), stands(hub, job));
            hub.true_jobs().map(line).collect()
        });
        for (id, name, stands) in now {
            if told.get(&id) != Some(&stands) {
                terminal::say(&format!("{}  job {id}  {name}: {stands}", terminal::utc(now_ms())));
                told.insert(id, stands);
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn stands(hub: &Hub, job: &HubJob) -> String {
    let named = |id| hub.true_runner(id).map_or("a runner", |runner| &*runner.name);
    match job.status() {
        Status::Waiting => "waits for an approval".into(),
        Status::Queued => format!("queued for {}", job.facts.labels.join(", ")),
        Status::Assigned { runner, .. } => format!("given to {}", named(runner)),
        Status::Running { runner } => format!("runs on {}", named(runner)),
        Status::Done { conclusion, .. } => ended(conclusion).into(),
    }
}

fn ended(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Success => "succeeded",
        Conclusion::Failure => "failed",
        Conclusion::Skipped => "was skipped",
        Conclusion::Cancelled => "was cancelled",
        Conclusion::TimedOut => "took too long",
        Conclusion::ActionRequired | Conclusion::Neutral | Conclusion::Stale | Conclusion::Unknown => "ended",
    }
}
