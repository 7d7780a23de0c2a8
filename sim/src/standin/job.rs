//! One job from its first line to its report.
//!
//! The order of things is the official program's: folders, the *started* hook, steps, the *completed* hook, outputs,
//! leftovers. Expressions are evaluated as late as possible, because each step may change what they mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use serde_json::json;

use super::console::Console;
use super::env_files::EnvFiles;
use super::execute::{Ended, Event, Executor, Interruption, Script};
use super::launch::Errand;
use super::logs::Logs;
use super::orphans;
use super::scope::{Contexts, Folders, variables};
use super::time::now_ms;
use super::wire::{CompleteRequest, RUNNER_VERSION, StepResult};
use crate::workflow::expr::{self, Scope, Status, truthy};
use crate::workflow::spec::{Conclusion, Shell, StepAction, StepSpec};
use crate::workflow::template;

/// Absolute path of a script before the first step.
const HOOK_STARTED_ENV: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
/// Absolute path of a script after the last step.
const HOOK_COMPLETED_ENV: &str = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED";
/// Bytes of all summaries of a job at most.
const SUMMARY_BYTES_MAX: usize = 1_048_576;
const MS_PER_MINUTE: f64 = 60_000.0;

/// A job being executed.
pub(super) struct Job<'worker> {
    root: &'worker Path,
    errand: &'worker Errand,
    console: &'worker Console,
    executor: Executor,
    logs: Logs,
    /// Variables of the job, and what steps wrote to `GITHUB_ENV`.
    env: BTreeMap<String, String>,
    path: Vec<String>,
    failed: bool,
    results: Vec<StepResult>,
    summary: String,
    tracking_id: String,
}

/// What does not change from step to step.
struct Place {
    folders: Folders,
    variables: BTreeMap<String, String>,
}

type Failure = String;

impl<'worker> Job<'worker> {
    pub(super) fn new(
        root: &'worker Path,
        errand: &'worker Errand,
        console: &'worker Console,
        events: Receiver<Event>,
        to_self: SyncSender<Event>,
        logs: Logs,
    ) -> Self {
        let limit = Duration::from_millis(errand.answer.spec.timeout_ms);
        Self {
            root,
            errand,
            console,
            executor: Executor::new(events, to_self, limit),
            logs,
            env: BTreeMap::new(),
            path: Vec::new(),
            failed: false,
            results: Vec::new(),
            summary: String::new(),
            tracking_id: format!("github_{}_{}_{}", errand.job, std::process::id(), now_ms()),
        }
    }

    /// Executes it. None: nobody wants the result.
    pub(super) fn run(mut self) -> Option<CompleteRequest> {
        self.say(0, &format!("Current runner version: '{RUNNER_VERSION}'"));
        self.say(0, &format!("Runner name: '{}'", self.errand.settings.agent_name));
        let outputs = self.body().unwrap_or_else(|failure| {
            self.fail(0, &failure);
            BTreeMap::new()
        });
        let orphans = orphans::kill(&self.tracking_id);
        for orphan in orphans {
            self.say(0, &format!("Terminate orphan process: pid ({}) ({})", orphan.pid, orphan.name));
        }
        let interruption = self.executor.interruption();
        let conclusion = match (interruption, self.failed) {
            (Interruption::Abandoned(why), _) => {
                self.console.note(&format!("the job is given up: {why}"));
                return None;
            }
            (Interruption::None, false) => Conclusion::Success,
            (Interruption::None, true) => Conclusion::Failure,
            (Interruption::JobTimeout | Interruption::Cancelled | Interruption::Shutdown | Interruption::Hurry, _) => {
                Conclusion::Cancelled
            }
        };
        self.tell_interruption(interruption);
        self.logs.finish();
        Some(CompleteRequest { conclusion, outputs, steps: self.results, summary: self.summary })
    }

