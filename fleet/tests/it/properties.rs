//! Random sequences of events, also nonsensical ones: whatever comes, the promises of `fleet::invariants` hold.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    drain::Extent,
    event::Event,
    ids::{ClassName, PoolId, RunnerName},
    invariants,
    job::{Conclusion, JobInput},
    runner::{Runner, RunnerInput, RunnerState},
    wire::EndReason,
};
use proptest::prelude::*;

use crate::decisions::{Desk, job_of};

#[derive(Debug, Clone)]
enum Move {
    Job { id: u64, input: u8, runner: usize },
    Runner { runner: usize, input: u8 },
    Drain { on: bool, fleet: bool },
    Later(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0..12_u64, 0..6_u8, 0..8_usize).prop_map(|(id, input, runner)| Move::Job { id, input, runner }),
        (0..8_usize, 0..17_u8).prop_map(|(runner, input)| Move::Runner { runner, input }),
        (any::<bool>(), any::<bool>()).prop_map(|(on, fleet)| Move::Drain { on, fleet }),
        (1..200_000_u64).prop_map(Move::Later),
    ];
    prop::collection::vec(one, 1..120)
}

fn play(desk: &mut Desk, step: &Move) {
    let names: Vec<RunnerName> = desk.ledger.runners().map(|runner| runner.name.clone()).collect();
    let pick = |i: usize| names.get(i % names.len().max(1)).cloned().unwrap_or_else(|| "sr-dev-x".into());
    match *step {
        Move::Later(ms) => desk.now_ms += ms,
        Move::Drain { on, fleet } => {
            let extent = if fleet { Extent::Fleet } else { Extent::Class("default".into()) };
            let by = "test".into();
            desk.tell(&[if on { Event::Drain { extent, by } } else { Event::EndDrain { extent, by } }]);
        }
        Move::Job { id, input, runner } => {
            let runner = pick(runner).registered(1).into();
            let input = match input {
                0 => JobInput::Waiting,
                1 => JobInput::Queued,
                2 => JobInput::QueuedDirect,
                3 => JobInput::InProgress { runner },
                4 => JobInput::Completed { conclusion: Conclusion::Success, runner },
                _ => JobInput::Missing,
            };
            let repo = if id % 3 == 0 { "acme/api" } else { "acme/web" };
            desk.tell(&[job_of(repo, id, input)]);
        }
        Move::Runner { runner, input } => {
            let event = Event::Runner { runner: pick(runner), input: runner_input(input) };
            desk.tell(&[event, Event::Balance]);
        }
    }
}

fn runner_input(input: u8) -> RunnerInput {
    match input {
        0 => RunnerInput::Launched { attempt: 1, task: "t".into() },
        1 => RunnerInput::Refused { attempt: 1, why: "full".into() },
        2 | 3 => RunnerInput::Claim { attempt: 1 },
        4 | 5 => RunnerInput::Connected { registration: None },
        6 => RunnerInput::JobStarted,
        7 => RunnerInput::Ended { ran_job: false, reason: EndReason::Idle },
        8 => RunnerInput::BootOverdue,
        9 => RunnerInput::LifetimeOver,
        10 => RunnerInput::Ghost,
        11 => RunnerInput::Stop { by: "test".into() },
        12 => RunnerInput::StopOverdue,
        13 => RunnerInput::StopIdle { by: "test".into() },
        14 => RunnerInput::Outfitted { attempt: 1 },
        15 => RunnerInput::NotOutfitted { attempt: 1, refused: Some("no".into()) },
        _ => RunnerInput::TaskGone { why: "exit 0".into() },
    }
}

/// The rows before a step, to see what it did.
struct Before(BTreeMap<RunnerName, Runner>);

impl Before {
    fn of(desk: &Desk) -> Self {
        Self(desk.ledger.runners().map(|runner| (runner.name.clone(), runner.clone())).collect())
    }

