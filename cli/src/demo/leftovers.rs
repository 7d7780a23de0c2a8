//! What must not be there when all jobs have ended: looked for everywhere, told in words.

use std::time::Duration;

use fleet::invariants::scale_to_zero;
use tokio::time::{Instant, sleep};

use super::{
    github::SimulatedGitHub,
    processes::{self, Process},
    site::Site,
    watch,
};

/// What is there now. `daemon` is the daemon's process number, if one is to live.
pub async fn look(site: &Site, github: &SimulatedGitHub, daemon: Option<u32>) -> Vec<String> {
    let mut found: Vec<String> =
        github.sight().registrations.iter().map(|name| format!("GitHub still has the runner {name}")).collect();
    found.extend(site.machines.left().await);
    found.extend(processes(site, daemon).into_iter().map(|it| format!("process {} ({}) lives", it.pid, it.name)));
    found.extend(rows(site));
    found
}

/// Waits until nothing is left, but not for ever; what is left then.
pub async fn wait(site: &Site, github: &SimulatedGitHub, daemon: Option<u32>, limit: Duration) -> Vec<String> {
    let deadline = Instant::now() + limit;
    loop {
        let found = look(site, github, daemon).await;
        if found.is_empty() || Instant::now() >= deadline {
            return found;
        }
        sleep(PAUSE).await;
    }
}

/// Ends every machine and every process of the site, whatever it is. For the end of a demo and for its failures.
pub async fn end_processes(site: &Site) {
    site.machines.end().await;
    for _ in 0..END_ROUNDS {
        let found = processes(site, None);
        if found.is_empty() {
            return;
        }
        found.iter().for_each(processes::kill);
        sleep(PAUSE).await;
    }
}

fn processes(site: &Site, daemon: Option<u32>) -> Vec<Process> {
    let mut found = processes::below(site.dir());
    for (_, agent) in processes::agents(&site.runners_root()) {
        if !found.contains(&agent) {
            found.push(agent);
        }
    }
    found.retain(|process| Some(process.pid) != daemon);
    found
}

fn rows(site: &Site) -> Vec<String> {
    let Some(scan) = watch::scan(site) else { return vec!["the daemon's store cannot be read".into()] };
    let effects = scan.effects.iter().map(|(id, _)| id);
    let mut found = scale_to_zero(&scan.open_jobs, &scan.runners, effects);
    if let Some(letters) = watch::letters(site).filter(|letters| *letters > 0) {
        found.push(format!("{letters} webhooks are not handled"));
    }
    found
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Rounds of killing: each finds what the round before set free.
const END_ROUNDS: u32 = 40;
