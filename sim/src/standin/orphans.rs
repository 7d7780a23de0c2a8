//! Processes that a job left behind.
//!
//! They are known by `RUNNER_TRACKING_ID` in their environment, as with the official program; a step that wants a
//! process to stay clears the variable. Where there is no `/proc` nothing is found.

use std::time::Duration;

use rustix::process::Signal;

use super::signals;

/// The variable's name.
pub(super) const TRACKING_ENV: &str = "RUNNER_TRACKING_ID";
/// Passes over `/proc` at most: a dying process may have started another.
const PASSES: u32 = 10;
/// Milliseconds before a pass that looks again at a process in the middle of `exec`.
const AGAIN_MS: u64 = 1;

/// A process that was ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Orphan {
    pub(super) pid: u32,
    pub(super) name: String,
}

/// Kills all processes that carry this tracking id.
pub(super) fn kill(tracking_id: &str) -> Vec<Orphan> {
    let wanted = format!("{TRACKING_ENV}={tracking_id}");
    let mut killed: Vec<Orphan> = Vec::new();
    for _ in 0..PASSES {
        let (found, unclear) = look(&wanted);
        if found.is_empty() && !unclear {
            break;
        }
        for orphan in found {
            signals::send(orphan.pid, Signal::KILL);
            if !killed.iter().any(|other| other.pid == orphan.pid) {
                killed.push(orphan);
            }
        }
        std::thread::sleep(Duration::from_millis(AGAIN_MS));
    }
    killed
}

/// All processes with this variable, and whether one could not be judged yet.
fn look(wanted: &str) -> (Vec<Orphan>, bool) {
    let Ok(entries) = std::fs::read_dir("/proc") else { return (Vec::new(), false) };
    let mut found = Vec::new();
    let mut unclear = false;
    for pid in entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()) {
        // Processes of others cannot be read.
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { continue };
        if environment.is_empty() {
            // In the middle of `exec` the new program has no environment for a moment. A dead process and a kernel
            // thread have none either, but no executable.
            unclear |= std::fs::read_link(format!("/proc/{pid}/exe")).is_ok();
        } else if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.push(Orphan { pid, name: name.trim().to_owned() });
        }
    }
    (found, unclear)
}
