//! Who lives in a world, and what people do in it: jobs pushed, approved, cancelled, runners stopped, classes closed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fastrand::Rng;
use fleet::{
    class::{Class, CredentialKind},
    drain::Extent,
    event::{Event, Outcome},
    ids::{JobId, Repo, RunnerName},
    labels::LabelSet,
    policy::{Owner, Policy},
    runner::{Runner, RunnerInput, RunnerState},
    wishes::Allow,
};

use super::{noise, profile::Profile, run::Options, world::World};
use crate::hub::{
    Hub,
    faults::HubFaults,
    model::{NewJob, OwnerKind},
};

/// Jobs arrive until then, milliseconds.
const ARRIVALS_MS: u64 = 18 * 60_000;

/// Nothing goes wrong any more from then on, milliseconds.
pub(crate) const FAULTS_END_MS: u64 = 25 * 60_000;

/// The repositories: two that register runners themselves, two of an organisation, one that anybody can see, one that
/// is not served.
const REPOS: [&str; 6] = ["acme/web", "acme/api", "globex/one", "globex/two", "acme/open", "evil/repo"];

/// Label sets that jobs ask for; the last two match no class.
const LABELS: [&[&str]; 7] = [
    &["self-hosted", "linux"],
    &["self-hosted", "Linux", "big"],
    &["self-hosted"],
    &["SELF-HOSTED", "big"],
    &["self-hosted", "linux", "cpu=2", "timeout=50"],
    &["ubuntu-latest"],
    &["self-hosted", "windows"],
];

/// Makes the world of a profile.
pub(crate) fn build(profile: Profile, rng: &mut Rng, options: &Options) -> Arc<World> {
    let mut hub = Hub::new(rng.u64(..));
    hub.add_owner("acme", OwnerKind::User);
    hub.add_owner("globex", OwnerKind::Organization);
    hub.add_owner("evil", OwnerKind::User);
    for name in REPOS {
        if let Some(repo) = Repo::parse(name) {
            hub.add_repo(&repo, name == "acme/open");
        }
    }
    hub.times.webhook_max_ms = 500;
    hub.faults = hub_faults(&profile, rng);
    let policy = policy(rng, &profile);
    let world = World::new(hub, policy, profile, Rng::with_seed(rng.u64(..)), options.trace);
    world.lock().crash_at_call = options.crash_at_call;
    world
}

fn hub_faults(profile: &Profile, rng: &mut Rng) -> HubFaults {
    let level = profile.github;
    let mut some = |most: u32| if level > 0 && rng.u32(0..3) < level + 1 { rng.u32(0..=most * level) } else { 0 };
    HubFaults {
        lose_permille: some(60),
        all_lost: profile.all_lost,
        fail_permille: some(60),
        double_permille: some(100),
        late_permille: some(100),
        late_max_ms: 120_000,
        reorder_permille: some(100),
        rest_5xx_permille: some(50),
        rest_denied: false,
        rest_rate_primary: (some(1_000) > 1_500).then_some(400),
        rest_rate_secondary: (some(1_000) > 700).then_some(300),
        read_lag_ms: u64::from(some(20_000)),
        list_drop_permille: some(50),
        busy_lie_permille: some(300),
        ghost_permille: some(400),
        requeue_permille: some(40),
        group_refuses: profile.group_refuses,
        jit_lost_answer_permille: some(60),
        until_ms: u64::MAX,
    }
}

