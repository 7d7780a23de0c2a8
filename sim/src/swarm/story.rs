//! A story: one fixed little world, what happens in it, and the look at the end.
//!
//! It stands beside the swarm because it is the same machinery: the same controller, GitHub and engine under the same
//! paused clock, with faults that the story names instead of dice. The verbs are [`Scene`]'s. It must not know any
//! story: those are in `sim/tests/it`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use controller::{
    ports::{About, Secret, Store},
    service::Decider,
    token::ClaimKeys,
};
use fastrand::Rng;
use fleet::{
    class::Class,
    effect::{Notice, NoticeKind},
    ids::Repo,
    labels::LabelSet,
    policy::{Owner, Policy},
    rota::Pace,
};
use tokio::runtime::Runtime;
use tracing::level_filters::LevelFilter;

use super::{
    beside::Beside,
    check,
    process::CLAIM_KEY,
    profile::Profile,
    run::{drive, heal, rest},
    scene::Scene,
    world::World,
};
use crate::hub::{Hub, faults::HubFaults, model::OwnerKind};

/// What all secrets of a world have in common, so that they are found wherever they stand.
const SECRET: &str = "s3cr3t";

/// Lines of the trace that a failed story shows.
const TRACE_SHOWN: usize = 300;

/// What a story is set up with.
#[derive(Clone)]
pub struct Story {
    seed: u64,
    profile: Profile,
    policy: Policy,
    faults: HubFaults,
    crash_at_call: Option<u64>,
    core: Option<Arc<dyn Decider>>,
    repos: usize,
    pace: Pace,
    told: BTreeSet<NoticeKind>,
    maybe_told: BTreeSet<NoticeKind>,
    errors: bool,
    beside: Option<Beside>,
}

/// What came of a story that ended well.
#[derive(Debug, Clone)]
pub struct Told {
    /// What a person was told, in order.
    pub notices: Vec<Notice>,
    /// Faults that occurred, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Machines started.
    pub started: u64,
    /// Most machines at once.
    pub peak: usize,
    /// Port calls made.
    pub calls: u64,
    /// Calls of GitHub by what they ask.
    pub asked: BTreeMap<&'static str, u64>,
    /// All that happened, one line each.
    pub trace: Vec<String>,
    /// What the controllers logged.
    pub log: String,
}

/// Tells a story in a calm world: nothing goes wrong, and nobody has to be told anything.
///
/// # Panics
/// When the world is not at rest in the end, a promise was broken, a secret or an ERROR stands in the log, or a person
/// was told something.
pub fn story<F: Future<Output = ()>>(script: impl FnOnce(Scene) -> F) -> Told {
    Story::calm().run(script)
}

impl Story {
    /// A world in which nothing goes wrong: one controller, at most six runners, the classes `small` (`self-hosted`,
    /// `linux`; at most 6) and `big` (the same and `big`; at most 3). `acme` is a person whose repositories `web` and
    /// `api` register runners themselves, `globex` an organisation with `one` and `two`.
    pub fn calm() -> Self {
        Self {
            seed: 1,
            profile: Profile::calm(),
            policy: policy(),
            faults: HubFaults::default(),
            crash_at_call: None,
            core: None,
            repos: 0,
            pace: Pace::default(),
            told: BTreeSet::new(),
            maybe_told: BTreeSet::new(),
            errors: false,
            beside: None,
        }
    }

    /// A world in which machines may run no job: something goes wrong, or somebody interferes.
    pub fn rough() -> Self {
        Self::calm().profile(|profile| profile.name = "rough")
    }

    /// Another choice of all that is left to chance.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets what goes wrong with the engine, the agents and the controllers.
    #[must_use]
    pub fn profile(mut self, change: impl FnOnce(&mut Profile)) -> Self {
        change(&mut self.profile);
        self
    }

    /// Sets what goes wrong with GitHub.
    #[must_use]
    pub fn faults(mut self, change: impl FnOnce(&mut HubFaults)) -> Self {
        change(&mut self.faults);
        self
    }

    /// Sets the operator's rules.
    #[must_use]
    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// The controller dies right after this port call, counted from 1.
    #[must_use]
    pub fn crash_at_call(self, call: u64) -> Self {
        Self { crash_at_call: Some(call), ..self }
    }

