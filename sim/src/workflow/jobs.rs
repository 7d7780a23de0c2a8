//! One entry of `jobs:` → its plans.
//!
//! What depends on the matrix (`name`, `runs-on`, `environment`, `timeout-minutes`, `continue-on-error`) is evaluated
//! here, once for each combination; all else stays as written until the job runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::error::{ErrorKind, Place, WorkflowError};
use super::expr::{ExprError, Scope, text_of, truthy};
use super::limits::{JOB_ID_CHARS_MAX, JOB_TIMEOUT_DEFAULT_MINUTES, JOB_TIMEOUT_MAX_MINUTES};
use super::matrix::{self, Combination};
use super::plan::JobPlan;
use super::scalars::{self, Fields, bad_expression, shape, short};
use super::spec::{JobSpec, Shell};
use super::yaml::{Entry, Kind};
use super::{steps, template};

type Read<T> = Result<T, WorkflowError>;

const KEYS: [&str; 16] = [
    "name",
    "runs-on",
    "needs",
    "if",
    "strategy",
    "steps",
    "timeout-minutes",
    "continue-on-error",
    "environment",
    "env",
    "outputs",
    "defaults",
    "permissions",
    "concurrency",
    "container",
    "services",
];

/// What the whole workflow says for all jobs.
pub(super) struct Defaults {
    pub(super) env: BTreeMap<String, String>,
    pub(super) run: RunDefaults,
}

/// `defaults.run`.
#[derive(Clone, Default)]
pub(super) struct RunDefaults {
    shell: Option<Shell>,
    working_directory: Option<String>,
}

/// Reads `defaults` of the workflow or of a job.
pub(super) fn run_defaults(fields: &Fields<'_>) -> Read<RunDefaults> {
    let Some(node) = fields.value("defaults") else { return Ok(RunDefaults::default()) };
    let defaults = Fields::of(node, format!("`defaults` of {}", fields.what))?;
    defaults.only(&["run"])?;
    let Some(node) = defaults.value("run") else { return Ok(RunDefaults::default()) };
    let run = Fields::of(node, format!("`defaults.run` of {}", fields.what))?;
    run.only(&["shell", "working-directory"])?;
    Ok(RunDefaults { shell: steps::shell(&run)?, working_directory: run.text("working-directory")? })
}

/// Reads one job and expands its matrix.
pub(super) fn read(entry: &Entry, defaults: &Defaults) -> Read<Vec<JobPlan>> {
    check_id(entry)?;
    let job = Fields::of(&entry.value, format!("job `{}`", entry.key))?;
    refuse(&job)?;
    job.only(&KEYS)?;
    let strategy = job.value("strategy").map(|node| Fields::of(node, format!("`strategy` of {}", job.what)));
    let strategy = strategy.transpose()?;
    if let Some(strategy) = &strategy {
        strategy.only(&["matrix", "fail-fast", "max-parallel"])?;
    }
    let common = Common {
        key: &entry.key,
        needs: needs(&job)?,
        condition: job.condition()?,
        fail_fast: fail_fast(strategy.as_ref())?,
        max_parallel: max_parallel(strategy.as_ref())?,
        body: Arc::new(body(entry, &job, defaults)?),
        job: &job,
    };
    let combinations = matrix::read(strategy.as_ref(), &job.what)?;
    combinations.iter().map(|combination| common.plan(combination)).collect()
}

fn check_id(entry: &Entry) -> Read<()> {
    let key = &entry.key;
    let first = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if first && rest && key.len() <= JOB_ID_CHARS_MAX {
        return Ok(());
    }
    let message = format!(
        "the job id `{}` must be letters, digits, `-` and `_`, a letter first, at most {JOB_ID_CHARS_MAX}",
        short(key)
    );
    Err(shape(entry.at, message))
}

fn refuse(job: &Fields<'_>) -> Read<()> {
    let root = "run the steps on the runner itself, without a container";
    job.refuse("container", root)?;
    job.refuse("services", root)?;
    job.refuse("uses", "a reusable workflow cannot be fetched: write its jobs into this file")
}