    fn body(&mut self) -> Result<BTreeMap<String, String>, Failure> {
        let errand = self.errand;
        let folders =
            Folders::create(self.root, errand).map_err(|error| format!("cannot make the folders: {error}"))?;
        let place = Place { variables: variables(errand, &folders, &self.tracking_id), folders };
        let mut contexts = Contexts::new(errand, &place.folders);
        let scope = contexts.scope(&BTreeMap::new(), self.status());
        self.env = rendered(&errand.answer.spec.env, &scope, "env")?;
        self.hook(&place, HOOK_STARTED_ENV)?;
        for (step, number) in errand.answer.spec.steps.iter().zip(1_u32..) {
            self.step(&place, &mut contexts, step, number);
        }
        if let Err(failure) = self.hook(&place, HOOK_COMPLETED_ENV) {
            self.fail(0, &failure);
        }
        let status = self.status();
        rendered(&errand.answer.spec.outputs, &contexts.scope(&self.env, status), "outputs")
    }

    fn hook(&mut self, place: &Place, variable: &str) -> Result<(), Failure> {
        let Some(file) = std::env::var_os(variable).filter(|file| !file.is_empty()) else { return Ok(()) };
        let file = Path::new(&file);
        self.say(0, &format!("A job {} hook has been configured: '{}'", part_of(variable), file.display()));
        if !file.is_absolute() || file.extension().is_none_or(|extension| extension != "sh") {
            return Err(format!("{variable} must be an absolute path of a .sh file"));
        }
        let env = self.environment(place, &BTreeMap::new());
        let script = Script {
            command: Shell::Default.command(),
            file,
            folder: &place.folders.workspace,
            env: &env,
            limit: None,
            keeps_on: variable == HOOK_COMPLETED_ENV,
        };
        let (executor, logs) = (&mut self.executor, &mut self.logs);
        match executor.run(&script, &mut |line| logs.line(0, line)) {
            Ok(Ended::Exited(0) | Ended::Interrupted) => Ok(()),
            Ok(Ended::Exited(code)) => Err(format!("the hook {variable} ended with exit code {code}")),
            Ok(Ended::TimedOut) => Err(format!("the hook {variable} took too long")),
            Err(error) => Err(format!("the hook {variable} cannot be started: {error}")),
        }
    }

    fn step(&mut self, place: &Place, contexts: &mut Contexts, step: &StepSpec, number: u32) {
        let started_at_ms = now_ms();
        let (outcome, conclusion, outputs) = match self.wanted(contexts, step) {
            Ok(None) => (Conclusion::Skipped, Conclusion::Skipped, BTreeMap::new()),
            Ok(Some(scope)) => self.attempt(place, step, number, &scope),
            Err(failure) => {
                self.fail(number, &failure);
                (Conclusion::Failure, Conclusion::Failure, BTreeMap::new())
            }
        };
        if let Some(id) = &step.id {
            let value = json!({"outcome": outcome.word(), "conclusion": conclusion.word(), "outputs": outputs});
            contexts.steps.insert(id.clone(), value);
        }
        let ran = conclusion != Conclusion::Skipped;
        let status = self.status();
        let scope = contexts.scope(&self.env, status);
        self.results.push(StepResult {
            number,
            name: template::render(&step.name, &scope).unwrap_or_else(|_| step.name.clone()),
            conclusion,
            started_at_ms: ran.then_some(started_at_ms),
            completed_at_ms: ran.then(now_ms),
        });
    }