    /// Puts another core in place of the right one.
    #[must_use]
    pub fn core(self, core: Arc<dyn Decider>) -> Self {
        Self { core: Some(core), ..self }
    }

    /// No webhook ever arrives: controllers look for jobs themselves.
    #[must_use]
    pub fn polling(self) -> Self {
        let lost = |profile: &mut Profile| (profile.polls, profile.all_lost) = (true, true);
        self.profile(lost).faults(|faults| faults.all_lost = true)
    }

    /// How controllers look for jobs.
    #[must_use]
    pub fn pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// So many more repositories of `acme`: `acme/r0`, `acme/r1` and so on.
    #[must_use]
    pub fn more_repositories(self, count: usize) -> Self {
        let more = (0..count).filter_map(|i| Repo::parse(&format!("acme/r{i}")));
        let told = Self { repos: count, ..self };
        told.policy(|policy| {
            if let Some(repos) = policy.owners.get_mut("acme").and_then(|owner| owner.repositories.as_mut()) {
                repos.extend(more);
            }
        })
    }

    /// A person must be told this, and of nothing that is not named.
    #[must_use]
    pub fn tells(mut self, kind: NoticeKind) -> Self {
        self.told.insert(kind);
        self
    }

    /// A person may be told this.
    #[must_use]
    pub fn may_tell(mut self, kind: NoticeKind) -> Self {
        self.maybe_told.insert(kind);
        self
    }

    /// A second store is asked the same and must answer the same.
    #[must_use]
    pub fn beside(self, beside: Beside) -> Self {
        Self { beside: Some(beside), ..self }
    }

    /// ERROR lines belong to it.
    #[must_use]
    pub fn may_log_errors(self) -> Self {
        Self { errors: true, ..self }
    }

    /// Plays the script, lets everything come to rest without faults, and looks.
    ///
    /// # Panics
    /// As [`story`], with the end of the trace and the log.
    pub fn run<F: Future<Output = ()>>(self, script: impl FnOnce(Scene) -> F) -> Told {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_max_level(LevelFilter::TRACE)
            .with_writer(move || writer.clone());
        let _guard = tracing::subscriber::set_default(subscriber.finish());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.unwrap_or_else(|error| panic!("no runtime can be made: {error}"));
        let world = self.build(&runtime);
        let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.play(&world, script))));
        let mut broken = world.lock().violations.clone();
        broken.extend(runtime.block_on(self.look(&world, &log.text())));
        if let Err(panic) = played {
            broken.insert(0, format!("the script ended: {}", words(panic.as_ref())));
        }
        let told = told(&world, log.text());
        assert!(broken.is_empty(), "{}", report(&broken, &told));
        told
    }

    fn build(&self, runtime: &Runtime) -> Arc<World> {
        let mut rng = Rng::with_seed(self.seed);
        let mut hub = Hub::new(rng.u64(..));
        hub.add_owner("acme", OwnerKind::User);
        hub.add_owner("globex", OwnerKind::Organization);
        for repo in ["acme/web", "acme/api", "globex/one", "globex/two"].into_iter().filter_map(Repo::parse) {
            hub.add_repo(&repo, false);
        }
        for repo in (0..self.repos).filter_map(|i| Repo::parse(&format!("acme/r{i}"))) {
            hub.add_repo(&repo, false);
        }
        hub.times.webhook_max_ms = 500;
        hub.faults = self.faults;
        let _within = runtime.enter();
        let world = World::new(hub, self.policy.clone(), self.profile.clone(), rng, true);
        world.lock().crash_at_call = self.crash_at_call;
        *world.fleet.pace.lock().unwrap_or_else(PoisonError::into_inner) = self.pace;
        if let Some(beside) = &self.beside {
            let _first = world.fleet.beside.set(beside.clone());
        }
        if let Some(core) = &self.core {
            world.fleet.set_decider(core.clone());
        }
        world
    }

    async fn play<F: Future<Output = ()>>(&self, world: &Arc<World>, script: impl FnOnce(Scene) -> F) {
        world.fleet.start(world, self.profile.controllers);
        tokio::spawn(drive(world.clone()));
        let scene = Scene::new(world.clone());
        // What happens before is a story of its own: jobs wait until the engine's machines are counted.
        scene.until("the engine's machines are counted", |scene| scene.store().look(|it| it.is_inventoried())).await;
        script(scene).await;
        heal(world);
        let rested = rest(world).await.is_some();
        check::at_rest(world, rested);
    }

    /// What no promise covers but no story may leave behind.
    async fn look(&self, world: &Arc<World>, log: &str) -> Vec<String> {
        let mut broken = Vec::new();
        let notices = world.lock().told.clone();
        let kinds: BTreeSet<NoticeKind> = notices.iter().map(|notice| notice.kind).collect();
        for notice in &notices {
            if !self.told.contains(&notice.kind) && !self.maybe_told.contains(&notice.kind) {
                broken.push(format!("a person was told {}: {}", notice.kind.as_str(), notice.text));
            }
        }
        for kind in self.told.difference(&kinds) {
            broken.push(format!("nothing-silent: nobody was told {}", kind.as_str()));
        }
        let unread = world.fleet.store.unread();
        if unread > 0 {
            broken.push(format!("{unread} letters were left in the inbox"));
        }
        if !self.errors {
            broken.extend(log.lines().filter(|line| line.starts_with("ERROR")).map(ToOwned::to_owned));
        }
        broken.extend(secrets(world, &notices, log).await);
        broken
    }
}

