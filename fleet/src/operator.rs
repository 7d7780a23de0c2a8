//! What people want: to drain and to stop. The decision's part for events of an operator.
//!
//! Whether a stop costs a job is judged here, on the row that is written, so that no job begins between the look and the
//! stop.

use std::sync::Arc;

use crate::{
    decide::Draft,
    drain::{Drain, Extent},
    event::Outcome,
    runner::{Runner, RunnerInput, RunnerState},
};

impl Draft<'_> {
    pub(crate) fn drain(&mut self, extent: &Extent, by: &Arc<str>) -> Outcome {
        if let Some(drain) = self.view.drains.get(extent) {
            return Outcome::Refused(format!("{} already", drain.words(extent)));
        }
        if let Extent::Class(name) = extent
            && self.policy.class(name).is_none()
        {
            let names: Vec<String> = self.policy.classes.iter().map(|class| format!("`{}`", class.name)).collect();
            return Outcome::Refused(format!("there is no class `{name}`, only {}", names.join(", ")));
        }
        let drain = Drain { by: by.clone(), since_ms: self.now_ms };
        let text = format!("{}: nothing of it is started, idle runners end, busy ones finish", drain.words(extent));
        self.set_drain(extent, Some(drain));
        self.record(None, None, text.clone());
        Outcome::Accepted(text)
    }

    pub(crate) fn end_drain(&mut self, extent: &Extent, by: &Arc<str>) -> Outcome {
        let Some(drain) = self.view.drains.get(extent) else {
            return Outcome::Refused(format!("{} not drained", extent.words()));
        };
        let mut text = format!("{} no longer drained: {by} lifts the drain of {}", extent.words(), drain.by);
        self.set_drain(extent, None);
        if let Extent::Class(name) = extent
            && let Some(still) = self.view.drains.words(name)
        {
            text.push_str(&format!("; but {still}"));
        }
        self.record(None, None, text.clone());
        // Who waits may be more than one decision sees.
        self.out.again = true;
        Outcome::Accepted(text)
    }

    fn set_drain(&mut self, extent: &Extent, drain: Option<Drain>) {
        self.view.drains.set(extent.clone(), drain.clone());
        self.out.drains.push((extent.clone(), drain));
    }

    pub(crate) fn stop_by_hand(&mut self, runner: &Runner, input: &RunnerInput, by: &str) -> Outcome {
        let forced = matches!(input, RunnerInput::Stop { .. });
        match &runner.state {
            RunnerState::Gone { why, .. } => {
                self.runner_step(runner, input);
                Outcome::Refused(format!("it is gone already: {why}"))
            }
            RunnerState::Ending { why, .. } => {
                let text = format!("it is ending already: {}", why.text());
                self.runner_step(runner, input);
                if !forced {
                    return Outcome::Refused(text);
                }
                self.stop(runner, runner.task.clone(), &format!("stopped by {by}"), self.now_ms);
                self.record(None, Some(runner.name.clone()), format!("{} is stopped at once by {by}", runner.name));
                Outcome::Accepted(format!("{text}; its machine is stopped at once"))
            }
            RunnerState::Idle { .. } if !forced => {
                self.recall(runner, input, &format!("stopped by {by}"));
                Outcome::Accepted("its agent is asked at its next report to end it, unless it got a job".into())
            }
            RunnerState::Reserved
            | RunnerState::Starting
            | RunnerState::Claimed
            | RunnerState::Idle { .. }
            | RunnerState::Recalled { .. }
            | RunnerState::Busy { .. } => {
                if self.runner_step(runner, input) {
                    return Outcome::Accepted(stopped(runner));
                }
                Outcome::Refused(refusal(runner))
            }
        }
    }
}

/// What a stop at once brings about.
fn stopped(runner: &Runner) -> String {
    let state = &runner.state;
    match state {
        RunnerState::Busy { job: Some(job), .. } => {
            format!("it is stopped; job {job} is lost with it: GitHub fails it within some minutes")
        }
        RunnerState::Busy { job: None, .. } => {
            "it is stopped; a job that it runs is lost with it: GitHub fails it within some minutes".into()
        }
        RunnerState::Reserved
        | RunnerState::Starting
        | RunnerState::Claimed
        | RunnerState::Idle { .. }
        | RunnerState::Recalled { .. }
        | RunnerState::Ending { .. }
        | RunnerState::Gone { .. } => "it is stopped".into(),
    }
}

/// Why a runner is not stopped without force.
fn refusal(runner: &Runner) -> String {
    match &runner.state {
        RunnerState::Busy { job: Some(job), .. } => {
            format!("it runs job {job}, which would be lost; only force stops it")
        }
        RunnerState::Busy { job: None, .. } => "it runs a job, which would be lost; only force stops it".into(),
        RunnerState::Recalled { .. } => {
            "its agent has been asked to end it already; only force stops it at once".into()
        }
        RunnerState::Reserved
        | RunnerState::Starting
        | RunnerState::Claimed
        | RunnerState::Idle { .. }
        | RunnerState::Ending { .. }
        | RunnerState::Gone { .. } => "it is booting and may be given a job at any moment; only force stops it".into(),
    }
}
