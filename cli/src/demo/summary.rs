//! The closing summary: one value with a face for people and one for programs.

use fleet::job::Conclusion;
use serde::Serialize;

use super::timeline::JobLife;

/// What a demo came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Jobs that ended, however.
    pub jobs_done: usize,
    /// Of those, jobs whose own steps failed.
    pub jobs_failed: usize,
    /// Of those, jobs whose runner died under them.
    pub interrupted: usize,
    /// Jobs that did not end.
    pub lost: usize,
    /// What was left over: each in words.
    pub left: usize,
    /// Runners that were started.
    pub runners_started: usize,
    /// Most runners that lived at once.
    pub peak: usize,
    /// Milliseconds from announcement to begin: half of the jobs waited less.
    pub wait_ms_p50: u64,
    /// Milliseconds from announcement to begin: 19 of 20 jobs waited less.
    pub wait_ms_p95: u64,
    /// Kills of the daemon.
    pub daemon_kills: usize,
    /// Kills of runners that had no job.
    pub runner_kills: usize,
    /// Milliseconds in all.
    pub duration_ms: u64,
    /// What was left over.
    pub leftovers: Vec<String>,
}

impl Summary {
    /// What the jobs' lives tell.
    pub fn of(lives: &[JobLife], leftovers: Vec<String>) -> Self {
        let count = |test: fn(&JobLife) -> bool| lives.iter().filter(|life| test(life)).count();
        let mut waits: Vec<u64> = lives.iter().filter_map(JobLife::wait_ms).collect();
        waits.sort_unstable();
        Self {
            jobs_done: count(|life| life.conclusion.is_some()),
            jobs_failed: count(|life| life.conclusion == Some(Conclusion::Failure) && !life.interrupted),
            interrupted: count(|life| life.interrupted),
            lost: count(|life| life.conclusion.is_none()),
            left: leftovers.len(),
            wait_ms_p50: percentile(&waits, 50),
            wait_ms_p95: percentile(&waits, 95),
            leftovers,
            ..Self::default()
        }
    }

    /// Whether nothing was lost or left.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.left == 0
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{} jobs done ({} failed, {} interrupted), {} lost, {} left over, in {}.{:01} s\n",
            self.jobs_done,
            self.jobs_failed,
            self.interrupted,
            self.lost,
            self.left,
            self.duration_ms / 1_000,
            self.duration_ms % 1_000 / 100,
        );
        text.push_str(&format!(
            "{} runners started, at most {} at once; waited {} ms (median), {} ms (95 %)\n",
            self.runners_started, self.peak, self.wait_ms_p50, self.wait_ms_p95
        ));
        if self.daemon_kills + self.runner_kills > 0 {
            let (daemon, runners) = (self.daemon_kills, self.runner_kills);
            text.push_str(&format!(
                "on the way the daemon was killed {daemon} times and {runners} waiting runners died\n"
            ));
        }
        for item in &self.leftovers {
            text.push_str(&format!("left over: {item}\n"));
        }
        text
    }
}

/// Of sorted values; 0 of none.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(at).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=20).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 95)), (10, 19));
        assert_eq!((percentile(&[7], 95), percentile(&[], 50)), (7, 0));
    }

    #[test]
    fn a_failed_job_is_not_lost() {
        let life = |conclusion| JobLife { conclusion, ..JobLife::default() };
        let lives = [life(Some(Conclusion::Failure)), life(Some(Conclusion::Success))];
        assert!(Summary::of(&lives, Vec::new()).is_clean());
        assert!(!Summary::of(&[life(None)], Vec::new()).is_clean());
        assert!(!Summary::of(&[], vec!["a folder".into()]).is_clean());
    }
}
