//! Wrong cores. Each breaks one rule; the checks must catch each, or they check nothing.

use std::sync::Arc;

use controller::service::Decider;
use fleet::{
    decide::Moment,
    effect::{Effect, LaunchSpec},
    event::Event,
    job::JobInput,
    policy::Policy,
    reconcile::{Findings, Probe, Sight},
    runner::{RunnerInput, RunnerState},
    view::{Decision, Guard, View},
};

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Forgets every fifth launch.
    DropsLaunches,
    /// Launches every runner a second time under another name.
    DoublesLaunches,
    /// Ignores the limits.
    IgnoresCaps,
    /// Writes without conditions on totals.
    IgnoresGuards,
    /// Starts a runner for each announcement, whatever is there already.
    OneJobOneRunner,
    /// Stops a runner when any job of its pool completes.
    StopsAnybody,
    /// Believes `busy: false`.
    TrustsBusy,
    /// Believes one listing: what is not on it is gone.
    TrustsOneListing,
    /// Stops machines that it has no row of.
    KillsOrphans,
    /// Drops the second announcement of a job as a duplicate, although it is the approval.
    DropsApprovals,
    /// Never looks at jobs in a sweep.
    SweepsNoJobs,
    /// Frees a runner's place when its job completes, not when its machine is gone.
    FreesEarly,
    /// Never stops or deregisters what is left.
    NeverCleans,
    /// Holds a pool back for ever after its first trouble.
    HoldsForEver,
}

impl Wrong {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::DropsLaunches,
        Self::DoublesLaunches,
        Self::IgnoresCaps,
        Self::IgnoresGuards,
        Self::OneJobOneRunner,
        Self::StopsAnybody,
        Self::TrustsBusy,
        Self::TrustsOneListing,
        Self::KillsOrphans,
        Self::DropsApprovals,
        Self::SweepsNoJobs,
        Self::FreesEarly,
        Self::NeverCleans,
        Self::HoldsForEver,
    ];

    /// As a core.
    pub fn decider(self) -> Arc<dyn Decider> {
        Arc::new(self)
    }
}

impl Decider for Wrong {
    fn decide(&self, policy: &Policy, view: &View, events: &[Event], moment: Moment) -> Decision {
        match self {
            Self::IgnoresCaps => no_guards(fleet::decide(&unlimited(policy), view, events, moment)),
            Self::IgnoresGuards => no_guards(fleet::decide(policy, view, events, moment)),
            Self::OneJobOneRunner => no_guards(fleet::decide(policy, &without_supply(view), events, moment)),
            Self::DropsApprovals => fleet::decide(policy, view, &first_word_only(view, events), moment),
            Self::FreesEarly => frees_early(fleet::decide(policy, view, events, moment)),
            Self::DropsLaunches
            | Self::DoublesLaunches
            | Self::StopsAnybody
            | Self::TrustsBusy
            | Self::TrustsOneListing
            | Self::KillsOrphans
            | Self::SweepsNoJobs
            | Self::NeverCleans
            | Self::HoldsForEver => {
                let mut decision = fleet::decide(policy, view, events, moment);
                self.spoil(&mut decision, view, events, moment);
                decision
            }
        }
    }

    fn reconcile(&self, policy: &Policy, sight: &Sight<'_>) -> Findings {
        let mut found = fleet::reconcile(policy, sight);
        match self {
            Self::TrustsBusy => trusts_busy(sight, &mut found),
            Self::TrustsOneListing => trusts_one_listing(sight, &mut found),
            Self::SweepsNoJobs => {
                found.events.retain(|event| !matches!(event, Event::Job { .. }));
                found.probes.retain(|probe| !matches!(probe, Probe::Job { .. }));
            }
            Self::NeverCleans => found.probes.clear(),
            Self::DropsLaunches
            | Self::DoublesLaunches
            | Self::IgnoresCaps
            | Self::IgnoresGuards
            | Self::OneJobOneRunner
            | Self::StopsAnybody
            | Self::KillsOrphans
            | Self::DropsApprovals
            | Self::FreesEarly
            | Self::HoldsForEver => {}
        }
        found
    }
}

impl Wrong {
    fn spoil(self, decision: &mut Decision, view: &View, events: &[Event], moment: Moment) {
        match self {
            Self::DropsLaunches => decision
                .effects
                .retain(|(effect, _)| !(matches!(effect, Effect::Launch(_)) && moment.nonce.is_multiple_of(5))),
            Self::DoublesLaunches => double(decision),
            Self::StopsAnybody => stop_somebody(decision, view, events, moment),
            Self::KillsOrphans => kill_orphans(decision, events, moment),
            Self::NeverCleans => decision
                .effects
                .retain(|(effect, _)| !matches!(effect, Effect::Stop { .. } | Effect::Deregister { .. })),
            Self::HoldsForEver => {
                for put in &mut decision.pools {
                    put.value.flags = fleet::view::PoolFlags { held_until_ms: u64::MAX / 2, ..put.value.flags.clone() };
                }
            }
            Self::IgnoresCaps
            | Self::IgnoresGuards
            | Self::OneJobOneRunner
            | Self::TrustsBusy
            | Self::TrustsOneListing
            | Self::DropsApprovals
            | Self::SweepsNoJobs
            | Self::FreesEarly => {}
        }
    }
}

