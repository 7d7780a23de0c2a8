//! Every (state × input) pair of both machines and what it does, as text: the reviewed snapshot in
//! `docs/state-tables.md`, and the list against which the simulator counts what it has reached.

use std::fmt::Write as _;

use crate::{
    class::{Class, Pool},
    ids::{JobId, RegistrationId, Repo, Scope},
    job::{self, Conclusion, JobInput, JobState, REQUEUE_AFTER_MS},
    labels::LabelSet,
    runner::{EndWhy, Outfit, Runner, RunnerInput, RunnerState, Step},
    wire::EndReason,
};

/// A moment at which every deadline of the samples has passed.
const NOW_MS: u64 = 1_000_000_000;
const JOB: JobId = JobId(1);
const OTHER: JobId = JobId(2);

/// Both tables as Markdown.
pub fn render() -> String {
    let mut out = String::from(
        "# State tables\n\nMade from the code by `fleet::table`; a test compares. `·` changes nothing, `!` cannot be: \
         nothing changes and a person is told. Times: every deadline of the row has passed.\n",
    );
    section(&mut out, "Job", &job_states(), &job_inputs());
    section(&mut out, "Runner", &runner_states(), &runner_inputs());
    out
}

type Named<T> = (String, T);

fn section<S, I>(out: &mut String, title: &str, states: &[Named<S>], inputs: &[Named<I>])
where
    (S, I): Cell,
    S: Clone,
    I: Clone,
{
    let _ = write!(out, "\n## {title}\n\n| input |");
    for (name, _) in states {
        let _ = write!(out, " {name} |");
    }
    let _ = write!(out, "\n|---|{}\n", "---|".repeat(states.len()));
    for (name, input) in inputs {
        let _ = write!(out, "| {name} |");
        for (_, state) in states {
            let _ = write!(out, " {} |", (state.clone(), input.clone()).cell());
        }
        out.push('\n');
    }
}

/// A pair of the table.
trait Cell {
    fn cell(&self) -> String;
}

impl Cell for (Option<JobState>, JobInput) {
    fn cell(&self) -> String {
        match job::step(self.0.as_ref(), &self.1, NOW_MS) {
            Some(state) => format!("→ {}", state.label()),
            None => "·".into(),
        }
    }
}

impl Cell for (Runner, RunnerInput) {
    fn cell(&self) -> String {
        let (runner, input) = self;
        match runner.step(input, &class(), NOW_MS) {
            Step::Stay => "·".into(),
            Step::Impossible => "!".into(),
            Step::Change(next) if next.state == runner.state => {
                format!("{} ({})", next.state.label(), changed(runner, &next))
            }
            Step::Change(next) => format!("→ {}", next.state.label()),
        }
    }
}

fn changed(old: &Runner, new: &Runner) -> &'static str {
    if new.attempt != old.attempt {
        "next attempt"
    } else if new.claims == old.claims && new.boot_deadline_ms != old.boot_deadline_ms {
        "boot deadline moved"
    } else if new.claims != old.claims {
        "next claim"
    } else if new.taken_back != old.taken_back {
        "notice known"
    } else if new.task != old.task {
        "task known"
    } else {
        "registration known"
    }
}

fn job_states() -> Vec<Named<Option<JobState>>> {
    let running = |since_ms| JobState::Running { runner: "sr-dev-a-1".into(), since_ms };
    let done = JobState::Done { conclusion: Conclusion::Success, at_ms: 0 };
    vec![
        ("(none)".into(), None),
        ("Waiting".into(), Some(JobState::Waiting)),
        ("Queued".into(), Some(JobState::Queued)),
        ("Running, younger than 90 s".into(), Some(running(NOW_MS - REQUEUE_AFTER_MS + 1))),
        ("Running, older".into(), Some(running(NOW_MS - REQUEUE_AFTER_MS))),
        ("Done".into(), Some(done)),
    ]
}

fn job_inputs() -> Vec<Named<JobInput>> {
    let completed = JobInput::Completed { conclusion: Conclusion::Success, runner: "".into() };
    let mut inputs = vec![
        JobInput::Waiting,
        JobInput::Queued,
        JobInput::QueuedDirect,
        JobInput::InProgress { runner: "sr-dev-a-1".into() },
        completed,
        JobInput::Missing,
    ]
    .into_iter()
    .map(|input| (input.label().to_owned(), input))
    .collect::<Vec<_>>();
    inputs.push(("in progress on another runner".into(), JobInput::InProgress { runner: "sr-dev-b-1".into() }));
    inputs
}

