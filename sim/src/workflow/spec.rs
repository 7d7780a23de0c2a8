//! What travels from the simulated GitHub to a worker: one job, ready to execute.
//!
//! It stands apart from the parser because the worker needs the shapes and nothing else. It holds plain data: the
//! texts keep their `${{ }}` until the worker evaluates them. It must not parse, decide or touch the world.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a job or a step ended, in GitHub's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// It did what it should.
    Success,
    /// It failed, or a step took longer than it may.
    Failure,
    /// A person, a fail-fast matrix, a shutdown or the job's time limit ended it.
    Cancelled,
    /// Its condition was not met.
    Skipped,
}

impl Conclusion {
    /// The word that expressions and webhooks use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// What a finished job hands to the jobs that need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedResult {
    /// `needs.<id>.result`: of a whole matrix, the worst of its jobs.
    pub result: Conclusion,
    /// `needs.<id>.outputs`.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
}

/// Everything that a worker needs to execute one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The job's id in the workflow file: `build`.
    pub key: String,
    /// The display name: `build (1.95, linux)`.
    pub name: String,
    /// Variables of the workflow and, over them, of the job. Values may hold `${{ }}`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// `matrix.*`: one value of each axis.
    #[serde(default)]
    pub matrix: BTreeMap<String, serde_json::Value>,
    /// The steps in order.
    pub steps: Vec<StepSpec>,
    /// `jobs.<id>.outputs`, evaluated when the steps are over.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Milliseconds after which the job is ended; it then counts as cancelled, as on GitHub.
    pub timeout_ms: u64,
    /// `defaults.run.shell`, unless a step names another.
    #[serde(default)]
    pub shell: Shell,
    /// `defaults.run.working-directory`, unless a step names another.
    #[serde(default)]
    pub working_directory: Option<String>,
}

/// One step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// `steps.<id>`.
    #[serde(default)]
    pub id: Option<String>,
    /// What is shown: the step's `name`, or `Run <first line>`. May hold `${{ }}`.
    pub name: String,
    /// What it does.
    pub action: StepAction,
    /// Variables of this step. Values may hold `${{ }}`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// `if`, without the outer `${{ }}`.
    #[serde(default)]
    pub condition: Option<String>,
    /// `continue-on-error`: `true`, `false` or `${{ }}`.
    #[serde(default)]
    pub continue_on_error: Option<String>,
    /// `timeout-minutes`: a number (fractions allowed) or `${{ }}`.
    #[serde(default)]
    pub timeout_minutes: Option<String>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StepAction {
    /// Runs a script.
    Run {
        /// The script. May hold `${{ }}`.
        script: String,
        /// The shell, if the step names one.
        #[serde(default)]
        shell: Option<Shell>,
        /// The folder to run in, below the workspace. May hold `${{ }}`.
        #[serde(default)]
        working_directory: Option<String>,
    },
    /// `actions/checkout`: nothing to fetch here, a note is printed.
    Checkout {
        /// The text after `uses:`.
        uses: String,
    },
}

/// The shells that the stand-in runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shell {
    /// No shell named: `bash -e {0}`.
    #[default]
    Default,
    /// `bash --noprofile --norc -e -o pipefail {0}`.
    Bash,
    /// `sh -e {0}`.
    Sh,
}

impl Shell {
    /// Program and arguments before the script's path, as the official runner calls them.
    #[must_use]
    pub const fn command(self) -> &'static [&'static str] {
        match self {
            Self::Default => &["bash", "-e"],
            Self::Bash => &["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"],
            Self::Sh => &["sh", "-e"],
        }
    }
}