fn policy(rng: &mut Rng, profile: &Profile) -> Policy {
    let class = |name: &str, labels: &[&str], max| Class {
        name: name.into(),
        labels: LabelSet::parse(labels).unwrap_or_default(),
        max,
        placements: 2,
        boot_timeout_ms: 3 * 60_000,
        idle_timeout_ms: 90_000,
        max_lifetime_ms: 60 * 60_000,
        allow: Allow { cpu_milli: Some([1_000, 4_000]), timeout_ms: Some([600_000, 3_600_000]), ..Allow::default() },
        ..Class::default()
    };
    let small = if profile.tokens { CredentialKind::Token } else { CredentialKind::Jit };
    let big = if profile.env { CredentialKind::Env } else { CredentialKind::Jit };
    let repos = |names: &[&str]| names.iter().filter_map(|name| Repo::parse(name)).collect::<BTreeSet<_>>();
    let owner = |organization, names: &[&str]| Owner { organization, repositories: Some(repos(names)) };
    Policy {
        stage: "sim".into(),
        max: rng.u32(1..=12),
        classes: vec![
            Class { credentials: small, ..class("small", &["self-hosted", "linux"], rng.u32(1..=10)) },
            Class { credentials: big, ..class("big", &["self-hosted", "linux", "big"], rng.u32(1..=6)) },
        ],
        owners: BTreeMap::from([
            ("acme".to_owned(), owner(false, &["acme/web", "acme/api", "acme/open"])),
            ("globex".to_owned(), owner(true, &["globex/one", "globex/two"])),
        ]),
        rerun_interrupted: profile.name == "deaths",
        ..Policy::default()
    }
}

/// What people do, as time passes.
pub(crate) async fn play(world: Arc<World>, mut rng: Rng, jobs: usize) {
    let mut times: Vec<u64> = (0..jobs).map(|_| arrival_ms(&mut rng)).collect();
    times.sort_unstable();
    let store_lost_ms = rng.u64(60_000..ARRIVALS_MS);
    if world.lock().profile.store_lost {
        tokio::spawn(lose_store(world.clone(), store_lost_ms));
    }
    if world.lock().profile.noise {
        tokio::spawn(noise::make(world.clone(), rng.fork()));
    }
    if world.lock().profile.operator {
        tokio::spawn(operate(world.clone(), rng.fork()));
    }
    for at_ms in times {
        world.sleep(at_ms.saturating_sub(world.age_ms())).await;
        push(&world, &mut rng);
    }
}

/// A third of the jobs come in bursts.
fn arrival_ms(rng: &mut Rng) -> u64 {
    match rng.u32(0..6) {
        0 => 60_000,
        1 => 8 * 60_000,
        _ => rng.u64(0..ARRIVALS_MS),
    }
}

fn push(world: &Arc<World>, rng: &mut Rng) {
    let repo = if rng.u32(0..20) == 0 { REPOS[rng.usize(4..6)] } else { REPOS[rng.usize(0..4)] };
    let labels = if rng.u32(0..20) == 0 { LABELS[rng.usize(5..7)] } else { LABELS[rng.usize(0..5)] };
    let Some(repo) = Repo::parse(repo) else { return };
    let mut job = NewJob::new(&repo, "build", labels);
    let approval = rng.u32(0..12) == 0;
    if approval {
        job = job.in_environment("production");
    }
    job.skipped = rng.u32(0..40) == 0;
    let now_ms = world.now_ms();
    let id = world.lock().hub.submit(now_ms, job);
    world.fleet.set_length(id, length_ms(world, rng));
    world.trace(|| format!("job {id} is pushed to {repo} for {labels:?}"));
    world.changed.notify_one();
    if approval {
        tokio::spawn(approve(world.clone(), id, rng.u64(5_000..240_000)));
    }
    if rng.u32(0..15) == 0 {
        tokio::spawn(cancel(world.clone(), id, rng.u64(0..120_000)));
    }
}

fn length_ms(world: &Arc<World>, rng: &mut Rng) -> u64 {
    if world.lock().profile.endless_job && rng.u32(0..40) == 0 {
        return 2 * 3_600_000;
    }
    match rng.u32(0..4) {
        0 => rng.u64(100..5_000),
        1 | 2 => rng.u64(5_000..60_000),
        _ => rng.u64(60_000..300_000),
    }
}

async fn approve(world: Arc<World>, id: JobId, after_ms: u64) {
    world.sleep(after_ms).await;
    let now_ms = world.now_ms();
    world.lock().hub.approve(now_ms, id);
    world.changed.notify_one();
}

