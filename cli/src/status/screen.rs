//! `status` for people: a screen of tables, or one line.

use std::path::Path;

use fleet::rota::Outlook;

use super::facts::Facts;
use crate::{
    control::wire::Live,
    picture::{ClassLine, JobLine, Origin, Picture, RunnerLine, StageFacts},
    table::{columns, count, shortened, since, span},
};

/// Everything, as long as it is.
pub(crate) fn whole(picture: &mut Picture) -> String {
    let (jobs, runners) = (waiting(picture), runners(picture));
    let mut text = head(picture);
    for (rows, more, command) in [(jobs.0, jobs.1, "jobs"), (runners.0, runners.1, "runners list")] {
        if rows.is_empty() {
            continue;
        }
        text.push('\n');
        text.push_str(&rows);
        if more > 0 {
            text.push_str(&format!("… and {more} more: `self-runners {command}`\n"));
        }
    }
    text
}

/// The same, cut to a terminal's columns and rows.
pub(crate) fn fitted(picture: &mut Picture, (columns, rows): (usize, usize)) -> String {
    let caveat = picture.caveat().map(|text| format!("{text}\n")).unwrap_or_default();
    let text = format!("{caveat}{}", whole(picture));
    let lines = text.lines().take(rows.saturating_sub(1)).map(|line| shortened(line, columns) + "\n");
    lines.collect()
}

/// One line.
pub(crate) fn line(picture: &Picture) -> String {
    let facts = Facts::of(picture);
    let absent = picture.origin.absent().map(|absent| format!("; {}", absent.what)).unwrap_or_default();
    format!("{}; {}{absent}", jobs_line(&facts), runners_line(&facts))
}

fn head(picture: &Picture) -> String {
    let facts = Facts::of(picture);
    let mut text = String::new();
    match &picture.origin {
        Origin::Daemon { data_dir, live: Ok(live) } => text.push_str(&alive(picture, data_dir, live)),
        Origin::Daemon { data_dir, live: Err(_) } => text.push_str(&format!("data      {}\n", data_dir.display())),
        Origin::Stage(stage) => text.push_str(&deployed(stage)),
    }
    text.push_str(&format!("jobs      {}\n", jobs_line(&facts)));
    text.push_str(&format!("runners   {}\n", runners_line(&facts)));
    for line in troubles(picture, &facts) {
        text.push_str(&line);
        text.push('\n');
    }
    let rows: Vec<[String; 6]> = facts.classes.iter().map(|class| class_row(picture, class)).collect();
    format!("{text}\n{}", columns(["CLASS", "LIVE", "MAX", "BUSY", "QUEUED", ""], &rows))
}

fn alive(picture: &Picture, data_dir: &Path, live: &Live) -> String {
    let ago = |at_ms| since(at_ms, picture.now_ms);
    let webhooks = match live.webhooks.last_ms {
        Some(last_ms) => {
            let refused =
                if live.webhooks.refused > 0 { format!(", {} refused", live.webhooks.refused) } else { String::new() };
            let needless: u64 = live.webhooks.needless.values().sum();
            let needless = if needless > 0 { format!(" ({needless} not about a job)") } else { String::new() };
            format!("{} taken{needless}{refused}, the last {} ago", live.webhooks.taken, ago(last_ms))
        }
        None => "none since the start".into(),
    };
    let each = span(live.sweep_interval_ms);
    let sweep = match live.sweep {
        Some(last) => {
            let took = span(last.ended_ms.saturating_sub(last.began_ms));
            let failed = match last.swept.failures {
                0 => String::new(),
                failures => format!(", {} failed: see the log", count(failures, "item")),
            };
            format!("{} ago, took {took}{failed}; each {each}", ago(last.ended_ms))
        }
        None => format!("the first is under way; each {each}"),
    };
    let polling = live.polling.map_or_else(String::new, polled);
    let store = live.store_trouble.as_ref().map_or_else(String::new, |why| format!("store     {why}\n"));
    format!(
        "daemon    self-runners {}, stage {}, up {}, {}, process {}\ndata      {}\n{store}webhooks  {webhooks}\nsweep     {sweep}\n{polling}",
        live.version,
        live.policy.stage,
        ago(live.started_ms),
        live.url,
        live.pid,
        data_dir.display(),
    )
}

fn deployed(stage: &StageFacts) -> String {
    let StageFacts { name, region, status, webhook_url, dead_letters, sweep_interval_ms } = stage;
    let status = if status.ends_with("_COMPLETE") && !status.contains("ROLLBACK") {
        String::new()
    } else {
        format!(", its stack is {status}")
    };
    let dead = match usize::try_from(*dead_letters).unwrap_or(usize::MAX) {
        0 => String::new(),
        dead => {
            format!("dead      {} could not be handled: `self-runners doctor --stage {name}`\n", count(dead, "event"))
        }
    };
    let each = span(*sweep_interval_ms);
    format!("stage     {name} in {region}{status}\nwebhook   {webhook_url}\nsweep     each {each}\n{dead}")
}