fn body(entry: &Entry, job: &Fields<'_>, defaults: &Defaults) -> Read<JobSpec> {
    let own = run_defaults(job)?;
    let mut env = defaults.env.clone();
    env.extend(job.texts("env")?);
    Ok(JobSpec {
        key: entry.key.clone(),
        name: entry.key.clone(),
        env,
        matrix: BTreeMap::new(),
        steps: steps::read(job)?,
        outputs: job.texts("outputs")?,
        timeout_ms: 0,
        shell: own.shell.or(defaults.run.shell).unwrap_or_default(),
        working_directory: own.working_directory.or_else(|| defaults.run.working_directory.clone()),
    })
}

fn needs(job: &Fields<'_>) -> Read<Vec<String>> {
    let Some(node) = job.value("needs") else { return Ok(Vec::new()) };
    let list = scalars::text_or_list(node, &format!("`needs` of {}", job.what))?;
    Ok(list.into_iter().map(|(_, text)| text).collect())
}

fn fail_fast(strategy: Option<&Fields<'_>>) -> Read<bool> {
    let Some(strategy) = strategy else { return Ok(true) };
    match strategy.flag_text("fail-fast")?.as_deref() {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(shape(strategy.at, format!("`fail-fast` in {} must be true or false here", strategy.what))),
    }
}

fn max_parallel(strategy: Option<&Fields<'_>>) -> Read<Option<usize>> {
    let Some((strategy, node)) = strategy.and_then(|fields| Some((fields, fields.value("max-parallel")?))) else {
        return Ok(None);
    };
    let text = scalars::raw(node, "`max-parallel`")?;
    let number = text.parse().ok().filter(|number| *number > 0);
    let message = format!("`max-parallel` in {} must be a whole number above 0", strategy.what);
    number.map(Some).ok_or_else(|| shape(node.at, message))
}

/// What all combinations of a job share.
struct Common<'job> {
    key: &'job str,
    needs: Vec<String>,
    condition: Option<String>,
    fail_fast: bool,
    max_parallel: Option<usize>,
    body: Arc<JobSpec>,
    job: &'job Fields<'job>,
}

