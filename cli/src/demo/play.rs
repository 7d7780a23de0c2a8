//! One performance: a simulated GitHub in this process, a daemon and its runners in their own, and the loop that watches
//! them until all jobs have ended. Whatever happens, [`Play::end`] leaves no process behind.

use std::{path::Path, time::Duration};

use sim::workflow::Workflow;
use tokio::time::sleep;

use super::{
    chaos::{self, Blow, Chaos, Trouble},
    daemon::Daemon,
    github::SimulatedGitHub,
    leftovers,
    machines::Engine,
    screen::{Headline, Screen},
    site::{Site, SiteSettings},
    summary::Summary,
    watch::{self, Watch},
};
use crate::{failure::Failure, serve::now_ms};

/// What a performance is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of all dice.
    pub seed: u64,
    /// Most live runners.
    pub max: u32,
    /// Kills.
    pub trouble: Trouble,
    /// Whether GitHub is faulty, too.
    pub github_faults: bool,
    /// Whether the folder stays.
    pub keep: bool,
    /// What runs the runners.
    pub engine: Engine,
}

/// A running performance.
pub struct Play {
    /// Its folder.
    pub site: Site,
    /// The simulated GitHub.
    pub github: SimulatedGitHub,
    /// What was seen.
    pub watch: Watch,
    /// The trouble.
    pub chaos: Chaos,
    settings: Settings,
    daemon: Option<Daemon>,
    progress: Progress,
}

/// When something last moved.
#[derive(Debug, Default)]
struct Progress {
    stages: Vec<&'static str>,
    at_ms: u64,
}

impl Play {
    /// Opens the simulated GitHub, makes the folder, starts the daemon.
    ///
    /// # Errors
    /// Something of that cannot be done. No process is left running then; [`Engine::end`] takes away an image.
    pub async fn begin(settings: Settings, program: &Path) -> Result<Self, Failure> {
        let github = SimulatedGitHub::open(settings.seed, settings.engine.address().await?).await?;
        if let Engine::Docker(containers) = &settings.engine {
            containers.make_image(program.to_owned()).await?;
        }
        let site = Site::make(
            SiteSettings {
                engine: settings.engine.clone(),
                github_url: github.url(),
                max: settings.max,
                program: program.to_owned(),
                webhook_secret: github.webhook_secret(),
                token: github.token(),
            },
            settings.keep,
        )?;
        github.send_webhooks_to(&site.webhook_url());
        let daemon = Daemon::start(&site).await?;
        until_inventoried(&site).await;
        let chaos = Chaos::new(settings.seed, settings.trouble);
        let watch = Watch::begin(now_ms(), site.stage());
        Ok(Self { site, github, watch, chaos, settings, daemon: Some(daemon), progress: Progress::default() })
    }

    /// Submits the jobs of some workflows.
    pub fn submit(&mut self, workflows: Vec<Workflow>) {
        let now_ms = now_ms();
        self.watch = Watch::begin(now_ms, self.site.stage());
        self.progress.at_ms = now_ms;
        if self.settings.github_faults {
            self.github.set_faults(chaos::github_faults(now_ms + FAULTY_MS));
        }
        workflows.into_iter().for_each(|workflow| self.github.submit(workflow));
    }

    /// One look, and what is to be done then; whether all jobs have ended.
    ///
    /// # Errors
    /// The daemon ended by itself, or cannot be started again.
    pub async fn step(&mut self, screen: &mut Screen) -> Result<bool, Failure> {
        let now_ms = now_ms();
        let live = self.look(now_ms).await;
        self.github.approve_all();
        let sight = self.github.sight();
        self.watch.look_at_jobs(&sight);
        screen.show(&self.headline(now_ms), &self.watch.lives);
        if self.daemon.as_mut().is_none_or(Daemon::has_ended) {
            let log = std::fs::read_to_string(self.site.log()).unwrap_or_default();
            let last = log.lines().last().unwrap_or("it said nothing");
            return Err(Failure::failed(format!("the daemon ended by itself: {last}")));
        }
        match self.chaos.due(self.watch.since(now_ms)) {
            Blow::Nothing => {}
            Blow::Daemon { pause_ms, again_ms } => self.kill_daemon(screen, pause_ms, again_ms).await?,
            Blow::Runner => {
                if let Some(name) = self.chaos.victim(&live, &sight) {
                    self.site.machines.kill(&name).await;
                    screen.remark(self.watch.since(now_ms), &format!("killed the waiting runner {name}"));
                }
            }
        }
        Ok(sight.open == 0)
    }

