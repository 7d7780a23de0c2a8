//! The agent's own log (stderr) and the passing on of the runner's output (stdout).
//!
//! Neither may ever hold a secret, and neither may hold the agent up: the runner's output goes through a thread with a
//! bounded queue, because a log driver that stalls would otherwise stall the ending of the machine.

use std::fmt;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// The agent's log: one line an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    debug: bool,
}

impl Log {
    /// A log; `debug` lets the lines of [`Log::debug`] through.
    pub(crate) fn new(debug: bool) -> Self {
        Self { debug }
    }

    /// Whether the agent was asked to talk more.
    pub(crate) fn is_debug(self) -> bool {
        self.debug
    }

    /// Writes one line. A log that cannot be written changes nothing.
    pub(crate) fn say(self, line: fmt::Arguments<'_>) {
        let _nobody_reads = writeln!(io::stderr().lock(), "agent: {line}");
    }

    /// Writes one line if the agent was asked to talk more.
    pub(crate) fn debug(self, line: fmt::Arguments<'_>) {
        if self.debug {
            self.say(line);
        }
    }
}

/// Passes the runner's lines on to our stdout.
pub(crate) struct PassOn {
    queue: SyncSender<Vec<u8>>,
    written: Receiver<()>,
    dropped: u64,
}

impl PassOn {
    /// Starts the thread that writes.
    pub(crate) fn start() -> io::Result<Self> {
        let (queue, lines) = sync_channel(MAX_QUEUED_LINES);
        let (done, written) = sync_channel(1);
        thread::Builder::new().name("stdout".into()).spawn(move || {
            write_all(&lines);
            drop(done);
        })?;
        Ok(Self { queue, written, dropped: 0 })
    }

    /// Passes one line on (without its newline), or counts it as dropped when stdout does not keep up.
    pub(crate) fn line(&mut self, line: &[u8]) {
        if self.dropped > 0 {
            let note = format!("agent: {} lines of output were dropped", self.dropped);
            if self.queue.try_send(note.into_bytes()).is_err() {
                self.dropped += 1;
                return;
            }
            self.dropped = 0;
        }
        match self.queue.try_send(line.to_vec()) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => self.dropped += 1,
        }
    }

    /// Waits, not for long, until what is queued is written.
    pub(crate) fn finish(self) {
        drop(self.queue);
        let _a_stalled_reader_loses_the_rest = self.written.recv_timeout(FLUSH);
    }
}

fn write_all(lines: &Receiver<Vec<u8>>) {
    for mut line in lines {
        line.push(b'\n');
        let mut out = io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// Lines of the runner that wait for a slow stdout.
const MAX_QUEUED_LINES: usize = 1024;

/// How long the agent's end waits for a slow stdout.
const FLUSH: Duration = Duration::from_secs(1);
