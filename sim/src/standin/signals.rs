//! Signals as events on a channel.
//!
//! A thread waits for SIGINT and SIGTERM and turns each into an event of the caller's kind. It decides nothing.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::mpsc::SyncSender;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Grace after SIGINT (FACTS §3: the worker is given 7.5 s).
pub(super) const INTERRUPT_GRACE_MS: u64 = 7_500;
/// Grace after SIGTERM (FACTS §3: 2.5 s).
pub(super) const TERMINATE_GRACE_MS: u64 = 2_500;

/// A request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// Sends an event for each signal, from now on.
pub(super) fn forward<E: Send + 'static>(to: SyncSender<E>, event: fn(Ask) -> E) -> io::Result<()> {
    // A shell starts background jobs with SIGINT ignored, and the official program keeps it so: the signal is lost.
    let wanted: &[i32] = if interrupt_ignored() { &[SIGTERM] } else { &[SIGINT, SIGTERM] };
    let mut signals = Signals::new(wanted)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let ask = if signal == SIGTERM { Ask::Terminate } else { Ask::Interrupt };
            if to.send(event(ask)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Whether SIGINT was ignored when this process began.
fn interrupt_ignored() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (SIGINT - 1) & 1 == 1)
}

/// Signals one process. One that is gone is no error.
pub(super) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile, which is what the signal is for.
        let _ = kill_process(pid, signal);
    }
}

/// Signals a process group. One that is gone is no error.
pub(super) fn send_group(leader: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

/// The exit code as a shell shows it: 128 + signal for a killed process.
pub(super) fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