fn polled(outlook: Outlook) -> String {
    let repositories = match outlook.repositories {
        1 => "1 repository".to_owned(),
        n => format!("{n} repositories"),
    };
    let failing = if outlook.failing > 0 {
        format!(", {} of them cannot be read: see the log", outlook.failing)
    } else {
        String::new()
    };
    let covered = if outlook.by_webhook > 0 {
        format!(" ({} seldom, since their webhooks arrive)", outlook.by_webhook)
    } else {
        String::new()
    };
    let delay = span(outlook.worst_delay_ms);
    format!("polling   {repositories}{covered}{failing}; a job without a webhook is seen within {delay}\n")
}

fn jobs_line(facts: &Facts<'_>) -> String {
    let jobs = &facts.jobs;
    let waiting = if jobs.waiting > 0 { format!(", {} waiting for an approval", jobs.waiting) } else { String::new() };
    format!("{} queued, {} running{waiting}", jobs.queued, jobs.running)
}

fn runners_line(facts: &Facts<'_>) -> String {
    let runners = &facts.runners;
    let of = runners.max.map_or_else(String::new, |max| format!(" of {max}"));
    let states: Vec<String> = runners.states.iter().map(|(state, number)| format!("{number} {state}")).collect();
    let states = if states.is_empty() { String::new() } else { format!(": {}", states.join(", ")) };
    format!("{}{of} runners live{states}", runners.live)
}

/// What is not as it usually is.
fn troubles(picture: &Picture, facts: &Facts<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if !picture.ledger.is_inventoried() {
        lines.push("launches wait until the engine's machines are counted (first sweep)".into());
    }
    if picture.letters > 0 {
        lines.push(format!(
            "{} not handled yet",
            count(usize::try_from(picture.letters).unwrap_or(usize::MAX), "webhook")
        ));
    }
    lines.extend(picture.ledger.drains().iter().map(|(extent, drain)| drain.words(extent)));
    for pool in &facts.held_pools {
        let left = span(pool.until_ms.saturating_sub(picture.now_ms));
        lines.push(format!("pool {} is held back for {left}: {}", pool.pool, pool.why));
    }
    for budget in &facts.github_budgets {
        let owner = &budget.owner;
        lines.push(match budget.closed_until_ms {
            Some(until_ms) => {
                let left = span(until_ms.saturating_sub(picture.now_ms));
                format!("github    {owner}: GitHub's limit is reached; nothing is asked for {left}")
            }
            None => format!("github    {owner}: {} of {} points left this minute", budget.points, budget.capacity),
        });
    }
    lines
}

fn class_row(picture: &Picture, class: &ClassLine) -> [String; 6] {
    let drained = class.drained.as_ref();
    let drained = drained.map(|drain| format!("drained by {} for {}", drain.by, since(drain.since_ms, picture.now_ms)));
    let gone = class.max.is_none() && picture.policy.is_some();
    let remark = drained.or_else(|| gone.then(|| "not in the configuration any more".into()));
    [
        class.name.to_string(),
        class.live.to_string(),
        class.max.map_or_else(|| "?".into(), |max| max.to_string()),
        class.busy.to_string(),
        class.queued.to_string(),
        remark.unwrap_or_default(),
    ]
}

/// The jobs that wait longest, and how many more do.
fn waiting(picture: &mut Picture) -> (String, usize) {
    let mut jobs = picture.jobs(false);
    jobs.retain(|job| job.state != "running");
    let row = |job: &JobLine| {
        [
            job.id.to_string(),
            job.repository.to_string(),
            shortened(&job.name, NAME_CHARS_MAX),
            since(job.since_ms, picture.now_ms),
            job.why.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = jobs.iter().take(ROWS_MAX).map(row).collect();
    let text = columns(["WAITING JOB", "REPOSITORY", "NAME", "FOR", "WHY"], &rows);
    (if rows.is_empty() { String::new() } else { text }, jobs.len().saturating_sub(ROWS_MAX))
}

fn runners(picture: &Picture) -> (String, usize) {
    let runners = picture.runners(false);
    let row = |runner: &RunnerLine| {
        [
            runner.name.to_string(),
            runner.class.to_string(),
            runner.state.to_owned(),
            since(runner.created_ms, picture.now_ms),
            runner.job.map(|job| job.to_string()).unwrap_or_default(),
            runner.repository.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = runners.iter().take(ROWS_MAX).map(row).collect();
    let text = columns(["RUNNER", "CLASS", "STATE", "AGE", "JOB", "REPOSITORY"], &rows);
    (if rows.is_empty() { String::new() } else { text }, runners.len().saturating_sub(ROWS_MAX))
}

/// Rows of a table on this screen; the other commands show all.
const ROWS_MAX: usize = 20;

/// Longest job name that is shown whole.
const NAME_CHARS_MAX: usize = 30;
