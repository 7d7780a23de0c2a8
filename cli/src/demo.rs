//! `demo`: the whole life of some jobs on this machine, offline: a simulated GitHub in this process, a real daemon with
//! its SQLite file in another, real runners with real bash steps in more, real HTTP between all of them.

pub mod chaos;
pub mod daemon;
pub mod github;
pub mod leftovers;
pub mod machines;
pub mod play;
pub mod processes;
pub mod screen;
pub mod site;
pub mod summary;
pub mod timeline;
pub mod watch;
pub mod workflow;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use serde_json::json;
use sim::workflow::Workflow;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    chaos::Trouble,
    machines::{Engine, EngineArgs, own_stage},
    play::{Play, Settings},
    screen::Screen,
    summary::Summary,
};
use crate::{
    failure::{FAILED, Failure},
    terminal,
};

/// What `demo` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// How many jobs the built-in workflow has
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    jobs: u32,
    /// Run this workflow file instead of the built-in one
    #[arg(long, value_name = "FILE", conflicts_with = "jobs")]
    workflow: Option<PathBuf>,
    /// Seed of all dice: the same seed makes the same trouble
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Make trouble: lost, doubled and late webhooks, failing calls, the daemon killed, runners killed
    #[arg(long)]
    faults: bool,
    /// End with one JSON object instead of tables; nothing else is printed
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engine: EngineArgs,
    /// Keep the folder with the daemon's store and log
    #[arg(long)]
    keep: bool,
}

/// Shows it.
pub(crate) fn command(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let workflows = match &args.workflow {
        Some(path) => workflow::from_file(path)?,
        None => workflow::built_in(args.jobs)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    runtime.block_on(perform(args, workflows))
}

async fn perform(args: &DemoArgs, workflows: Vec<Workflow>) -> Result<ExitCode, Failure> {
    let mut asked = Asked::listen()?;
    let program =
        std::env::current_exe().map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    let settings = Settings {
        seed: args.seed,
        max: fleet::policy::FLEET_MAX_DEFAULT,
        trouble: if args.faults { Trouble::DEMO } else { Trouble::default() },
        github_faults: args.faults,
        keep: args.keep,
        engine: args.engine.containers(&own_stage())?.map_or(Engine::Process, Engine::Docker),
    };
    let engine = settings.engine.clone();
    let begun = tokio::select! {
        play = Play::begin(settings, &program) => play,
        () = asked.next() => Err(interrupted()),
    };
    let mut play = match begun {
        Ok(play) => play,
        Err(failure) => {
            engine.end().await;
            return Err(failure);
        }
    };
    if !args.json {
        introduce(args, &play, &workflows);
    }
    let result = tokio::select! {
        result = watch(args, &mut play, workflows) => result,
        () = asked.next() => Err(interrupted()),
    };
    play.end().await;
    let summary = result.inspect_err(|_| keep(args, &play))?;
    conclude(args, &play, &summary);
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn introduce(args: &DemoArgs, play: &Play, workflows: &[Workflow]) {
    let jobs: usize = workflows.iter().map(|workflow| workflow.jobs().len()).sum();
    terminal::say(&format!(
        "{jobs} jobs go to a simulated GitHub; a real `self-runners serve` starts a fresh runner for each, at most {} at once.",
        fleet::policy::FLEET_MAX_DEFAULT
    ));
    let trouble = if args.faults { ", with trouble on the way" } else { "" };
    let dir = play.site.dir().display();
    let place = match &play.site.settings.engine {
        Engine::Process => "on this machine".to_owned(),
        Engine::Docker(containers) => format!("on this machine, runners are containers of {}", containers.host()),
    };
    terminal::say(&format!("Everything happens {place}, in {dir}; seed {}{trouble}.\n", args.seed));
}

async fn watch(args: &DemoArgs, play: &mut Play, workflows: Vec<Workflow>) -> Result<Summary, Failure> {
    let mut screen = Screen::new(args.json);
    play.submit(workflows);
    while !play.step(&mut screen).await? && !play.is_stuck() {
        tokio::time::sleep(LOOK_EACH).await;
    }
    let left = play.wind_up().await;
    screen.wipe();
    Ok(play.summary(left))
}

fn conclude(args: &DemoArgs, play: &Play, summary: &Summary) {
    if args.json {
        let kept = args.keep.then(|| play.site.dir().to_string_lossy().into_owned());
        let object = json!({ "summary": summary, "jobs": play.watch.lives, "seed": args.seed, "kept": kept });
        terminal::say(&terminal::json(&object.to_string()));
        return;
    }
    terminal::say("\nMilliseconds since the beginning, job by job:");
    terminal::say(&timeline::table(&play.watch.lives));
    terminal::say(&summary.text());
    keep(args, play);
    terminal::say(
        "Next: `self-runners demo --faults` (the daemon is killed, webhooks get lost), `--workflow FILE` (your own),\n\
         `--keep` and then `self-runners why JOB --config …` (each decision with its reason).",
    );
}

fn keep(args: &DemoArgs, play: &Play) {
    if args.keep && !args.json {
        let job = play.watch.lives.first().map_or(0, |life| life.id);
        let config = play.site.config();
        terminal::say(&format!("kept: {}", play.site.dir().display()));
        terminal::say(&format!("try:  self-runners why {job} --config {}", config.display()));
    }
}

fn interrupted() -> Failure {
    Failure::failed("interrupted; everything of the demo was ended")
}

/// The signals that end a demo early, or what runs until it is asked to end.
pub(crate) struct Asked {
    signals: [Signal; 3],
}

impl Asked {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let open = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")));
        let signals = [open(SignalKind::interrupt())?, open(SignalKind::terminate())?, open(SignalKind::hangup())?];
        Ok(Self { signals })
    }

    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Threads of the simulated GitHub and the observer.
const WORKERS: usize = 2;

/// Between two looks.
const LOOK_EACH: Duration = Duration::from_millis(50);