fn class() -> Class {
    Class { placements: 2, ..Class::default() }
}

fn runner_states() -> Vec<Named<Runner>> {
    let ending = |why| RunnerState::Ending { why, deadline_ms: 0 };
    [
        (None, RunnerState::Reserved),
        (None, RunnerState::Starting),
        (None, RunnerState::Claimed),
        (None, RunnerState::Idle { since_ms: 0 }),
        (None, RunnerState::Recalled { since_ms: 0 }),
        (None, RunnerState::Busy { job: None, since_ms: 0 }),
        (None, RunnerState::Busy { job: Some(JOB), since_ms: 0 }),
        (None, ending(EndWhy::Completed(JOB))),
        (Some("Ending on a guess"), ending(EndWhy::Ghost)),
        (None, RunnerState::Gone { why: "".into(), at_ms: 0, ended: None, interrupted: None }),
    ]
    .into_iter()
    .map(|(name, state)| (name.unwrap_or(state.label()).to_owned(), runner(state)))
    .collect()
}

fn runner(state: RunnerState) -> Runner {
    let scope = Repo::parse("acme/web").map_or_else(|| Scope::Org("acme".into()), Scope::Repo);
    let pool = Pool::new(&"default".into(), &scope, &LabelSet::default());
    let unanswered = matches!(state, RunnerState::Reserved | RunnerState::Claimed);
    let task = (!unanswered).then(|| "task".into());
    Runner {
        name: "sr-dev-a".into(),
        pool: pool.id,
        class: pool.class,
        scope: pool.scope,
        labels: pool.labels,
        repo: None,
        asked_by: None,
        attempt: 1,
        claims: u32::from(state.label() != "Reserved" && state.label() != "Starting"),
        task,
        registration: None,
        created_ms: 0,
        boot_deadline_ms: 1,
        life_deadline_ms: 1,
        taken_back: None,
        outfit: (state == RunnerState::Reserved).then(Outfit::default),
        state,
    }
}

fn runner_inputs() -> Vec<Named<RunnerInput>> {
    let mut named: Vec<Named<RunnerInput>> = vec![
        RunnerInput::Launched { attempt: 1, task: "task".into() },
        RunnerInput::Refused { attempt: 1, why: "".into() },
        RunnerInput::Outfitted { attempt: 1 },
        RunnerInput::NotOutfitted { attempt: 1, refused: Some("".into()) },
        RunnerInput::Claim { attempt: 1 },
        RunnerInput::ClaimWaits { attempt: 1 },
        RunnerInput::NoDemand,
        RunnerInput::Connected { registration: Some(RegistrationId(1)) },
        RunnerInput::Recall,
        RunnerInput::JobStarted,
        RunnerInput::Bound { job: JOB },
        RunnerInput::Released { job: JOB },
        RunnerInput::SpotNotice,
        RunnerInput::Ended { ran_job: true, reason: EndReason::Exited },
        RunnerInput::TaskGone { why: "".into() },
        RunnerInput::BootOverdue,
        RunnerInput::LifetimeOver,
        RunnerInput::Ghost,
        RunnerInput::Stop { by: "".into() },
        RunnerInput::StopIdle { by: "".into() },
        RunnerInput::StopOverdue,
        RunnerInput::TaskAlive { task: "task".into() },
    ]
    .into_iter()
    .map(|input| (input.label().to_owned(), input))
    .collect();
    let refused = RunnerInput::Refused { attempt: 2, why: "".into() };
    named.insert(2, ("refused, another attempt".into(), refused));
    named.push(("bound to another job".into(), RunnerInput::Bound { job: OTHER }));
    named.push(("released by another job".into(), RunnerInput::Released { job: OTHER }));
    named
}

/// The (machine, state, input) triples that a decision can record, and that the swarm must therefore reach.
pub fn triples() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut triples = Vec::new();
    for (_, state) in job_states() {
        let state = state.as_ref().map_or("(none)", JobState::label);
        triples.extend(job_inputs().iter().map(|(_, input)| ("job", state, input.label())));
    }
    for (_, runner) in runner_states() {
        triples.extend(runner_inputs().iter().map(|(_, input)| ("runner", runner.state.label(), input.label())));
        triples.push(("runner", runner.state.label(), "adopt"));
    }
    triples.push(("runner", "(none)", "adopt"));
    triples.sort_unstable();
    triples.dedup();
    triples
}
