//! What each story needs: a performance with containers, a clock that ends it, the program's own words.

use std::{path::Path, process::Command, time::Duration};

use fleet::job::Conclusion;
use self_runners::demo::{
    chaos::Trouble,
    machines::{Containers, Engine},
    play::{Play, Settings},
    screen::Screen,
    timeline::JobLife,
};
use sim::workflow::Workflow;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_self-runners");

/// Between two looks.
pub(crate) const LOOK_EACH: Duration = Duration::from_millis(25);

/// Whatever a story waits for comes within this, or it has failed.
pub(crate) const LOOKS_MAX: u32 = 2_400;

/// A running performance.
pub(crate) struct Stage {
    pub(crate) play: Play,
    pub(crate) containers: Containers,
    pub(crate) screen: Screen,
}

impl Stage {
    /// A daemon that runs at most `max` containers at once.
    pub(crate) async fn of(max: u32) -> Self {
        let containers = Containers::of(&std::env::var(crate::HOST).unwrap()).unwrap();
        let engine = Engine::Docker(containers.clone());
        let settings =
            Settings { seed: 1, max, trouble: Trouble::default(), github_faults: false, keep: false, engine };
        let play = Play::begin(settings, Path::new(PROGRAM)).await.unwrap();
        Self { play, containers, screen: Screen::new(true) }
    }

    /// Queues as many jobs, each with this step.
    pub(crate) fn submit(&mut self, jobs: u32, step: &str) {
        let parts: Vec<String> = (0..jobs).map(|part| part.to_string()).collect();
        let text = format!(
            "jobs:
  job:
    runs-on: [self-hosted, linux]
    strategy: {{fail-fast: false, matrix: {{part: [{}]}}}}
    steps:
      - run: {step}
",
            parts.join(", ")
        );
        self.play.submit(vec![Workflow::parse(&text).unwrap()]);
    }

    /// Goes on until `holds`.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&[JobLife]) -> bool) {
        for _ in 0..LOOKS_MAX {
            self.play.step(&mut self.screen).await.unwrap();
            let lives = &self.play.watch.lives;
            if !lives.is_empty() && holds(lives) {
                return;
            }
            tokio::time::sleep(LOOK_EACH).await; // deadline
        }
        panic!("never: {what}; jobs {:#?}; log {}", self.play.watch.lives, self.log());
    }

    /// Goes on until all jobs run.
    pub(crate) async fn until_all_run(&mut self) {
        self.until("all run", |lives| lives.iter().all(|life| life.running_ms.is_some())).await;
    }

    /// Goes on until all jobs have ended.
    pub(crate) async fn until_all_ended(&mut self) {
        self.until("all ended", |lives| lives.iter().all(|life| life.conclusion.is_some())).await;
    }

    /// How the jobs ended.
    pub(crate) fn conclusions(&self) -> Vec<Option<Conclusion>> {
        self.play.watch.lives.iter().map(|life| life.conclusion).collect()
    }

    /// The containers that live.
    pub(crate) async fn live(&self) -> Vec<String> {
        self.play.site.machines.live().await
    }

    /// What the program says to some words, of this daemon; whether it went well.
    pub(crate) fn says(&self, words: &[&str]) -> (bool, String) {
        let said = Command::new(PROGRAM).args(words).arg("--config").arg(self.play.site.config()).output().unwrap();
        let text = [said.stdout, said.stderr].concat();
        (said.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// What it records about the only job.
    pub(crate) fn why(&self) -> String {
        self.says(&["why", &self.play.watch.lives[0].id.to_string()]).1
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.play.site.log()).unwrap_or_default()
    }

    /// Nothing is left over, and what was done meanwhile.
    pub(crate) async fn end(self) -> Play {
        self.end_but_for("nothing").await
    }

    /// Nothing is left over but what has these words.
    pub(crate) async fn end_but_for(mut self, words: &str) -> Play {
        let mut left = self.play.wind_up().await;
        left.retain(|one| !one.contains(words));
        let log = self.log();
        self.play.end().await;
        assert!(left.is_empty(), "left over: {left:#?}; log {log}");
        assert_eq!(self.containers.names().await.unwrap(), Vec::<String>::new());
        self.play
    }
}
