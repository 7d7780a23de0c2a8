//! The agent's configuration, and which environment variables live on in the runner.
//!
//! It only reads and sorts; the hand-over to the agent's second life is in `reexec`.
//!
//! | variable | what becomes of it |
//! |---|---|
//! | `SELF_RUNNERS_*` | taken out. It is the agent's own, and the claim token is among it |
//! | `DEBUG` | taken out: it is the agent's own |
//! | `ACTIONS_RUNNER_INPUT_*` | taken out: the agent alone gives arguments to the runner |
//! | `AWS_*`, `ECS_*` | taken out: what the platform gives to the machine (credentials, metadata) is not for jobs |
//! | anything else (`PATH`, `HOME`, `LANG`, `TZ`, proxies, an operator's own) | kept, also for the job |

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use fleet::wire::env;
use serde::{Deserialize, Serialize};

/// Everything the agent is told. Handed to its second life as JSON over a pipe.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Config {
    /// Base URL of the control plane, without a trailing slash.
    pub(crate) url: String,
    /// The runner's base name.
    pub(crate) runner: String,
    /// The launch attempt, from 1.
    pub(crate) attempt: u32,
    /// The claim token. Never printed: `Config` has no `Debug`.
    pub(crate) claim_token: String,
    /// Folder that holds `run.sh`.
    pub(crate) runner_dir: PathBuf,
    /// The task's own folder (process engine only).
    pub(crate) task_dir: Option<PathBuf>,
    /// Whether to talk more.
    pub(crate) debug: bool,
}

/// Why the environment gives no configuration. Names variables, never their values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigError {
    /// The variable is missing or empty.
    Missing(&'static str),
    /// The variable has a value that cannot be used.
    Invalid(&'static str, &'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "{name} is not set; an engine sets it when it starts a runner"),
            Self::Invalid(name, expected) => write!(f, "{name} must be {expected}"),
        }
    }
}

impl Config {
    /// Reads the configuration through `get` (a variable's value by its name).
    pub(crate) fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let text = |name: &'static str| required(&get, name);
        let url = text(env::URL)?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(ConfigError::Invalid(env::URL, "an http:// or https:// URL"));
        }
        let attempt = text(env::ATTEMPT)?.parse().ok().filter(|n| *n > 0);
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            runner: text(env::RUNNER)?,
            attempt: attempt.ok_or(ConfigError::Invalid(env::ATTEMPT, "a whole number from 1"))?,
            claim_token: text(env::CLAIM_TOKEN)?,
            runner_dir: text(env::RUNNER_DIR)?.into(),
            task_dir: get(env::TASK_DIR).filter(|dir| !dir.is_empty()).map(PathBuf::from),
            debug: get(env::DEBUG).is_some_and(|v| v == "1"),
        })
    }
}

fn required(get: impl Fn(&str) -> Option<OsString>, name: &'static str) -> Result<String, ConfigError> {
    match get(name).map(OsString::into_string) {
        Some(Ok(value)) if !value.is_empty() => Ok(value),
        Some(Err(_)) => Err(ConfigError::Invalid(name, "valid UTF-8")),
        Some(Ok(_)) | None => Err(ConfigError::Missing(name)),
    }
}

/// Whether a variable is kept for the runner and its job (the table above).
pub(crate) fn is_kept(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name != env::DEBUG.as_bytes() && !TAKEN_OUT.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Variables that begin like this never reach a job.
const TAKEN_OUT: [&str; 4] = ["SELF_RUNNERS_", "ACTIONS_RUNNER_INPUT_", "AWS_", "ECS_"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut vars = vec![
            (env::URL, "http://127.0.0.1:8080/"),
            (env::RUNNER, "sr-a"),
            (env::ATTEMPT, "1"),
            (env::CLAIM_TOKEN, "secret"),
            (env::RUNNER_DIR, "/runner"),
        ];
        vars.extend_from_slice(changes);
        Config::read(|name| vars.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)))
    }

    #[test]
    fn reads_a_whole_configuration() {
        let config = read(&[(env::TASK_DIR, "/task"), (env::DEBUG, "1")]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((config.url.as_str(), config.attempt), ("http://127.0.0.1:8080", 1));
        assert_eq!(config.task_dir, Some(PathBuf::from("/task")));
        assert!(config.debug);
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(read(&[(env::RUNNER, "")]).err(), Some(ConfigError::Missing(env::RUNNER)));
        assert!(matches!(read(&[(env::ATTEMPT, "0")]), Err(ConfigError::Invalid(env::ATTEMPT, _))));
        assert!(matches!(read(&[(env::URL, "ftp://x")]), Err(ConfigError::Invalid(env::URL, _))));
    }

    #[test]
    fn keeps_what_is_the_operators() {
        for kept in ["PATH", "HOME", "LANG", "TZ", "HTTPS_PROXY", "MY_VAR", "ACTIONS_RUNNER_HOOK_JOB_STARTED"] {
            assert!(is_kept(OsStr::new(kept)), "{kept}");
        }
        for gone in [env::CLAIM_TOKEN, env::URL, "DEBUG", "AWS_SECRET_ACCESS_KEY", "ECS_CONTAINER_METADATA_URI_V4"] {
            assert!(!is_kept(OsStr::new(gone)), "{gone}");
        }
        assert!(!is_kept(OsStr::new("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")));
        assert!(!is_kept(OsStr::new("ACTIONS_RUNNER_INPUT_JITCONFIG")));
    }
}