    /// Looks at engine and store; the machines that live.
    async fn look(&mut self, now_ms: u64) -> Vec<String> {
        let live = self.site.machines.live().await;
        self.watch.count(live.len());
        self.watch.look_at_store(&self.site);
        let stages: Vec<_> = self.watch.lives.iter().map(super::timeline::JobLife::stage).collect();
        if self.progress.stages != stages {
            self.progress = Progress { stages, at_ms: now_ms };
        }
        live
    }

    fn headline(&self, now_ms: u64) -> Headline {
        let kills = self.chaos.daemon_kills;
        let remark = if kills > 0 { format!("; daemon killed {kills} times") } else { String::new() };
        Headline { now_ms: self.watch.since(now_ms), runners: self.watch.live, max: self.settings.max, remark }
    }

    /// Kills the daemon as a power cut would, and starts it again so many milliseconds later; with `again_ms` it is killed
    /// once more during that start.
    ///
    /// # Errors
    /// It cannot be started again.
    pub async fn kill_daemon(
        &mut self,
        screen: &mut Screen,
        pause_ms: u64,
        again_ms: Option<u64>,
    ) -> Result<(), Failure> {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill().await;
        }
        let again =
            again_ms.map_or_else(String::new, |ms| format!(", is killed {ms} ms into that and starts once more"));
        let text = format!("killed the daemon; it starts again in {pause_ms} ms{again}");
        screen.remark(self.watch.since(now_ms()), &text);
        sleep(Duration::from_millis(pause_ms)).await;
        if let Some(ms) = again_ms {
            Daemon::start_and_kill(&self.site, Duration::from_millis(ms)).await?;
        }
        self.daemon = Some(Daemon::start(&self.site).await?);
        Ok(())
    }

    /// Ends the daemon as a person would, and starts it again; whether it ended well.
    ///
    /// # Errors
    /// It cannot be started again.
    pub async fn restart_daemon(&mut self) -> Result<bool, Failure> {
        let ended = match self.daemon.take() {
            Some(daemon) => daemon.end().await,
            None => None,
        };
        self.daemon = Some(Daemon::start(&self.site).await?);
        Ok(ended.is_some_and(|status| status.success()))
    }

    /// Whether nothing has moved for so long that it never will.
    pub fn is_stuck(&self) -> bool {
        now_ms().saturating_sub(self.progress.at_ms) > STUCK_MS
    }

    /// Waits until nothing is left over, then ends the daemon; what was left over.
    pub async fn wind_up(&mut self) -> Vec<String> {
        let pid = self.daemon.as_ref().and_then(Daemon::pid);
        let mut left = leftovers::wait(&self.site, &self.github, pid, QUIET_WITHIN).await;
        self.watch.look_at_store(&self.site);
        self.watch.look_at_jobs(&self.github.sight());
        if let Some(daemon) = self.daemon.take() {
            match daemon.end().await {
                Some(status) if status.success() => {}
                Some(status) => left.push(format!("the daemon did not end well: {status}")),
                None => left.push("the daemon did not end when asked".into()),
            }
        }
        left
    }

    /// The summary of all that was seen.
    pub fn summary(&self, left: Vec<String>) -> Summary {
        let mut summary = Summary::of(&self.watch.lives, left);
        // Jobs that never came to be, because those that they need did not end.
        summary.lost += self.github.expected().saturating_sub(self.watch.lives.len());
        summary.runners_started = self.watch.runners_started();
        summary.peak = self.watch.peak;
        summary.daemon_kills = self.chaos.daemon_kills;
        summary.runner_kills = self.chaos.runner_kills;
        summary.duration_ms = self.watch.since(now_ms());
        summary
    }

    /// Ends every process that belongs to it. The folder goes with the value.
    pub async fn end(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill().await;
        }
        leftovers::end_processes(&self.site).await;
    }
}

/// The daemon counts the engine's machines before its first launch. Jobs that come before that are told so and wait for
/// it; here they would only hide what is to be shown. Not waited for for ever: a daemon that hangs is noticed later.
async fn until_inventoried(site: &Site) {
    for _ in 0..INVENTORY_LOOKS {
        if watch::scan(site).is_some_and(|scan| scan.inventoried) {
            return;
        }
        sleep(INVENTORY_PAUSE).await;
    }
}

/// Looks whether the engine's machines are counted.
const INVENTORY_LOOKS: u32 = 200;

/// Between two of them.
const INVENTORY_PAUSE: Duration = Duration::from_millis(10);

/// GitHub's faults stop after this, so that everything converges while somebody watches.
const FAULTY_MS: u64 = 8_000;

/// Nothing moved for so long: it never will. Longer than the first backoff of a pool.
const STUCK_MS: u64 = 60_000;

/// How long the last runners may take to go when all jobs have ended.
const QUIET_WITHIN: Duration = Duration::from_secs(40);
