//! What a person sees while a demo runs: redrawn lines on a terminal, a line for each change elsewhere.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, stdout},
};

use super::timeline::JobLife;
use crate::{table::shortened, terminal};

/// Progress on stdout.
#[derive(Debug)]
pub struct Screen {
    redraws: bool,
    /// Lines of the last picture.
    drawn: usize,
    /// What was told of each job.
    told: BTreeMap<u64, &'static str>,
    silent: bool,
}

/// What is shown above the jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headline {
    /// Milliseconds since the demo began.
    pub(crate) now_ms: u64,
    /// Runners that live.
    pub(crate) runners: usize,
    /// Most that may.
    pub(crate) max: u32,
    /// What else there is to say.
    pub(crate) remark: String,
}

impl Screen {
    /// For the present stdout; a silent one shows nothing.
    pub fn new(silent: bool) -> Self {
        Self { redraws: stdout().is_terminal(), drawn: 0, told: BTreeMap::new(), silent }
    }

    /// Shows the present state.
    pub(crate) fn show(&mut self, head: &Headline, lives: &[JobLife]) {
        if self.silent {
            return;
        }
        if self.redraws {
            self.redraw(head, lives);
        } else {
            self.tell(head, lives);
        }
    }

    /// Says something that stays.
    pub(crate) fn remark(&mut self, now_ms: u64, text: &str) {
        if self.silent {
            return;
        }
        self.wipe();
        terminal::say(&format!("{}  {text}", seconds(now_ms)));
    }

    /// Takes the redrawn lines away, for what comes after them.
    pub(crate) fn wipe(&mut self) {
        if self.drawn > 0 {
            terminal::draw(&format!("\x1b[{}A\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }

    fn redraw(&mut self, head: &Headline, lives: &[JobLife]) {
        let (columns, rows) = terminal::size();
        let lines = picture(head, lives, columns, rows);
        let mut text = if self.drawn > 0 { format!("\x1b[{}A\x1b[J", self.drawn) } else { String::new() };
        for line in &lines {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.len();
        terminal::draw(&terminal::lines(&text));
    }

    fn tell(&mut self, head: &Headline, lives: &[JobLife]) {
        for life in lives {
            let stage = life.stage();
            if !TOLD.contains(&stage) || self.told.get(&life.id) == Some(&stage) {
                continue;
            }
            self.told.insert(life.id, stage);
            let runner = life.runner.as_deref().unwrap_or("no runner");
            let what = match stage {
                "running" => format!("runs on {runner}"),
                "completed" | "gone" => format!("{stage}: {}", life.result()),
                _announced => "is queued".to_owned(),
            };
            terminal::say(&format!("{}  {} {what}", seconds(head.now_ms), life.name));
        }
    }
}

/// The lines: a headline, then the jobs as far as they fit, open ones first.
fn picture(head: &Headline, lives: &[JobLife], columns: usize, rows: usize) -> Vec<String> {
    let count = |stages: &[&str]| lives.iter().filter(|life| stages.contains(&life.stage())).count();
    let headline = format!(
        "{}  jobs: {} wait, {} run, {} done of {}; runners: {} of {}{}",
        seconds(head.now_ms),
        count(&["announced", "launched", "claimed"]),
        count(&["running"]),
        count(&["completed", "gone"]),
        lives.len(),
        head.runners,
        head.max,
        head.remark,
    );
    let room = rows.saturating_sub(2).max(1);
    let mut shown: Vec<&JobLife> = lives.iter().collect();
    if shown.len() > room {
        shown.sort_by_key(|life| (life.completed_ms.is_some(), life.running_ms.is_none()));
        shown.truncate(room);
    }
    let rows = shown.into_iter().map(|life| row(life, head.now_ms));
    [headline].into_iter().chain(rows).map(|line| shortened(&line, columns)).collect()
}

fn row(life: &JobLife, now_ms: u64) -> String {
    let steps = ["announced", "launched", "claimed", "running", "completed", "gone"];
    let at = steps.iter().position(|step| *step == life.stage()).unwrap_or(0);
    let track: String = (0..steps.len()).map(|step| if step <= at { '●' } else { '·' }).collect();
    let since = match (life.running_ms, life.completed_ms) {
        (Some(from_ms), Some(to_ms)) => format!("{} {}", seconds(to_ms.saturating_sub(from_ms)), life.result()),
        (Some(from_ms), None) => seconds(now_ms.saturating_sub(from_ms)),
        (None, _) => life.conclusion.map_or_else(String::new, |_| life.result().to_owned()),
    };
    format!("  {:24} {track} {:10} {since}", shortened(&life.name, 24), life.stage())
}

fn seconds(ms: u64) -> String {
    format!("{:3}.{:02} s", ms / 1_000, ms % 1_000 / 10)
}

/// Stages that are told where nothing is redrawn.
const TOLD: [&str; 4] = ["announced", "running", "completed", "gone"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fits_the_terminal() {
        let life = |id| JobLife { id, name: format!("build ({id})"), announced_ms: Some(0), ..JobLife::default() };
        let lives: Vec<JobLife> = (0..100).map(life).collect();
        let lines = picture(&Headline::default(), &lives, 60, 10);
        assert_eq!(lines.len(), 9);
        assert!(lines.iter().all(|line| line.chars().count() <= 60));
        assert!(lines[0].contains("100 wait, 0 run, 0 done of 100"), "{}", lines[0]);
    }

    #[test]
    fn open_jobs_are_shown_before_ended_ones() {
        let done = JobLife { id: 1, name: "done".into(), completed_ms: Some(2), ..JobLife::default() };
        let open = JobLife { id: 2, name: "open".into(), running_ms: Some(1), ..JobLife::default() };
        let lines = picture(&Headline::default(), &[done.clone(), done.clone(), done, open], 80, 3);
        assert!(lines[1].contains("open"), "{lines:?}");
    }
}