    /// The step's scope, if its condition holds.
    fn wanted(&mut self, contexts: &Contexts, step: &StepSpec) -> Result<Option<Wanted>, Failure> {
        if self.executor.interruption() >= Interruption::Hurry {
            return Ok(None);
        }
        let status = self.status();
        let plain = contexts.scope(&self.env, status);
        let env = rendered(&step.env, &plain, "env")?;
        let mut all = self.env.clone();
        all.extend(env.clone());
        let scope = contexts.scope(&all, status);
        let decide = |scope: &Scope| expr::condition(step.condition.as_deref(), scope);
        if !decide(&scope).map_err(|error| format!("the `if` of this step: {error}"))? {
            return Ok(None);
        }
        let cancelled = Status { success: false, failure: false, cancelled: true };
        let keeps_on = decide(&contexts.scope(&all, cancelled)).unwrap_or(false);
        Ok(Some(Wanted { scope, env, keeps_on }))
    }

    fn attempt(&mut self, place: &Place, step: &StepSpec, number: u32, wanted: &Wanted) -> StepEnd {
        let files = EnvFiles::create(&place.folders.temp.join("_runner_file_commands"), number);
        let ended = files.map_err(|error| format!("cannot make the step's files: {error}")).and_then(|files| {
            let outcome = self.perform(place, step, number, wanted, &files)?;
            let written = files.take()?;
            self.env.extend(written.env);
            self.path.extend(written.path);
            let room = SUMMARY_BYTES_MAX.saturating_sub(self.summary.len());
            self.summary.push_str(&written.summary[..written.summary.floor_char_boundary(room)]);
            Ok((outcome, written.outputs))
        });
        let (outcome, outputs) = ended.unwrap_or_else(|failure| {
            self.say(number, &format!("##[error]{failure}"));
            (Conclusion::Failure, BTreeMap::new())
        });
        let forgiven = outcome == Conclusion::Failure && forgives(step, &wanted.scope);
        self.failed |= outcome == Conclusion::Failure && !forgiven;
        (outcome, if forgiven { Conclusion::Success } else { outcome }, outputs)
    }

    fn perform(
        &mut self,
        place: &Place,
        step: &StepSpec,
        number: u32,
        wanted: &Wanted,
        files: &EnvFiles,
    ) -> Result<Conclusion, Failure> {
        let (script, shell, folder) = match &step.action {
            StepAction::Checkout { uses } => {
                self.say(number, &format!("{uses}: there is nothing to fetch here, the workspace stays as it is"));
                return Ok(Conclusion::Success);
            }
            StepAction::Run { script, shell, working_directory } => (script, shell, working_directory),
        };
        let spec = &self.errand.answer.spec;
        let render = |text: &str| template::render(text, &wanted.scope).map_err(|error| format!("this step: {error}"));
        let file = place.folders.temp.join(format!("step_{number}.sh"));
        let text = render(script)?;
        std::fs::write(&file, &text).map_err(|error| format!("cannot write the script: {error}"))?;
        let folder = folder.as_ref().or(spec.working_directory.as_ref()).map(|text| render(text)).transpose()?;
        let folder = place.folders.workspace.join(folder.unwrap_or_default());
        let mut env = self.environment(place, &wanted.env);
        env.extend(files.variables());
        let script = Script {
            command: shell.unwrap_or(spec.shell).command(),
            file: &file,
            folder: &folder,
            env: &env,
            limit: step_limit(step, &wanted.scope)?,
            keeps_on: wanted.keeps_on,
        };
        self.say(number, &format!("##[group]{}", step_title(&text)));
        let (executor, logs) = (&mut self.executor, &mut self.logs);
        let ended = executor.run(&script, &mut |line| logs.line(number, line));
        self.judge(number, ended, &script)
    }

    fn judge(
        &mut self,
        number: u32,
        ended: std::io::Result<Ended>,
        script: &Script<'_>,
    ) -> Result<Conclusion, Failure> {
        match ended {
            Ok(Ended::Exited(0)) => Ok(Conclusion::Success),
            Ok(Ended::Exited(code)) => {
                self.say(number, &format!("##[error]Process completed with exit code {code}."));
                Ok(Conclusion::Failure)
            }
            Ok(Ended::TimedOut) => {
                let minutes = script.limit.unwrap_or_default().as_secs_f64() / 60.0;
                Err(format!("The step has timed out after {minutes} minutes."))
            }
            Ok(Ended::Interrupted) => {
                self.say(number, "##[error]The operation was canceled.");
                Ok(Conclusion::Cancelled)
            }
            Err(error) => Err(format!(
                "cannot start '{}' in '{}': {error}",
                script.command.first().unwrap_or(&""),
                script.folder.display()
            )),
        }
    }

