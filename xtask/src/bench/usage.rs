//! What a process has used, from `/proc`: processor time and memory.

use std::{fs, time::Duration};

use rustix::process::Pid;

/// What a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Processor time, in user and in system mode, of all its threads.
    pub(super) cpu: Duration,
    /// Resident memory now, MB (10^6 bytes).
    pub(super) rss_mb: f64,
    /// The most that was resident.
    pub(super) peak_mb: f64,
}

/// Looks at a process; nothing if it is gone.
pub(super) fn of(pid: Pid) -> Option<Usage> {
    let at = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", pid.as_raw_nonzero())).ok();
    let status = at("status")?;
    Some(Usage {
        cpu: cpu(&at("stat")?)?,
        rss_mb: megabytes(&status, "VmRSS:")?,
        peak_mb: megabytes(&status, "VmHWM:")?,
    })
}

/// Columns 14 and 15 of `stat`, in ticks; the second column is the name in parentheses, which may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let mut columns = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = columns.next()?.parse().ok()?;
    let system: u64 = columns.next()?.parse().ok()?;
    let a_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_millis((user + system) * 1_000 / a_second))
}

fn megabytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1_024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_column() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0 4 0 99";
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(cpu(stat), Some(Duration::from_millis(42 * 1_000 / ticks)));
        assert_eq!(megabytes("VmHWM:\t 2000 kB\nVmRSS:\t 1000 kB\n", "VmRSS:"), Some(1.024));
    }
}
