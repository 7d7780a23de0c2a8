//! `Runner.Worker`: executes one job and reports it.
//!
//! This file wires the threads: errand and end of the listener (standard input), renewals, signals, log lines. The job
//! itself is in `job`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use super::broker::{Broker, Refusal};
use super::console::Console;
use super::execute::Event;
use super::job::Job;
use super::launch::{ABANDONED, CANCELLED, Errand, FAILED, SUCCEEDED};
use super::logs::Logs;
use super::signals::{self, Ask};
use super::wire::{CompleteRequest, RENEW_MS};
use crate::workflow::spec::Conclusion;

/// Events that may wait; a job that writes faster than it is read waits for the pipe.
const EVENTS_MAX: usize = 1_024;
/// Bytes of the listener's errand at most.
const ERRAND_BYTES_MAX: u64 = 32 * 1_048_576;
/// Tries to report the end of the job.
const COMPLETE_TRIES: u32 = 10;
/// Milliseconds between them.
const COMPLETE_RETRY_MS: u64 = 500;
/// Exit code when the worker cannot even begin: the listener then fails the job.
const CRASHED: i32 = 1;

/// Runs the worker.
pub(super) fn main(root: &Path) -> i32 {
    let console = Console::open(root, "Worker");
    run(root, &console).unwrap_or_else(|error| {
        console.complain(&format!("the worker cannot begin: {error}"));
        CRASHED
    })
}

fn run(root: &Path, console: &Console) -> std::io::Result<i32> {
    let (to_self, events) = sync_channel(EVENTS_MAX);
    signals::forward(to_self.clone(), |ask| match ask {
        Ask::Interrupt => Event::Shutdown,
        Ask::Terminate => Event::Terminate,
    })?;
    let mut input = BufReader::new(std::io::stdin()).take(ERRAND_BYTES_MAX);
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    let errand: Errand = serde_json::from_slice(&line)?;
    drop(line);
    watch_listener(input.into_inner(), to_self.clone())?;
    let broker = Broker::new(&errand.settings.server_url, errand.settings.agent_id, &errand.key);
    renew(broker.clone(), errand.job, to_self.clone())?;
    let logs = Logs::start(broker.clone(), errand.job)?;
    let report = Job::new(root, &errand, console, events, to_self, logs).run();
    Ok(match report {
        Some(report) => finish(&broker, errand.job, &report, console),
        None => ABANDONED,
    })
}

/// When the listener is killed its end of the pipe closes: then nobody may go on working.
fn watch_listener(mut input: BufReader<std::io::Stdin>, to_self: SyncSender<Event>) -> std::io::Result<()> {
    let watch = move || {
        let mut bytes = [0_u8; 64];
        while input.read(&mut bytes).is_ok_and(|count| count > 0) {}
        // No receiver: the job is over anyway.
        let _ = to_self.send(Event::Abandoned("the listener is gone"));
    };
    std::thread::Builder::new().name("listener".to_owned()).spawn(watch).map(drop)
}

/// Keeps the job ours and hears of cancellations.
fn renew(broker: Broker, job: u64, to_self: SyncSender<Event>) -> std::io::Result<()> {
    let renew = move || {
        let mut cancelled = false;
        loop {
            let event = match broker.renew(job) {
                Ok(answer) if answer.cancel && !cancelled => {
                    cancelled = true;
                    Some(Event::Cancel)
                }
                Err(Refusal::Gone) => Some(Event::Abandoned("the job is over for the server")),
                Ok(_) | Err(Refusal::Conflict | Refusal::Deprecated | Refusal::Trouble(_)) => None,
            };
            if event.is_some_and(|event| to_self.send(event).is_err()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(RENEW_MS));
        }
    };
    std::thread::Builder::new().name("renew".to_owned()).spawn(renew).map(drop)
}

fn finish(broker: &Broker, job: u64, report: &CompleteRequest, console: &Console) -> i32 {
    for _ in 0..COMPLETE_TRIES {
        match broker.complete(job, report) {
            Ok(()) => break,
            Err(Refusal::Trouble(why)) => console.note(&format!("the end of the job could not be reported: {why}")),
            Err(refusal @ (Refusal::Gone | Refusal::Conflict | Refusal::Deprecated)) => {
                console.note(&format!("the server did not want the end of the job: {refusal:?}"));
                return ABANDONED;
            }
        }
        std::thread::sleep(Duration::from_millis(COMPLETE_RETRY_MS));
    }
    match report.conclusion {
        Conclusion::Success | Conclusion::Skipped => SUCCEEDED,
        Conclusion::Failure => FAILED,
        Conclusion::Cancelled => CANCELLED,
    }
}