    /// All variables of a step: the job's, the step's, then what nobody may change, and `PATH`.
    fn environment(&self, place: &Place, step: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        env.extend(step.clone());
        env.extend(place.variables.clone());
        if !self.path.is_empty() {
            let old = env.get("PATH").cloned().or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
            // What was added last is searched first.
            let mut path: Vec<String> = self.path.iter().rev().cloned().collect();
            path.push(old);
            env.insert("PATH".to_owned(), path.join(":"));
        }
        env.retain(|name, _| !name.is_empty() && !name.contains(['=', '\0']));
        env
    }

    fn status(&mut self) -> Status {
        let cancelled = self.executor.interruption() != Interruption::None;
        Status { success: !self.failed && !cancelled, failure: self.failed && !cancelled, cancelled }
    }

    fn tell_interruption(&mut self, interruption: Interruption) {
        let line = match interruption {
            Interruption::None | Interruption::Abandoned(_) => return,
            Interruption::JobTimeout => "The job has exceeded its maximum execution time.",
            Interruption::Cancelled => "The operation was canceled.",
            Interruption::Shutdown | Interruption::Hurry => {
                "The runner has received a shutdown signal. This can happen when the runner service is stopped, or a manually started runner is canceled."
            }
        };
        self.say(0, &format!("##[error]{line}"));
    }

    fn fail(&mut self, step: u32, failure: &str) {
        self.failed = true;
        self.say(step, &format!("##[error]{failure}"));
    }

    fn say(&mut self, step: u32, line: &str) {
        self.logs.line(step, line);
    }
}

/// A step whose condition holds.
struct Wanted {
    scope: Scope,
    env: BTreeMap<String, String>,
    keeps_on: bool,
}

/// Outcome, conclusion and outputs.
type StepEnd = (Conclusion, Conclusion, BTreeMap<String, String>);

fn part_of(variable: &str) -> &'static str {
    if variable == HOOK_STARTED_ENV { "started" } else { "completed" }
}

fn step_title(script: &str) -> String {
    const TITLE_CHARS: usize = 100;
    let line = script.trim().lines().next().unwrap_or_default();
    format!("Run {}", line.chars().take(TITLE_CHARS).collect::<String>())
}

fn forgives(step: &StepSpec, scope: &Scope) -> bool {
    match step.continue_on_error.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(text) => template::value(text, scope).is_ok_and(|value| truthy(&value)),
    }
}

fn step_limit(step: &StepSpec, scope: &Scope) -> Result<Option<Duration>, Failure> {
    let Some(text) = &step.timeout_minutes else { return Ok(None) };
    let text = template::render(text, scope).map_err(|error| format!("`timeout-minutes` of this step: {error}"))?;
    let minutes: Option<f64> = text.trim().parse().ok().filter(|minutes| *minutes > 0.0);
    let minutes = minutes.ok_or_else(|| format!("`timeout-minutes` of this step is not a number above 0: {text}"))?;
    // An absurdly long limit is none.
    Ok(Duration::try_from_secs_f64(minutes * MS_PER_MINUTE / 1_000.0).ok())
}

fn rendered(texts: &BTreeMap<String, String>, scope: &Scope, what: &str) -> Result<BTreeMap<String, String>, Failure> {
    let one = |(name, text): (&String, &String)| {
        let value = template::render(text, scope).map_err(|error| format!("`{what}.{name}`: {error}"))?;
        Ok((name.clone(), value))
    };
    texts.iter().map(one).collect()
}
