//! The arguments of `run.sh` and `config.sh`, also from `ACTIONS_RUNNER_INPUT_<NAME>`.
//!
//! A hand-written reader and not a library, because the official program's rules are its own: each argument has a form
//! in the environment, and an unknown one ends it with a message.

use std::collections::BTreeMap;

/// What an argument may also be given by.
pub(super) const INPUT_PREFIX: &str = "ACTIONS_RUNNER_INPUT_";

/// Arguments with a value.
const VALUES: [&str; 9] = ["jitconfig", "url", "token", "name", "labels", "runnergroup", "work", "startuptype", "pat"];
/// Arguments without one.
const FLAGS: [&str; 9] =
    ["unattended", "ephemeral", "replace", "no-default-labels", "disableupdate", "once", "local", "version", "help"];

/// The arguments of one call. `Debug` is left out: it holds secrets.
#[derive(Default)]
pub(super) struct Arguments {
    /// `run`, `configure` or `remove`.
    pub(super) command: String,
    values: BTreeMap<String, String>,
}

impl Arguments {
    /// Reads them; `env` are the process's variables.
    pub(super) fn read(args: &[String], env: impl Iterator<Item = (String, String)>) -> Result<Self, String> {
        let mut out = Self { command: "run".to_owned(), values: inputs(env) };
        let mut rest = args.iter();
        if let Some(first) = args.first().filter(|first| !first.starts_with("--")) {
            out.command.clone_from(first);
            rest.next();
        }
        while let Some(arg) = rest.next() {
            let name = arg.strip_prefix("--").unwrap_or_default().to_ascii_lowercase();
            if FLAGS.contains(&name.as_str()) {
                out.values.insert(name, "true".to_owned());
            } else if VALUES.contains(&name.as_str()) {
                let value = rest.next().ok_or_else(|| format!("`--{name}` wants a value"))?;
                out.values.insert(name, value.clone());
            } else {
                // The argument itself is not repeated: it may be a misplaced secret.
                return Err("Unrecognized command-line input argument; known are the official program's".to_owned());
            }
        }
        Ok(out)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

/// `ACTIONS_RUNNER_INPUT_NO_DEFAULT_LABELS` and `…_NO-DEFAULT-LABELS` mean the same argument.
fn inputs(env: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let name = |key: &str| {
        let name = key.strip_prefix(INPUT_PREFIX)?.to_ascii_lowercase();
        VALUES.iter().chain(&FLAGS).find(|known| **known == name || known.replace('-', "_") == name).copied()
    };
    env.filter_map(|(key, value)| Some((name(&key)?.to_owned(), value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str], env: &[(&str, &str)]) -> Result<Arguments, String> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        Arguments::read(&args, env.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())))
    }

    #[test]
    fn arguments_come_from_both_and_the_line_wins() {
        let env = [("ACTIONS_RUNNER_INPUT_JITCONFIG", "env"), ("ACTIONS_RUNNER_INPUT_NO_DEFAULT_LABELS", "1")];
        let args = read(&["configure", "--ephemeral", "--jitconfig", "line"], &env).unwrap();
        assert_eq!((args.command.as_str(), args.get("jitconfig")), ("configure", Some("line")));
        assert!(args.flag("ephemeral") && args.flag("no-default-labels") && !args.flag("replace"));
        assert_eq!(read(&[], &env).unwrap().get("jitconfig"), Some("env"));
    }

    #[test]
    fn unknown_ones_are_refused_without_being_repeated() {
        let error = read(&["run", "s3cret"], &[]).err().unwrap();
        assert!(!error.contains("s3cret"));
        assert!(read(&["run", "--token"], &[]).is_err());
    }
}