/// Secrets in the log, in what people were told and in the reasons.
async fn secrets(world: &Arc<World>, notices: &[Notice], log: &str) -> Vec<String> {
    let keys = ClaimKeys::new(&world.lock().policy.stage, vec![Secret::new(CLAIM_KEY)]);
    let launched = world.lock().cloud.launched();
    let tokens = launched.iter().filter_map(|(runner, attempt)| keys.make(runner, *attempt));
    let mut secrets: Vec<String> = tokens.map(|token| token.expose().to_owned()).collect();
    secrets.push(SECRET.into());
    let records = world.fleet.store.records(&About::All, usize::MAX).await.unwrap_or_default();
    let texts = notices.iter().map(|notice| &*notice.text).chain(records.iter().map(|record| &*record.text));
    let holds = |text: &&str| secrets.iter().any(|secret| text.contains(secret.as_str()));
    log.lines().chain(texts).filter(holds).map(|text| format!("secrets-stay-secret: {text}")).collect()
}

fn policy() -> Policy {
    let class = |name: &str, labels: &[&str], max| Class {
        name: name.into(),
        labels: LabelSet::parse(labels).unwrap_or_default(),
        max,
        placements: 2,
        boot_timeout_ms: 3 * 60_000,
        idle_timeout_ms: 90_000,
        ..Class::default()
    };
    let owner = |organization, repos: &[&str]| Owner {
        organization,
        repositories: Some(repos.iter().filter_map(|repo| Repo::parse(repo)).collect()),
    };
    Policy {
        stage: "story".into(),
        classes: vec![class("small", &["self-hosted", "linux"], 6), class("big", &["self-hosted", "linux", "big"], 3)],
        owners: BTreeMap::from([
            ("acme".to_owned(), owner(false, &["acme/web", "acme/api"])),
            ("globex".to_owned(), owner(true, &["globex/one", "globex/two"])),
        ]),
        ..Policy::default()
    }
}

fn told(world: &World, log: String) -> Told {
    let trace = world.take_trace();
    let state = world.lock();
    let mut faults = state.faults.clone();
    for (name, count) in &state.hub.faults_seen {
        *faults.entry(name).or_default() += count;
    }
    let (started, peak) = (state.cloud.started, state.cloud.peak);
    let (notices, asked) = (state.told.clone(), state.asked.clone());
    Told { notices, faults, started, peak, calls: state.calls, asked, trace, log }
}

fn report(broken: &[String], told: &Told) -> String {
    let mut text = String::from("the story does not end well\n");
    for line in told.trace.iter().skip(told.trace.len().saturating_sub(TRACE_SHOWN)) {
        let _ = writeln!(text, "{line}");
    }
    for line in told.log.lines().filter(|line| line.starts_with("ERROR")) {
        let _ = writeln!(text, "{line}");
    }
    for line in broken {
        let _ = writeln!(text, "BROKEN {line}");
    }
    text
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// What is logged on this thread.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).trim().replace("\n ", "\n")
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
