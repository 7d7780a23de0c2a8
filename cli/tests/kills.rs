//! The daemon with SQLite, real processes and the simulated GitHub over HTTP, killed with SIGKILL again and again at
//! random moments of a load and started again each time.
//!
//! It must hold: no job is lost, no launch token has two tasks, the caps hold at each moment, nothing is left over, no
//! process is orphaned. It takes minutes, so a plain `cargo test` leaves it out; `./test kills` runs it.
//!
//! `KILLS`, `JOBS` and `SEED` in the environment change the run; the seed is printed.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so and fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    str::FromStr,
    time::Duration,
};

use fleet::job::Conclusion;
use self_runners::demo::{
    chaos::Trouble,
    machines::Engine,
    play::{Play, Settings},
    processes,
    screen::Screen,
};
use sim::workflow::Workflow;

/// Most live runners.
const MAX: u32 = 6;

/// Jobs that are submitted at once when the load would end before the kills do.
const MORE_JOBS: usize = 20;

/// Between two looks.
const LOOK_EACH: Duration = Duration::from_millis(15);

#[test]
fn a_hundred_kills_lose_nothing() {
    let (kills, jobs) = (number("KILLS", 100), number("JOBS", 200));
    let seed = number("SEED", std::process::id().into());
    eprintln!("{kills} kills of the daemon within {jobs} jobs, SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(perform(kills, jobs, seed));
}

fn number<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn perform(kills: usize, jobs: usize, seed: u64) {
    let trouble = Trouble { daemon_kills: kills, runner_kills: 0, gap_max_ms: 600 };
    let settings = Settings { seed, max: MAX, trouble, github_faults: false, keep: true, engine: Engine::Process };
    let mut play = Play::begin(settings, Path::new(env!("CARGO_BIN_EXE_self-runners"))).await.unwrap();
    let result = watch(&mut play, jobs).await;
    // Before anything can panic: no process outlives the test.
    play.end().await;
    let dir = play.site.dir().to_owned();
    if let Err(what) = result {
        panic!("SEED={seed}: {what}; the daemon's log and store are in {}", dir.display());
    }
    fs::remove_dir_all(dir).unwrap();
}

async fn watch(play: &mut Play, jobs: usize) -> Result<(), String> {
    let mut screen = Screen::new(true);
    let mut guard = Guard::default();
    play.submit(vec![load(jobs)]);
    let mut told = 0;
    loop {
        let ended = play.step(&mut screen).await.map_err(|failure| failure.to_string())?;
        guard.look(&play.site.runners_root())?;
        if play.is_stuck() {
            return Err(format!("nothing moves: {:#?}", play.wind_up().await));
        }
        let kills = play.chaos.daemon_kills;
        if kills >= told + 10 {
            told = kills;
            let done = play.watch.lives.iter().filter(|life| life.conclusion.is_some()).count();
            eprintln!(
                "{kills} kills, {done} of {} jobs done, {} runners live",
                play.github.expected(),
                play.watch.live
            );
        }
        if play.chaos.left() > 0 && play.github.sight().open < MORE_JOBS {
            play.github.submit(load(MORE_JOBS));
        } else if ended {
            break;
        }
        tokio::time::sleep(LOOK_EACH).await; // deadline
    }
    let left = play.wind_up().await;
    judge(play, left)
}

/// Jobs of different lengths, so that a kill meets each moment of a runner's life.
fn load(jobs: usize) -> Workflow {
    let parts: Vec<String> = (0..jobs).map(|part| part.to_string()).collect();
    let text = format!(
        "jobs:
  load:
    runs-on: [self-hosted, linux]
    strategy: {{fail-fast: false, matrix: {{part: [{}]}}}}
    steps:
      - run: sleep $(( ${{{{ matrix.part }}}} % 3 )).$(( ${{{{ matrix.part }}}} % 10 ))
      - run: echo done
",
        parts.join(", ")
    );
    Workflow::parse(&text).unwrap()
}

fn judge(play: &Play, left: Vec<String>) -> Result<(), String> {
    let summary = play.summary(left);
    eprintln!("{}", serde_json::to_string(&summary).unwrap());
    let must = |holds: bool, what: String| if holds { Ok(()) } else { Err(what) };
    must(summary.lost == 0, format!("{} jobs were lost", summary.lost))?;
    must(summary.left == 0, format!("left over: {:?}", summary.leftovers))?;
    must(summary.peak <= MAX as usize, format!("{} runners lived at once, {MAX} may", summary.peak))?;
    must(play.chaos.left() == 0, format!("{} kills were not made", play.chaos.left()))?;
    let mut ran = BTreeSet::new();
    for life in &play.watch.lives {
        let name = &life.name;
        must(life.conclusion == Some(Conclusion::Success), format!("{name} ended as {}", life.result()))?;
        let runner = life.runner.clone().ok_or(format!("{name} ran on no runner"))?;
        must(ran.insert(runner.clone()), format!("{runner} ran two jobs"))?;
    }
    Ok(())
}

/// What holds at each moment.
#[derive(Default)]
struct Guard {
    /// Who began in each task's folder.
    began: BTreeMap<String, String>,
}

impl Guard {
    fn look(&mut self, root: &Path) -> Result<(), String> {
        self.began_once(root)?;
        let first = folders(root);
        if first.len() <= MAX as usize {
            return Ok(());
        }
        // One may have ended and another begun while it was looked: only who is there still was there together.
        let second = folders(root);
        let both: Vec<&String> = first.keys().filter(|name| second.get(*name) == first.get(*name)).collect();
        if both.len() <= MAX as usize { Ok(()) } else { Err(format!("more than {MAX} live at once: {both:?}")) }
    }

    /// One launch token, one task: whoever began in a folder stays the only one, and has one listener.
    fn began_once(&mut self, root: &Path) -> Result<(), String> {
        for entry in fs::read_dir(root).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(text) = fs::read_to_string(entry.path().join("started")) else { continue };
            // The engine itself writes there when it closes a folder: then no agent begins any more.
            if text == "fenced" {
                continue;
            }
            let first = self.began.entry(name.clone()).or_insert_with(|| text.clone());
            if *first != text {
                return Err(format!("two agents began in {name}: first {first:?}, then {text:?}"));
            }
        }
        Ok(())
    }
}

/// The folders in which an agent lives, and which.
fn folders(root: &Path) -> BTreeMap<String, u32> {
    processes::agents(root).into_iter().map(|(name, agent)| (name, agent.pid)).collect()
}
