//! The agent's two lives: the first reads the environment and executes the same file again without it; the second
//! takes the configuration from a pipe.
//!
//! A process cannot wipe its `/proc/PID/environ`, and a job of the same user can read that file. So the token must not
//! be in the environment that the long-lived agent was executed with. Neither argv (visible to everybody) nor a file
//! (stays behind after a crash) may carry it.

use std::fmt;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{DumpableBehavior, getpid, set_child_subreaper, set_dumpable_behavior};

use crate::config::{Config, is_kept};
use crate::console::Log;
use crate::exit::code;

/// The one argument by which the second life knows itself.
pub(crate) const MARKER: &str = "--configured";

/// First life: read the environment, then become the second life. Returns an exit code only when that failed.
pub(crate) fn replace_self(prefix: &[&str]) -> u8 {
    let log = Log::new(false);
    let config = match Config::read(|name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(error) => {
            log.say(format_args!("{error}"));
            return code::USAGE;
        }
    };
    // Also before the exec: from here on nobody of the same user reads the token from this process.
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from);
    let error = match hidden.and_then(|()| filled_pipe(&config)) {
        Ok(pipe) => second_life(prefix, pipe).exec(),
        Err(error) => error,
    };
    log.say(format_args!("cannot execute itself again: {error}"));
    code::SYSTEM
}

/// A pipe with the whole configuration in it. It is small, so it fits the pipe's buffer and nobody needs to read yet.
fn filled_pipe(config: &Config) -> io::Result<PipeReader> {
    let json = serde_json::to_vec(config).map_err(io::Error::other)?;
    if json.len() > MAX_CONFIG_BYTES {
        return Err(io::Error::other("the SELF_RUNNERS_* variables are too long"));
    }
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(&json)?;
    Ok(reader)
}

fn second_life(prefix: &[&str], pipe: PipeReader) -> Command {
    // The link works even when the file was replaced or removed since we were started (an upgrade in between).
    let mut command = Command::new("/proc/self/exe");
    command.arg0(std::env::args_os().next().unwrap_or_else(|| "agent".into()));
    command.args(prefix).arg(MARKER).env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| is_kept(name)));
    command.stdin(Stdio::from(pipe));
    command
}

/// Second life: hide, adopt orphans, take the configuration.
pub(crate) fn settle() -> Result<Config, SettleError> {
    // The exec made us readable again. First this, then the secret comes in.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| SettleError::System("hide", e.into()))?;
    // Whatever the job leaves behind (daemons, `setsid`) becomes our child, so that it can be found and ended.
    set_child_subreaper(Some(getpid())).map_err(|e| SettleError::System("adopt orphans", e.into()))?;
    let mut json = Vec::new();
    let limit = u64::try_from(MAX_CONFIG_BYTES).unwrap_or(u64::MAX);
    io::stdin().lock().take(limit).read_to_end(&mut json).map_err(|e| SettleError::System("read stdin", e))?;
    // serde's message could quote the input, and with it the token: say only where.
    let config = serde_json::from_slice(&json).map_err(|e| SettleError::Shape(e.column()))?;
    // The kernel named the process after the link that was executed.
    let _only_cosmetic = rustix::thread::set_name(c"agent");
    Ok(config)
}

/// Why the second life cannot begin.
pub(crate) enum SettleError {
    /// The operating system refused.
    System(&'static str, io::Error),
    /// What came over the pipe is no configuration (at this column).
    Shape(usize),
}

impl fmt::Display for SettleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Shape(column) => {
                write!(f, "stdin holds no configuration (column {column}); start it without arguments")
            }
        }
    }
}

/// Less than a pipe's buffer holds (64 KiB), so that filling it cannot block.
const MAX_CONFIG_BYTES: usize = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subcommand_is_found_again() {
        let (pipe, _writer) = io::pipe().unwrap();
        let command = second_life(&["agent"], pipe);
        assert_eq!(command.get_program(), "/proc/self/exe");
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["agent", MARKER]);
    }
}