impl Common<'_> {
    fn plan(&self, combination: &Combination) -> Read<JobPlan> {
        let matrix: BTreeMap<String, Value> = combination.values.iter().cloned().collect();
        let scope = Scope::new([("matrix", serde_json::json!(matrix))]);
        let (runs_on, runner_group) = self.runs_on(&scope)?;
        Ok(JobPlan {
            index: 0,
            key: self.key.to_owned(),
            name: self.name(combination, &scope)?,
            runs_on,
            runner_group,
            needs: self.needs.clone(),
            condition: self.condition.clone(),
            environment: self.environment(&scope)?,
            fail_fast: self.fail_fast,
            max_parallel: self.max_parallel,
            continue_on_error: self.continue_on_error(&scope)?,
            matrix,
            timeout_ms: self.timeout_ms(&scope)?,
            body: Arc::clone(&self.body),
        })
    }

    /// GitHub adds the combination's values unless the name has expressions of its own.
    fn name(&self, combination: &Combination, scope: &Scope) -> Read<String> {
        match self.job.text("name")? {
            Some(text) if text.contains("${{") => {
                template::render(&text, scope).map_err(|error| self.bad("name", &error))
            }
            Some(text) => Ok(text + &combination.suffix()),
            None => Ok(self.key.to_owned() + &combination.suffix()),
        }
    }

    fn runs_on(&self, scope: &Scope) -> Read<(Vec<String>, Option<String>)> {
        let Some(node) = self.job.value("runs-on") else {
            let message = format!("`runs-on` is missing in {}; add e.g. `runs-on: self-hosted`", self.job.what);
            return Err(WorkflowError::new(ErrorKind::Missing, self.job.at, message));
        };
        let what = format!("`runs-on` of {}", self.job.what);
        let Kind::Map(_) = node.kind else {
            return Ok((self.labels(scalars::text_or_list(node, &what)?, scope)?, None));
        };
        let fields = Fields::of(node, what.clone())?;
        fields.only(&["group", "labels"])?;
        let labels = match fields.value("labels") {
            Some(labels) => self.labels(scalars::text_or_list(labels, &what)?, scope)?,
            None => Vec::new(),
        };
        let group = fields.text("group")?.map(|text| template::render(&text, scope)).transpose();
        let group = group.map_err(|error| self.bad("runs-on", &error))?;
        if labels.is_empty() && group.is_none() {
            return Err(WorkflowError::new(
                ErrorKind::Missing,
                node.at,
                format!("{what} names neither group nor labels"),
            ));
        }
        Ok((labels, group))
    }

    fn labels(&self, texts: Vec<(Place, String)>, scope: &Scope) -> Read<Vec<String>> {
        let mut labels = Vec::new();
        for (at, text) in texts {
            let value = template::value(&text, scope).map_err(|error| self.bad("runs-on", &error))?;
            let found =
                value.as_array().map_or_else(|| vec![text_of(&value)], |items| items.iter().map(text_of).collect());
            if found.iter().any(|label| label.trim().is_empty()) || found.is_empty() {
                let message =
                    format!("a label of `runs-on` in {} is empty; only `matrix.*` is known here", self.job.what);
                return Err(shape(at, message));
            }
            labels.extend(found);
        }
        Ok(labels)
    }

    fn environment(&self, scope: &Scope) -> Read<Option<String>> {
        let Some(node) = self.job.value("environment") else { return Ok(None) };
        let text = match node.kind {
            Kind::Map(_) => {
                let fields = Fields::of(node, format!("`environment` of {}", self.job.what))?;
                fields.only(&["name", "url", "deployment"])?;
                fields.text("name")?
            }
            Kind::Scalar { .. } | Kind::List(_) => self.job.text("environment")?,
        };
        let text = text.map(|text| template::render(&text, scope)).transpose();
        Ok(text.map_err(|error| self.bad("environment", &error))?.filter(|text| !text.is_empty()))
    }

    fn continue_on_error(&self, scope: &Scope) -> Read<bool> {
        match self.job.flag_text("continue-on-error")? {
            None => Ok(false),
            Some(text) if text == "true" || text == "false" => Ok(text == "true"),
            Some(text) => {
                let value = template::value(&text, scope).map_err(|error| self.bad("continue-on-error", &error))?;
                Ok(truthy(&value))
            }
        }
    }

    fn timeout_ms(&self, scope: &Scope) -> Read<u64> {
        let Some(text) = self.job.number_text("timeout-minutes")? else {
            return Ok(minutes_ms(JOB_TIMEOUT_DEFAULT_MINUTES));
        };
        let text = template::render(&text, scope).map_err(|error| self.bad("timeout-minutes", &error))?;
        let minutes = text.trim().parse().ok().filter(|minutes| *minutes > 0.0 && *minutes <= JOB_TIMEOUT_MAX_MINUTES);
        let message = || {
            let what = &self.job.what;
            format!("`timeout-minutes` of {what} must be above 0 and at most {JOB_TIMEOUT_MAX_MINUTES}")
        };
        let at = self.job.get("timeout-minutes").map_or(self.job.at, |entry| entry.at);
        minutes.map(minutes_ms).ok_or_else(|| shape(at, message()))
    }

    fn bad(&self, key: &str, error: &ExprError) -> WorkflowError {
        let at = self.job.get(key).map_or(self.job.at, |entry| entry.at);
        bad_expression(at, &format!("`{key}` of {}", self.job.what), error)
    }
}

/// Minutes as whole milliseconds, never zero.
pub(super) fn minutes_ms(minutes: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above 0, and `as` saturates")]
    let ms = (minutes * 60_000.0).ceil() as u64;
    ms.max(1)
}
