//! Trouble on purpose, from a seed: the daemon is killed and started again, waiting runners die, GitHub's webhooks are
//! lost, doubled, late or fail, its REST interface stumbles.

use sim::hub::faults::HubFaults;

use super::github::Sight;

/// How much trouble.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Kills of the daemon.
    pub daemon_kills: usize,
    /// Kills of runners that have no job.
    pub runner_kills: usize,
    /// Most milliseconds between two kills.
    pub gap_max_ms: u64,
}

impl Trouble {
    /// What `demo --faults` makes.
    pub const DEMO: Self = Self { daemon_kills: 3, runner_kills: 2, gap_max_ms: 1_100 };
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// Nothing.
    Nothing,
    /// Kill the daemon, and start it again so many milliseconds later.
    Daemon {
        /// The pause.
        pause_ms: u64,
        /// Kill it so many milliseconds after that start too, most likely before it serves.
        again_ms: Option<u64>,
    },
    /// Kill a runner that has no job.
    Runner,
}

/// The dice, and what they have done.
#[derive(Debug)]
pub struct Chaos {
    rng: fastrand::Rng,
    trouble: Trouble,
    next_ms: u64,
    /// Kills of the daemon so far.
    pub daemon_kills: usize,
    /// Kills of runners so far.
    pub runner_kills: usize,
}

impl Chaos {
    /// From a seed.
    pub fn new(seed: u64, trouble: Trouble) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let next_ms = rng.u64(0..=trouble.gap_max_ms);
        Self { rng, trouble, next_ms, daemon_kills: 0, runner_kills: 0 }
    }

    /// What is due `now_ms` after the beginning.
    pub fn due(&mut self, now_ms: u64) -> Blow {
        let daemon_left = self.trouble.daemon_kills - self.daemon_kills;
        let runners_left = self.trouble.runner_kills - self.runner_kills;
        if daemon_left + runners_left == 0 || now_ms < self.next_ms {
            return Blow::Nothing;
        }
        self.next_ms = now_ms + self.rng.u64(GAP_MIN_MS..=self.trouble.gap_max_ms.max(GAP_MIN_MS));
        if self.rng.usize(0..daemon_left + runners_left) < daemon_left {
            return self.daemon_blow();
        }
        Blow::Runner
    }

    fn daemon_blow(&mut self) -> Blow {
        self.daemon_kills += 1;
        let again = self.daemon_kills < self.trouble.daemon_kills && self.rng.u32(0..ONE_IN) == 0;
        self.daemon_kills += usize::from(again);
        let again_ms = again.then(|| self.rng.u64(0..=AGAIN_MAX_MS));
        Blow::Daemon { pause_ms: self.rng.u64(0..=PAUSE_MAX_MS), again_ms }
    }

    /// Chooses a live runner that has no job as far as GitHub knows, if there is one, to be killed now.
    pub fn victim(&mut self, live: &[String], sight: &Sight) -> Option<String> {
        let has_job = |name: &String| sight.busy.iter().any(|base| name.contains(base.as_str()));
        let free: Vec<&String> = live.iter().filter(|name| !has_job(name)).collect();
        let name = self.rng.choice(free)?.clone();
        self.runner_kills += 1;
        Some(name)
    }

    /// Kills that have not been made.
    pub fn left(&self) -> usize {
        self.trouble.daemon_kills - self.daemon_kills + self.trouble.runner_kills - self.runner_kills
    }
}

/// What goes wrong at GitHub until `until_ms`.
pub fn github_faults(until_ms: u64) -> HubFaults {
    HubFaults {
        lose_permille: 150,
        fail_permille: 100,
        double_permille: 150,
        late_permille: 200,
        late_max_ms: 800,
        reorder_permille: 50,
        rest_5xx_permille: 50,
        jit_lost_answer_permille: 50,
        until_ms,
        ..HubFaults::default()
    }
}

/// Least time between two kills.
const GAP_MIN_MS: u64 = 50;

/// One in so many kills is followed by another during the start.
const ONE_IN: u32 = 4;

/// A daemon serves after some tens of milliseconds.
const AGAIN_MAX_MS: u64 = 60;

/// Longest time without a daemon.
const PAUSE_MAX_MS: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_kills() {
        let blows = |seed| {
            let mut chaos = Chaos::new(seed, Trouble { runner_kills: 0, ..Trouble::DEMO });
            let due = (0..10_000).map(|ms| chaos.due(ms));
            let blows: Vec<Blow> = due.filter(|blow| *blow != Blow::Nothing).collect();
            assert_eq!((chaos.daemon_kills, chaos.left()), (3, 0));
            blows
        };
        assert_eq!(blows(1), blows(1));
        assert_ne!(blows(1), blows(2));
    }
}