    /// What the step broke.
    fn broken(&self, desk: &Desk) -> Vec<String> {
        let steps = desk.ledger.runners().filter_map(|after| self.0.get(&after.name).map(|before| (before, after)));
        let given_up = steps.filter_map(|(before, after)| invariants::no_busy_runner_given_up(before, after));
        let new = desk.ledger.runners().filter(|runner| !self.0.contains_key(&runner.name));
        let launched: BTreeSet<&PoolId> = new.map(|runner| &runner.pool).collect();
        let pools = desk.ledger.pools().filter(|pool| launched.contains(&pool.pool.id));
        let needless = pools.filter_map(|pool| invariants::no_needless_launch(&pool));
        let drained = desk.ledger.runners().filter(|runner| !self.0.contains_key(&runner.name));
        let drained = drained.filter(|runner| desk.ledger.drains().holds(&runner.class));
        let drained = drained.map(|runner| format!("{} is started although its class is drained", runner.name));
        given_up.chain(needless).chain(drained).collect()
    }
}

/// The promises that hold at any moment, over rows; and the totals that they rest on, counted again.
fn check(desk: &Desk) {
    let mut live: BTreeMap<ClassName, u32> = BTreeMap::new();
    for runner in desk.ledger.runners().filter(|runner| runner.state.is_live()) {
        *live.entry(runner.class.clone()).or_default() += 1;
    }
    assert_eq!(live.values().sum::<u32>(), desk.ledger.live());
    let mut broken = invariants::cap_held(&desk.policy, &live);
    broken.extend(invariants::no_job_waits_beside_room(
        &desk.policy,
        &live,
        desk.ledger.pools(),
        desk.ledger.drains(),
        desk.now_ms,
    ));
    assert_eq!(broken, Vec::<String>::new());
    totals_are_true(desk);
}

fn totals_are_true(desk: &Desk) {
    let mut unbound: BTreeMap<_, u32> = BTreeMap::new();
    let mut queued: BTreeMap<_, u32> = BTreeMap::new();
    for runner in desk.ledger.runners().filter(|runner| runner.state.is_unbound()) {
        *unbound.entry(runner.pool.clone()).or_default() += 1;
    }
    for job in desk.ledger.jobs() {
        if let Some(pool) = job.queued_in() {
            *queued.entry(pool.clone()).or_default() += 1;
        }
    }
    for pool in desk.ledger.pools() {
        let id = &pool.pool.id;
        assert_eq!(pool.queued, queued.get(id).copied().unwrap_or(0), "demand of {id}");
        assert_eq!(pool.unbound, unbound.get(id).copied().unwrap_or(0), "supply of {id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_and_totals_stay_true(moves in moves(), max in 0..5_u32) {
        let mut desk = Desk::new(max);
        for step in &moves {
            let before = Before::of(&desk);
            play(&mut desk, step);
            check(&desk);
            prop_assert_eq!(before.broken(&desk), Vec::<String>::new());
        }
    }

    #[test]
    fn a_gone_runner_stays_gone_and_an_ended_job_stays_ended(moves in moves()) {
        let mut desk = Desk::new(3);
        let mut ended = BTreeMap::new();
        for step in &moves {
            play(&mut desk, step);
            for runner in desk.ledger.runners() {
                if let RunnerState::Gone { at_ms, .. } = runner.state {
                    prop_assert_eq!(*ended.entry(runner.name.clone()).or_insert(at_ms), at_ms);
                } else {
                    prop_assert!(!ended.contains_key(&runner.name));
                }
            }
        }
    }

    #[test]
    fn when_all_jobs_end_and_all_machines_go_nothing_is_left(moves in moves()) {
        let mut desk = Desk::new(3);
        moves.iter().for_each(|step| play(&mut desk, step));
        let open: Vec<u64> = desk.ledger.jobs().filter(|job| job.state.is_open()).map(|job| job.facts.id.0).collect();
        for id in open {
            desk.tell(&[job_of("acme/web", id, JobInput::Missing)]);
        }
        let live: Vec<RunnerName> =
            desk.ledger.runners().filter(|runner| runner.state.is_live()).map(|runner| runner.name.clone()).collect();
        for runner in live {
            desk.tell(&[Event::Runner { runner, input: RunnerInput::TaskGone { why: "exit 0".into() } }]);
        }
        let left = invariants::scale_to_zero(desk.ledger.jobs(), desk.ledger.runners(), []);
        prop_assert_eq!(left, Vec::<String>::new());
        let waits: Vec<String> = desk.ledger.pools().filter(|pool| pool.queued > 0).map(|pool| format!("{pool:?}")).collect();
        prop_assert_eq!(waits, Vec::<String>::new());
    }
}
