//! `cargo xtask bench core`: what a decision costs, and whether that grows with what waits and lives.

use std::{collections::BTreeMap, time::Instant};

use fleet::{
    class::Class,
    decide::Moment,
    event::Event,
    ids::{JobId, Repo, RunId, RunnerName},
    job::{Conclusion, JobFacts, JobInput},
    labels::LabelSet,
    ledger::Ledger,
    policy::{Owner, Policy},
    runner::{RunnerInput, RunnerState},
    view::Keys,
};

use super::table::{Table, fixed, whole};

/// Rows of the table: so many jobs wait and so many runners live.
const SIZES: [u64; 3] = [10, 1_000, 100_000];

/// Jobs whose whole life is measured in each round.
const LIVES: u64 = 2_000;

/// Rounds; the best one counts.
const ROUNDS: usize = 3;

/// Repositories that the waiting jobs come from.
const REPOS: u64 = 50;

/// Measures.
pub(crate) fn table() -> Table {
    let head = ["jobs waiting", "runners live", "decisions/s", "µs a decision", "against the first row"];
    let about = "decide + commit on the core's own tables; a life = 6 events of one job and its runner";
    let mut table = Table::new("core", about, &head);
    let mut first = None;
    for size in SIZES {
        let seconds = (0..ROUNDS).map(|_| measure(size)).fold(f64::INFINITY, f64::min);
        let micros = seconds * 1e6;
        let base = *first.get_or_insert(micros);
        table.row([size.into(), size.into(), whole(1.0 / seconds), fixed(micros, 2), fixed(micros / base, 2)]);
    }
    table
}

/// Seconds a decision takes beside `size` waiting jobs and as many live runners.
fn measure(size: u64) -> f64 {
    let mut desk = Desk::new(size);
    let begin = Instant::now();
    let mut decisions = 0;
    for i in 0..LIVES {
        decisions += desk.life(size * 2 + i + 1);
    }
    begin.elapsed().as_secs_f64() / decisions as f64
}

struct Desk {
    policy: Policy,
    ledger: Ledger,
    nonce: u64,
}

impl Desk {
    fn new(size: u64) -> Self {
        let labels = LabelSet::parse(["self-hosted", "linux"]).unwrap_or_default();
        let limit = u32::try_from(size).unwrap_or(u32::MAX);
        let class = Class { labels, max: limit, ..Class::default() };
        let owner = Owner { organization: false, repositories: None };
        let owners = BTreeMap::from([("acme".to_owned(), owner)]);
        let policy = Policy { max: limit, classes: vec![class], owners, ..Policy::default() };
        let mut desk = Self { policy, ledger: Ledger::new(false), nonce: 0 };
        desk.tell(&[Event::Inventory]);
        // The first half of the jobs takes all runners, the second half waits; the measured ones come on top.
        for id in 1..=size * 2 {
            desk.tell(&[job(id, JobInput::Queued)]);
        }
        desk
    }

    fn tell(&mut self, events: &[Event]) -> u64 {
        let mut decisions = 0;
        let mut events = events.to_vec();
        loop {
            self.nonce += 1;
            decisions += 1;
            let view = self.ledger.load(&Keys::of(&self.policy, &events), self.nonce);
            let decision =
                fleet::decide(&self.policy, &view, &events, Moment { now_ms: self.nonce, nonce: self.nonce });
            if self.ledger.commit(&decision, self.nonce).is_err() || !decision.again {
                return decisions;
            }
            events = vec![Event::Balance];
        }
    }

    /// A new job arrives; a runner that starts runs somebody's job and goes; the next one is launched.
    fn life(&mut self, id: u64) -> u64 {
        let Some(runner) = self.starting() else { return 1 };
        let of = |input| Event::Runner { runner: runner.clone(), input };
        let name = runner.registered(1);
        let mut decisions = self.tell(&[job(id, JobInput::Queued)]);
        decisions += self.tell(&[of(RunnerInput::Launched { attempt: 1, task: "t".into() })]);
        decisions += self.tell(&[of(RunnerInput::Claim { attempt: 1 })]);
        let started = JobInput::InProgress { runner: name.as_str().into() };
        decisions += self.tell(&[job(id, started)]);
        let ended = JobInput::Completed { conclusion: Conclusion::Success, runner: name.as_str().into() };
        decisions += self.tell(&[job(id, ended)]);
        decisions + self.tell(&[of(RunnerInput::TaskGone { why: "exit 0".into() })])
    }

    /// A runner whose launch is not answered. The newest is the last of its kind in the order of names.
    fn starting(&self) -> Option<RunnerName> {
        let (_, pending) = self.ledger.effects().find(|(id, _)| id.as_str().starts_with("launch/"))?;
        let fleet::effect::Effect::Launch(spec) = &pending.effect else { return None };
        let runner = self.ledger.runner(&spec.runner)?;
        (runner.state == RunnerState::Reserved).then(|| spec.runner.clone())
    }
}

fn job(id: u64, input: JobInput) -> Event {
    let repo = Repo::parse(&format!("acme/repo-{}", id % REPOS));
    let facts = JobFacts {
        id: JobId(id),
        run_id: RunId(id),
        run_attempt: 1,
        repo: repo.unwrap_or_else(|| unreachable!("the name is well formed")),
        public: Some(false),
        name: "build".into(),
        labels: vec!["self-hosted".into(), "linux".into()],
        created_ms: id,
    };
    Event::Job { facts, input }
}