async fn cancel(world: Arc<World>, id: JobId, after_ms: u64) {
    world.sleep(after_ms).await;
    let now_ms = world.now_ms();
    world.trace(|| format!("job {id} is cancelled"));
    world.lock().hub.cancel(now_ms, id);
    world.changed.notify_one();
}

async fn lose_store(world: Arc<World>, at_ms: u64) {
    world.sleep(at_ms).await;
    world.trace(|| "the store is emptied".into());
    *world.lock().faults.entry("store emptied").or_default() += 1;
    world.fleet.empty_store();
}

/// A person stops runners, closes or drains a class and opens it again.
async fn operate(world: Arc<World>, mut rng: Rng) {
    for _ in 0..4 {
        world.sleep(rng.u64(60_000..240_000)).await;
        stop_somebody(&world, &mut rng).await;
        set_small(&world, if rng.bool() { 0 } else { 1 });
        drain_small(&world, rng.bool()).await;
        // Who has just been asked to end by the drain.
        world.sleep(rng.u64(200..4_000)).await;
        stop_somebody(&world, &mut rng).await;
    }
    set_small(&world, 1);
    drain_small(&world, false).await;
    world.lock().profile.operator = false;
}

async fn stop_somebody(world: &Arc<World>, rng: &mut Rng) {
    let (Some(process), Some(runner)) = (world.fleet.any(), somebody(world, rng)) else { return };
    world.lock().stopped_by_hand.insert(runner.clone());
    world.trace(|| format!("a person stops {runner}"));
    let by = "operator".into();
    let stop = if rng.bool() { RunnerInput::Stop { by } } else { RunnerInput::StopIdle { by } };
    // Within the process, as all that a person asks of a daemon: what dies with it must not be waited for.
    let controller = process.controller.clone();
    let _ =
        process.call(async move { controller.handle(&[Event::Runner { runner, input: stop }]).await.is_ok() }).await;
}

/// Whom a person stops: one in a state that is seldom seen, if there is one, else anyone.
fn somebody(world: &Arc<World>, rng: &mut Rng) -> Option<RunnerName> {
    let rarity = |runner: &Runner| match &runner.state {
        RunnerState::Recalled { .. } => 2,
        RunnerState::Reserved => 1,
        RunnerState::Starting
        | RunnerState::Claimed
        | RunnerState::Idle { .. }
        | RunnerState::Busy { .. }
        | RunnerState::Ending { .. }
        | RunnerState::Gone { .. } => 0,
    };
    let live: Vec<(u32, RunnerName)> = world.fleet.store.look(|ledger| {
        let live = ledger.runners().filter(|runner| runner.state.is_live());
        live.map(|runner| (rarity(runner), runner.name.clone())).collect()
    });
    let rarest = live.iter().map(|(rarity, _)| *rarity).max()?;
    rng.choice(live.into_iter().filter(|(rarity, _)| *rarity == rarest).map(|(_, name)| name).collect::<Vec<_>>())
}

/// Drains the class `small`, or lifts that; again until it is stored.
async fn drain_small(world: &Arc<World>, drained: bool) {
    let (extent, by) = (Extent::Class("small".into()), Arc::from("operator"));
    let event = if drained { Event::Drain { extent, by } } else { Event::EndDrain { extent, by } };
    loop {
        let asked = world.fleet.any().map(|process| {
            let (controller, event) = (process.controller.clone(), event.clone());
            async move { process.call(async move { controller.handle(&[event]).await }).await }
        });
        if let Some(asked) = asked
            && let Some(Ok(outcomes)) = asked.await
        {
            let begun = drained && matches!(outcomes.first(), Some(Outcome::Accepted(_)));
            *world.lock().faults.entry("class drained").or_default() += u64::from(begun);
            return;
        }
        world.sleep(1_000).await;
    }
}

/// Closes the class `small`, or opens it again.
fn set_small(world: &Arc<World>, open: u32) {
    let mut policy = world.lock().policy.clone();
    policy.classes[0].max *= open;
    *world.lock().faults.entry("class closed").or_default() += u64::from(open == 0);
    for process in world.fleet.all() {
        process.controller.set_policy(policy.clone());
    }
}
