//! Log lines to the broker, in bounded batches.
//!
//! A thread of its own, so that a slow broker does not slow a job until the queue is full. Lines that cannot be sent
//! after some tries are dropped and counted; the job is more important than its log.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::broker::{Broker, Refusal};
use super::time::now_ms;
use super::wire::{LOG_LINE_BYTES_MAX, LOG_LINES_MAX, LogLine, LogRequest};

/// Lines that may wait.
const QUEUE_MAX: usize = 4_096;
/// How long lines are gathered before they are sent.
const GATHER_MS: u64 = 100;
/// Tries for one batch.
const TRIES: u32 = 5;
/// Milliseconds between two tries.
const RETRY_MS: u64 = 200;

/// Takes log lines.
pub(super) struct Logs {
    queue: SyncSender<LogLine>,
    sender: JoinHandle<()>,
    masks: Vec<String>,
}

impl Logs {
    /// Starts the thread.
    pub(super) fn start(broker: Broker, job: u64) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE_MAX);
        let send = move || Sender { broker, job, sent: 0, dropped: 0 }.run(&lines);
        let sender = std::thread::Builder::new().name("logs".to_owned()).spawn(send)?;
        Ok(Self { queue, sender, masks: Vec::new() })
    }

    /// Adds a line of a step (0: of the worker itself).
    pub(super) fn line(&mut self, step: u32, text: &str) {
        if let Some(secret) = text.trim_start().strip_prefix("::add-mask::") {
            self.masks.extend(Some(secret.trim().to_owned()).filter(|secret| !secret.is_empty()));
            return;
        }
        let mut text = self.masks.iter().fold(text.to_owned(), |text, mask| text.replace(mask, "***"));
        if text.len() > LOG_LINE_BYTES_MAX {
            text.truncate(text.floor_char_boundary(LOG_LINE_BYTES_MAX - 3));
            text.push('…');
        }
        // The thread only ends when the broker says that the job is over: nobody wants the line then.
        let _ = self.queue.send(LogLine { step, at_ms: now_ms(), text });
    }

    /// Waits until all lines are sent or given up.
    pub(super) fn finish(self) {
        drop(self.queue);
        // A thread that panicked has lost its lines; the job's result stands.
        let _ = self.sender.join();
    }
}

struct Sender {
    broker: Broker,
    job: u64,
    sent: u64,
    dropped: u64,
}

impl Sender {
    fn run(mut self, lines: &Receiver<LogLine>) {
        while let Ok(first) = lines.recv() {
            let (batch, last) = gather(first, lines);
            if !self.send(batch) || last {
                return;
            }
        }
    }

    /// False: the job is over for the broker.
    fn send(&mut self, mut lines: Vec<LogLine>) -> bool {
        if self.dropped > 0
            && let Some(first) = lines.first_mut()
        {
            first.text = format!("[{} lines of this log were lost] {}", self.dropped, first.text);
        }
        let request = LogRequest { first: self.sent, lines };
        for _ in 0..TRIES {
            match self.broker.log(self.job, &request) {
                Ok(()) => {
                    self.sent += request.lines.len() as u64;
                    self.dropped = 0;
                    return true;
                }
                Err(Refusal::Gone) => return false,
                Err(Refusal::Conflict | Refusal::Deprecated | Refusal::Trouble(_)) => {
                    std::thread::sleep(Duration::from_millis(RETRY_MS));
                }
            }
        }
        self.dropped += request.lines.len() as u64;
        true
    }
}

/// All lines of the next moment; true when there will be no more.
fn gather(first: LogLine, lines: &Receiver<LogLine>) -> (Vec<LogLine>, bool) {
    let until = Instant::now() + Duration::from_millis(GATHER_MS);
    let mut batch = vec![first];
    while batch.len() < LOG_LINES_MAX {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => batch.push(line),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return (batch, true),
        }
    }
    (batch, false)
}
