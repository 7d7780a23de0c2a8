//! The daemon as a child process: started, killed, ended.

use std::{
    fs::OpenOptions,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::site::Site;
use crate::{
    failure::Failure,
    serve::{TOKEN, WEBHOOK},
};

/// A living daemon. Dropping it kills it; its runners go on.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It ended instead, or did not serve in time: the end of its log is told.
    pub async fn start(site: &Site) -> Result<Self, Failure> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            match Self::try_start(site).await {
                Ok(daemon) => return Ok(daemon),
                // This occurs when the kernel has not given the port of a killed daemon free yet.
                Err(error) if Instant::now() < deadline && error.to_string().contains("is taken by") => {
                    sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_start(site: &Site) -> Result<Self, Failure> {
        let mut child = command(site)?
            .spawn()
            .map_err(|error| Failure::failed(format!("cannot start {}: {error}", site.settings.program.display())))?;
        let mut line = String::new();
        let ready = match child.stdout.take() {
            Some(stdout) => timeout(READY_WITHIN, BufReader::new(stdout).read_line(&mut line)).await,
            None => Ok(Ok(0)),
        };
        if matches!(ready, Ok(Ok(read)) if read > 0) {
            return Ok(Self { child });
        }
        // It is of no use, whether it is ending or hangs.
        let _ended = child.kill().await;
        Err(Failure::failed(format!("the daemon does not serve: {}", last_line(site))))
    }

    /// Starts it and kills it after a moment, wherever it is in its start.
    ///
    /// # Errors
    /// It cannot be started at all.
    pub async fn start_and_kill(site: &Site, after: Duration) -> Result<(), Failure> {
        let mut child = spawn(site)?;
        sleep(after).await;
        // It may have ended by itself; either way it is gone then.
        let _gone = child.kill().await;
        Ok(())
    }

    /// Its process number.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it as a power cut would.
    pub async fn kill(mut self) {
        // It may have ended by itself; either way it is gone then.
        let _gone = self.child.kill().await;
    }

    /// Asks it to end, as a person would; kills it if it does not. How it ended, if by itself.
    pub async fn end(mut self) -> Option<ExitStatus> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended by itself meanwhile.
            let _gone = kill_process(pid, Signal::TERM);
        }
        match timeout(END_WITHIN, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_late) => {
                self.kill().await;
                None
            }
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

fn spawn(site: &Site) -> Result<Child, Failure> {
    let program = site.settings.program.display();
    command(site)?.spawn().map_err(|error| Failure::failed(format!("cannot start {program}: {error}")))
}

fn command(site: &Site) -> Result<Command, Failure> {
    let log = OpenOptions::new().create(true).append(true).open(site.log());
    let log = log.map_err(|error| Failure::failed(format!("cannot write {}: {error}", site.log().display())))?;
    let mut command = Command::new(&site.settings.program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"SELF_RUNNERS_")) {
        command.env_remove(name);
    }
    command
        .args(["serve", "--log", "json", "--config"])
        .arg(site.config())
        .env(TOKEN, &site.settings.token)
        .env(WEBHOOK, &site.settings.webhook_secret)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log))
        // A Ctrl-C on the terminal is for the demo, which then ends the daemon.
        .process_group(0)
        .kill_on_drop(true);
    if rustix::process::geteuid().is_root() {
        // The runner program refuses root unless told otherwise (FACTS §3).
        command.env("RUNNER_ALLOW_RUNASROOT", "1");
    }
    Ok(command)
}

/// What the daemon said last.
fn last_line(site: &Site) -> String {
    let text = std::fs::read_to_string(site.log()).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}

/// How long the daemon may take to serve.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Between two tries to start it.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// How long it may take to end when asked.
const END_WITHIN: Duration = Duration::from_secs(10);
