//! How long it takes from a webhook to the launch: of one job with an idle daemon, and of a burst.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fleet::wire::{CLAIM_PATH, ClaimRequest, PROTOCOL, env};
use tokio::task::JoinSet;

use super::{
    Amount, Measured,
    engine::Started,
    load::{self, Connection, quantile},
    payload::{self, Jobs},
    world::World,
};
use crate::bench::table::{Table, fixed, whole};

/// GitHub's distance, milliseconds.
const GITHUB_MS: u64 = 150;

/// Rest before each job, so that the daemon is idle.
const REST: Duration = Duration::from_millis(50);

/// How long the credentials of a burst are waited for.
const CLAIMED_WITHIN: Duration = Duration::from_secs(30);

/// From a webhook to its launch, one after the other.
pub(super) fn latency(program: &Path, amount: &Amount) -> Measured<Table> {
    let world = World::open(program, u32::MAX, GITHUB_MS)?;
    let jobs = Jobs::new().ok_or("no payload can be made")?;
    let address = world.daemon.address;
    let mut connection = world.runtime.block_on(Connection::open(address)).map_err(|error| error.to_string())?;
    let (mut acked, mut launched) = (Vec::new(), Vec::new());
    for n in 0..amount.latencies {
        thread::sleep(REST);
        let request = jobs.queued(n);
        let begin = Instant::now();
        let status = world.runtime.block_on(connection.exchange(&request));
        acked.push(begin.elapsed());
        if !matches!(status, Ok(202)) {
            return Err(format!("a delivery was answered with {status:?}"));
        }
        launched.push(world.next_started()?.at - begin);
    }
    let head = ["from the webhook's first byte to", "jobs", "median ms", "95 % ms", "most ms"];
    let mut table = Table::new("latency", "an idle daemon, one job after the other", &head);
    for (what, mut times) in [("its answer", acked), ("the start of the machine at the engine", launched)] {
        let ms = |share| fixed(quantile(&mut times, share).as_secs_f64() * 1e3, 1);
        let [median, most_of, most] = [0.5, 0.95, 1.0].map(ms);
        table.row([what.into(), amount.latencies.into(), median, most_of, most]);
    }
    world.daemon.end()?;
    Ok(table)
}

/// Many at once.
pub(super) fn burst(program: &Path, amount: &Amount) -> Measured<Table> {
    let world = World::open(program, u32::MAX, GITHUB_MS)?;
    let jobs = Jobs::new().ok_or("no payload can be made")?;
    let address = world.daemon.address;
    let count = amount.burst;
    let begin = Instant::now();
    let sending = load::send(address, count as usize, count, Arc::new(move |n| jobs.queued(n)));
    let sending = world.runtime.spawn(sending);
    let mut launched = Vec::new();
    let mut claiming = JoinSet::new();
    for _ in 0..count {
        let started = world.next_started()?;
        launched.push(started.at - begin);
        claiming.spawn_on(claim(started, begin), world.runtime.handle());
    }
    let mut answers = world.runtime.block_on(sending).map_err(|error| error.to_string())?;
    let mut claimed: Vec<Duration> = world.runtime.block_on(claiming.join_all()).into_iter().flatten().collect();
    let head = ["of a burst", "count", "half within ms", "all within ms"];
    let about = format!("{count} jobs at once, GitHub {GITHUB_MS} ms away");
    let mut table = Table::new("burst", about, &head);
    let rows = [
        ("acknowledged", &mut answers.took),
        ("started at the engine", &mut launched),
        ("given GitHub's credentials at the first claim", &mut claimed),
    ];
    for (what, times) in rows {
        let ms = |share| whole(quantile(times, share).as_secs_f64() * 1e3);
        let [half, all] = [0.5, 1.0].map(ms);
        table.row([what.into(), times.len().into(), half, all]);
    }
    world.daemon.end()?;
    Ok(table)
}

/// What the machine's agent does first; when it had its credentials, if the answer was that.
async fn claim(started: Started, begin: Instant) -> Option<Duration> {
    let address = started.variable(env::URL).strip_prefix("http://")?.parse().ok()?;
    let attempt = started.variable(env::ATTEMPT).parse().ok()?;
    let request = ClaimRequest { protocol: PROTOCOL, runner: started.variable(env::RUNNER).into(), attempt };
    let body = serde_json::to_string(&request).ok()?;
    let request = payload::from_agent(CLAIM_PATH, started.variable(env::CLAIM_TOKEN), &body);
    let mut connection = Connection::open(address).await.ok()?;
    let exchange = connection.exchange(&request);
    let status = tokio::time::timeout(CLAIMED_WITHIN, exchange).await.ok()?.ok()?;
    let given = status == 200 && connection.said("\"run\"");
    given.then(|| begin.elapsed())
}