fn unlimited(policy: &Policy) -> Policy {
    let mut policy = Policy { max: 1_000, ..policy.clone() };
    policy.classes.iter_mut().for_each(|class| class.max = 1_000);
    policy
}

fn no_guards(decision: Decision) -> Decision {
    Decision { guards: Vec::<Guard>::new(), ..decision }
}

fn without_supply(view: &View) -> View {
    let mut view = view.clone();
    view.pools.values_mut().for_each(|pool| pool.unbound = 0);
    view
}

/// A job that is known is not looked at again until it runs.
fn first_word_only(view: &View, events: &[Event]) -> Vec<Event> {
    let known = |event: &Event| {
        matches!(event, Event::Job { facts, input: JobInput::Queued | JobInput::QueuedDirect }
            if view.jobs.contains_key(&facts.id))
    };
    events.iter().map(|event| if known(event) { Event::Balance } else { event.clone() }).collect()
}

fn frees_early(mut decision: Decision) -> Decision {
    for put in &mut decision.runners {
        if matches!(put.value.state, RunnerState::Ending { .. }) {
            put.value.state =
                RunnerState::Gone { why: "taken for gone".into(), at_ms: 0, ended: None, interrupted: None };
        }
    }
    decision.again = true;
    decision
}

fn double(decision: &mut Decision) {
    let launched: Vec<LaunchSpec> = decision
        .effects
        .iter()
        .filter_map(|(effect, _)| if let Effect::Launch(spec) = effect { Some(LaunchSpec::clone(spec)) } else { None })
        .filter(|spec| spec.attempt == 1)
        .collect();
    for spec in launched {
        let Some(mut put) = decision.runners.iter().find(|put| put.value.name == spec.runner).cloned() else {
            continue;
        };
        put.value.name = format!("{}z", spec.runner).into();
        let twin = LaunchSpec { runner: put.value.name.clone(), ..spec };
        decision.runners.push(put);
        decision.effects.push((Effect::Launch(Box::new(twin)), 0));
    }
}

fn stop_somebody(decision: &mut Decision, view: &View, events: &[Event], moment: Moment) {
    let completed = events.iter().any(|event| matches!(event, Event::Job { input: JobInput::Completed { .. }, .. }));
    if completed {
        for row in view.runners.values() {
            let stop = Effect::Stop {
                runner: row.value.name.clone(),
                why: "a job completed".into(),
                task: row.value.task.clone(),
            };
            decision.effects.push((stop, moment.now_ms));
        }
    }
    let bound = events.iter().any(|event| matches!(event, Event::Job { input: JobInput::InProgress { .. }, .. }));
    if bound {
        for put in decision.runners.iter().filter(|put| put.value.task.is_some()) {
            let (runner, task) = (put.value.name.clone(), put.value.task.clone());
            decision.effects.push((Effect::Stop { runner, why: "paired wrongly".into(), task }, moment.now_ms));
        }
    }
}

fn kill_orphans(decision: &mut Decision, events: &[Event], moment: Moment) {
    for event in events {
        if let Event::Adopt(task) = event {
            let (runner, task) = (task.runner.clone(), Some(task.id.clone()));
            decision.effects.push((Effect::Stop { runner, why: "orphan".into(), task }, moment.now_ms));
        }
    }
}

fn trusts_busy(sight: &Sight<'_>, found: &mut Findings) {
    for runner in sight.runners.iter().filter(|runner| runner.state.is_live()) {
        let seen = sight.registrations.values().flatten().find(|seen| seen.name.starts_with(runner.name.as_str()));
        if seen.is_some_and(|seen| seen.online && !seen.busy) {
            let input = RunnerInput::Stop { by: "sweep: not busy".into() };
            found.events.push(Event::Runner { runner: runner.name.clone(), input });
        }
    }
}

fn trusts_one_listing(sight: &Sight<'_>, found: &mut Findings) {
    for runner in sight.runners.iter().filter(|runner| matches!(runner.state, RunnerState::Busy { .. })) {
        let Some(list) = sight.registrations.get(&runner.scope) else { continue };
        if !list.iter().any(|seen| seen.name.starts_with(runner.name.as_str())) {
            let input = RunnerInput::Stop { by: "sweep: not listed".into() };
            found.events.push(Event::Runner { runner: runner.name.clone(), input });
        }
    }
}
