//! Reports on their way to the control plane: a queue, and a thread that works it off.
//!
//! Reports are hints. So they never hold the runner up, a heartbeat gives way to anything else, and after a failure
//! only the latest state is worth sending. The last one, `ended`, is tried until the agent exits.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use fleet::wire::{Report, ReportAnswer};

use crate::claim::Backoff;
use crate::plane::ReportError;

/// What comes back from the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The control plane answered a report.
    Answered(ReportAnswer),
    /// The `ended` report is through, or refused for good.
    EndedDelivered,
}

/// Takes reports and sends them in the background.
#[derive(Clone)]
pub(crate) struct Reporter {
    shared: Arc<(Mutex<Queue>, Condvar)>,
}

impl Reporter {
    /// Starts the thread. `send` makes one call, `settled` hears of its result.
    pub(crate) fn start(
        seed: u64,
        send: impl Fn(&Report) -> Result<ReportAnswer, ReportError> + Send + 'static,
        settled: impl Fn(Settled) + Send + 'static,
    ) -> io::Result<Self> {
        let reporter = Self { shared: Arc::new((Mutex::new(Queue::default()), Condvar::new())) };
        let worker = reporter.clone();
        thread::Builder::new().name("reports".into()).spawn(move || worker.work(seed, &send, &settled))?;
        Ok(reporter)
    }

    /// Takes a report.
    pub(crate) fn push(&self, report: Report) {
        self.lock().push(report);
        self.shared.1.notify_one();
    }

    fn work(
        &self,
        seed: u64,
        send: &impl Fn(&Report) -> Result<ReportAnswer, ReportError>,
        settled: &impl Fn(Settled),
    ) -> ! {
        let mut backoff = Backoff::new(seed);
        loop {
            let report = self.take();
            let is_end = matches!(report, Report::Ended { .. });
            match send(&report) {
                Ok(answer) => {
                    backoff.reset();
                    settled(if is_end { Settled::EndedDelivered } else { Settled::Answered(answer) });
                }
                Err(ReportError::Refused) if is_end => settled(Settled::EndedDelivered),
                Err(ReportError::Refused) => {}
                Err(ReportError::Retry) => {
                    self.lock().give_back(report);
                    self.pause(backoff.after_failure(None).min(MAX_PAUSE_MS));
                }
            }
        }
    }

    fn take(&self) -> Report {
        let mut queue = self.lock();
        loop {
            if let Some(report) = queue.take() {
                return report;
            }
            queue = self.shared.1.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits; a new report cuts it short, because it may be the last one.
    fn pause(&self, wait_ms: u64) {
        let _either_way = self.shared.1.wait_timeout(self.lock(), Duration::from_millis(wait_ms));
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reports to send. Pure.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Report>,
    failures: u32,
}

impl Queue {
    fn push(&mut self, report: Report) {
        self.waiting.retain(|old| *old != Report::Idle);
        self.waiting.push_back(report);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front();
        }
    }

    fn take(&mut self) -> Option<Report> {
        let report = self.waiting.pop_front();
        if report.is_none() {
            self.failures = 0;
        }
        report
    }

    /// After a failure: what is older than the latest state is not worth a call any more, as each state implies those
    /// before it. A Spot notice is no state; it stays.
    fn give_back(&mut self, report: Report) {
        self.failures += 1;
        self.waiting.push_front(report);
        let latest = self.waiting.pop_back();
        self.waiting.retain(|old| *old == Report::SpotNotice);
        self.waiting.extend(latest.filter(|r| self.failures <= MAX_TRIES || matches!(r, Report::Ended { .. })));
        if self.failures > MAX_TRIES {
            self.failures = 0;
        }
    }
}

/// Reports that wait at most. A life has about six.
const MAX_WAITING: usize = 16;

/// Failures in a row after which a report is dropped.
const MAX_TRIES: u32 = 5;

/// The longest pause between two tries, so that the last report gets several within its ten seconds.
const MAX_PAUSE_MS: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::wire::EndReason;

    const ENDED: Report = Report::Ended { ran_job: true, exit_code: Some(0), why: EndReason::Exited };

    fn queue(reports: &[Report]) -> Queue {
        let mut queue = Queue::default();
        reports.iter().for_each(|r| queue.push(r.clone()));
        queue
    }

    #[test]
    fn all_states_go_out_in_order() {
        let mut queue = queue(&[Report::Registered, Report::JobStarted, Report::JobEnded]);
        let sent: Vec<Report> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(sent, [Report::Registered, Report::JobStarted, Report::JobEnded]);
    }

    #[test]
    fn a_heartbeat_gives_way() {
        let mut queue = queue(&[Report::Idle, Report::Idle, Report::JobStarted]);
        assert_eq!((queue.take(), queue.take()), (Some(Report::JobStarted), None));
    }

    #[test]
    fn after_a_failure_only_the_latest_state_remains() {
        let mut queue = queue(&[Report::Registered, Report::SpotNotice, Report::JobStarted, ENDED]);
        let failed = queue.take().unwrap();
        queue.give_back(failed);
        assert_eq!((queue.take(), queue.take(), queue.take()), (Some(Report::SpotNotice), Some(ENDED), None));
    }

    #[test]
    fn a_report_is_dropped_in_the_end_but_never_the_last_one() {
        for (report, kept) in [(Report::Registered, false), (ENDED, true)] {
            let mut queue = queue(std::slice::from_ref(&report));
            for _ in 0..=MAX_TRIES {
                let report = queue.waiting.pop_front().unwrap();
                queue.give_back(report);
            }
            assert_eq!(queue.take().is_some(), kept, "{report:?}");
        }
    }
}
