//! `steps:` → [`StepSpec`]s.
//!
//! It refuses what the stand-in cannot run, so that nobody waits for a job to learn it.

use super::error::{ErrorKind, WorkflowError};
use super::limits::STEPS_MAX;
use super::scalars::{Fields, shape, short};
use super::spec::{Shell, StepAction, StepSpec};
use super::yaml::{Kind, Node};

type Read<T> = Result<T, WorkflowError>;

const KEYS: [&str; 11] = [
    "name",
    "id",
    "if",
    "run",
    "uses",
    "with",
    "env",
    "shell",
    "working-directory",
    "continue-on-error",
    "timeout-minutes",
];

/// Reads the steps of a job.
pub(super) fn read(job: &Fields<'_>) -> Read<Vec<StepSpec>> {
    let Some(node) = job.value("steps") else {
        let message = format!("`steps` is missing in {}; add e.g. `steps: [{{run: make}}]`", job.what);
        return Err(WorkflowError::new(ErrorKind::Missing, job.at, message));
    };
    let Kind::List(items) = &node.kind else {
        return Err(shape(node.at, format!("`steps` in {} must be a list (`- run: …`)", job.what)));
    };
    if items.is_empty() {
        let message = format!("`steps` in {} is empty; add e.g. `- run: make`", job.what);
        return Err(WorkflowError::new(ErrorKind::Missing, node.at, message));
    }
    if items.len() > STEPS_MAX {
        let message = format!("{} has more than {STEPS_MAX} steps; split it into several jobs", job.what);
        return Err(WorkflowError::new(ErrorKind::Limit, node.at, message));
    }
    let mut steps: Vec<StepSpec> = Vec::with_capacity(items.len());
    for (n, item) in items.iter().enumerate() {
        let step = one(item, n + 1, &job.what)?;
        if step.id.is_some() && steps.iter().any(|other| other.id == step.id) {
            let id = step.id.unwrap_or_default();
            return Err(shape(item.at, format!("the step id `{id}` stands twice in {}; rename one", job.what)));
        }
        steps.push(step);
    }
    Ok(steps)
}

fn one(node: &Node, number: usize, job: &str) -> Read<StepSpec> {
    let fields = Fields::of(node, format!("step {number} of {job}"))?;
    fields.only(&KEYS)?;
    let action = action(&fields)?;
    let name = fields.text("name")?.unwrap_or_else(|| default_name(&action));
    Ok(StepSpec {
        id: id(&fields)?,
        name,
        action,
        env: fields.texts("env")?,
        condition: fields.condition()?,
        continue_on_error: fields.flag_text("continue-on-error")?,
        timeout_minutes: fields.number_text("timeout-minutes")?,
    })
}

fn default_name(action: &StepAction) -> String {
    match action {
        StepAction::Run { script, .. } => format!("Run {}", short(script.trim().lines().next().unwrap_or_default())),
        StepAction::Checkout { uses } => format!("Run {uses}"),
    }
}

fn id(fields: &Fields<'_>) -> Read<Option<String>> {
    let Some(id) = fields.text("id")? else { return Ok(None) };
    let first = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if first && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        return Ok(Some(id));
    }
    let message =
        format!("the id `{}` of {} must be letters, digits, `-` and `_`, a letter first", short(&id), fields.what);
    Err(shape(fields.at, message))
}

fn action(fields: &Fields<'_>) -> Read<StepAction> {
    match (fields.get("run"), fields.text("uses")?) {
        (Some(_), None) => run(fields),
        (None, Some(uses)) if uses == "actions/checkout" || uses.starts_with("actions/checkout@") => {
            Ok(StepAction::Checkout { uses })
        }
        (None, Some(uses)) => {
            let message = format!(
                "{} uses `{}`, which cannot run here; only `actions/checkout` is accepted: write the work as `run:`",
                fields.what,
                short(&uses)
            );
            let at = fields.get("uses").map_or(fields.at, |entry| entry.at);
            Err(WorkflowError::new(ErrorKind::Unsupported, at, message))
        }
        (Some(entry), Some(_)) => Err(shape(entry.at, format!("{} has both `run` and `uses`; keep one", fields.what))),
        (None, None) => {
            let message = format!("{} has neither `run` nor `uses`; add e.g. `run: make`", fields.what);
            Err(WorkflowError::new(ErrorKind::Missing, fields.at, message))
        }
    }
}

fn run(fields: &Fields<'_>) -> Read<StepAction> {
    Ok(StepAction::Run {
        script: fields.text("run")?.unwrap_or_default(),
        shell: shell(fields)?,
        working_directory: fields.text("working-directory")?,
    })
}

/// `shell` of a step or of `defaults.run`.
pub(super) fn shell(fields: &Fields<'_>) -> Read<Option<Shell>> {
    let Some(text) = fields.text("shell")? else { return Ok(None) };
    match text.as_str() {
        "bash" => Ok(Some(Shell::Bash)),
        "sh" => Ok(Some(Shell::Sh)),
        _ => {
            let message =
                format!("the shell `{}` of {} cannot run here; use `bash` or `sh`", short(&text), fields.what);
            let at = fields.get("shell").map_or(fields.at, |entry| entry.at);
            Err(WorkflowError::new(ErrorKind::Unsupported, at, message))
        }
    }
}
