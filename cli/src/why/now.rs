//! How a job or a runner stands now, in words, and what to do where nothing is known.

use fleet::{
    ids::{JobId, Repo},
    job::{Job, JobState},
    policy::Policy,
    view::{PoolView, Record},
};

use crate::{
    failure::Failure,
    picture::{Origin, Picture, RunnerLine},
    table::{count, since, span},
};

/// A job that has a row.
pub(super) fn job(picture: &mut Picture, row: &Job) -> String {
    let view = picture.view(&[row.facts.id]);
    let ago = |at_ms| since(at_ms, picture.now_ms);
    let why = picture.why_it_waits(&view, row).map_or_else(String::new, |why| format!(": {why}"));
    match &row.state {
        JobState::Waiting => format!("now: waits for an approval for {}{why}\n", ago(row.head().created_ms)),
        JobState::Running { runner, since_ms } => format!("now: runs for {} on {runner}\n", ago(*since_ms)),
        JobState::Done { conclusion, at_ms } => format!("now: ended {} ago: {}\n", ago(*at_ms), conclusion.text()),
        JobState::Queued => {
            // Its records may say only that a runner was started for it, and GitHub has given that to another job.
            let why = if why.is_empty() { why } else { format!(", waits{why}") };
            let queued = format!("now: queued for {}{why}\n", ago(row.head().created_ms));
            match row.pool.as_ref().and_then(|id| view.pools.get(id)) {
                Some(pool) => queued + &position(picture, row, pool),
                None => queued,
            }
        }
    }
}

/// Where a waiting job stands in its pool.
fn position(picture: &Picture, row: &Job, pool: &PoolView) -> String {
    let queue = picture.ledger.jobs().filter(|job| job.queued_in() == Some(&pool.pool.id));
    let mut queue: Vec<(u64, JobId)> = queue.map(|job| (job.head().created_ms, job.facts.id)).collect();
    queue.sort_unstable();
    let before: Vec<JobId> = queue.into_iter().map(|(_, id)| id).take_while(|id| *id != row.facts.id).collect();
    let place = match before.as_slice() {
        [] => "it is the first in line".to_owned(),
        [one] => format!("it is next in line after job {one}"),
        [.., last] => format!("it is in line after {} jobs, the last of them {last}", before.len()),
    };
    let runners = count(pool.unbound as usize, "runner");
    format!("In pool {} {place}; {runners} on the way for {}.\n", pool.pool.id, count(pool.queued as usize, "job"))
}

/// A job of which only records are left, or never was more.
pub(super) fn no_row(picture: &Picture, entries: &[Record]) -> String {
    let last = entries.last().map_or("", |entry| &*entry.text);
    if last.starts_with("refused") {
        return "now: not served here: nothing is started for it unless the configuration changes\n".into();
    }
    if !last.starts_with("ignored") {
        return String::new();
    }
    let classes = picture.policy.as_ref().map(classes).unwrap_or_default();
    format!("now: not served here: nothing is started for it unless its labels or the configuration change.{classes}\n")
}

fn classes(policy: &Policy) -> String {
    let classes = policy.classes.iter().map(|class| format!("`{}` [{}]", class.name, class.labels));
    format!(" The classes: {}.", classes.collect::<Vec<_>>().join(", "))
}

/// A runner.
pub(super) fn runner(line: &RunnerLine, now_ms: u64) -> String {
    let for_ = line.since_ms.map_or_else(String::new, |at_ms| format!(" for {}", since(at_ms, now_ms)));
    let job = line.job.map_or_else(String::new, |job| format!(", job {job}"));
    let why = line.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    let age = since(line.created_ms, now_ms);
    format!("now: {}{for_}{job}{why}; of class `{}`, decided on {age} ago\n", line.state, line.class)
}

/// Nothing is known: what may be the reason.
pub(super) fn unknown(picture: &Picture, what: &str, repo: Option<&Repo>) -> Failure {
    let hint = not_served(picture, repo)
        .or_else(|| silence(picture))
        .unwrap_or_else(|| format!("{} (If its webhook was lost, the next sweep finds it)", is_it_served(picture)));
    Failure::failed(format!("nothing is recorded about {what} in the last 7 days: {hint}"))
}

fn is_it_served(picture: &Picture) -> String {
    match &picture.origin {
        Origin::Daemon { data_dir, .. } => format!("does the daemon with {} serve its repository?", data_dir.display()),
        Origin::Stage(stage) => format!("does the stage {} serve its repository?", stage.name),
    }
}

fn not_served(picture: &Picture, repo: Option<&Repo>) -> Option<String> {
    let (policy, repo) = (picture.policy.as_ref()?, repo?);
    let owner = repo.owner();
    let Some(rules) = policy.owners.get(owner) else {
        return Some(format!("{owner} is not served here; add [owners.{owner}] to the configuration if it should be"));
    };
    let allowed = rules.repositories.as_ref()?;
    (!allowed.contains(repo))
        .then(|| format!("{repo} is not served here; add it to `repositories` of [owners.{owner}] if it should be"))
}

/// A daemon that has heard of nothing: by webhooks, which it may do without if it asks for jobs itself.
fn silence(picture: &Picture) -> Option<String> {
    let live = picture.origin.live().filter(|live| live.webhooks.last_ms.is_none())?;
    let nothing =
        format!("no webhook has arrived since the daemon started {} ago", since(live.started_ms, picture.now_ms));
    Some(match &live.polling {
        Some(polling) => {
            let within = span(polling.worst_delay_ms);
            format!("{} ({nothing}; without one a queued job is seen within {within})", is_it_served(picture))
        }
        None => format!("{nothing}; is one set up at GitHub, for `Workflow jobs`?"),
    })
}
