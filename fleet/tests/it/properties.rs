//! Random sequences of events, also nonsensical ones: whatever comes, the totals stay true and the caps hold.

use std::collections::BTreeMap;

use fleet::{
    event::Event,
    ids::RunnerName,
    job::{Conclusion, JobInput},
    runner::{RunnerInput, RunnerState},
    wire::EndReason,
};
use proptest::prelude::*;

use crate::decisions::{Desk, job_of};

#[derive(Debug, Clone)]
enum Move {
    Job { id: u64, input: u8, runner: usize },
    Runner { runner: usize, input: u8 },
    Later(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0..12_u64, 0..6_u8, 0..8_usize).prop_map(|(id, input, runner)| Move::Job { id, input, runner }),
        (0..8_usize, 0..14_u8).prop_map(|(runner, input)| Move::Runner { runner, input }),
        (1..200_000_u64).prop_map(Move::Later),
    ];
    prop::collection::vec(one, 1..120)
}

fn play(desk: &mut Desk, step: &Move) {
    let names: Vec<RunnerName> = desk.ledger.runners().map(|runner| runner.name.clone()).collect();
    let pick = |i: usize| names.get(i % names.len().max(1)).cloned().unwrap_or_else(|| "sr-dev-x".into());
    match *step {
        Move::Later(ms) => desk.now_ms += ms,
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
        _ => RunnerInput::TaskGone { why: "exit 0".into() },
    }
}

/// The totals that hold the limits, counted again from the rows.
fn check(desk: &Desk) {
    let live = desk.ledger.runners().filter(|runner| runner.state.is_live()).count();
    assert_eq!(live, desk.ledger.live() as usize);
    assert!(live <= desk.policy.max as usize, "cap-held");
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
        let room = live < desk.policy.max as usize && pool.flags.held_until_ms <= desk.now_ms;
        assert!(!room || pool.deficit() <= 0 || pool.flags.fruitless > 0, "{id} waits although there is room");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn totals_stay_true_and_caps_hold(moves in moves(), max in 0..5_u32) {
        let mut desk = Desk::new(max);
        for step in &moves {
            play(&mut desk, step);
            check(&desk);
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
}
