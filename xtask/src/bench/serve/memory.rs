//! What the daemon holds in memory, and what an event costs it, beside many waiting jobs and live machines.

use std::path::Path;

use super::{
    Amount, Measured,
    site::{Rules, Site},
    usage::Usage,
    world::World,
};
use crate::bench::table::{Table, fixed, whole};

/// Events of a life: three webhooks, an answered launch, the end of a machine.
const EVENTS: f64 = 5.0;

/// At rest, and beside growing numbers.
pub(super) fn curve(program: &Path, amount: &Amount) -> Measured<Table> {
    let head = [
        "jobs waiting",
        "machines live",
        "RSS MB",
        "most MB",
        "most MB of a restart with a sweep",
        "daemon CPU ms a life",
        "an event",
    ];
    let about = "a life, one after the other: a job queued, a machine started, the job begun, ended, the machine gone";
    let mut table = Table::new("memory", about, &head);
    let Usage { rss_mb, peak_mb, .. } = at_rest(program)?;
    table.row([0.into(), 0.into(), fixed(rss_mb, 1), fixed(peak_mb, 1), "".into(), "".into(), "".into()]);
    for (waiting, live) in amount.sizes {
        point(program, *waiting, *live, amount.lives, &mut table)?;
    }
    Ok(table)
}

fn at_rest(program: &Path) -> Measured<Usage> {
    let site = Site::make(program, &Rules::closed())?;
    let daemon = site.start()?;
    let usage = daemon.until_calm()?;
    daemon.end()?;
    Ok(usage)
}

fn point(program: &Path, waiting: u64, live: u64, lives: u64, table: &mut Table) -> Measured<()> {
    let mut world = World::open(program, u32::try_from(live).unwrap_or(u32::MAX), 0)?;
    world.send_webhooks();
    world.submit(waiting + live)?;
    world.boot(live)?;
    world.until_settled(waiting, live)?;
    let before = world.daemon.usage()?;
    for _ in 0..lives {
        world.turn()?;
    }
    world.end_finished()?;
    world.until_settled(waiting, live)?;
    let after = world.daemon.usage()?;
    let life_ms = (after.cpu - before.cpu).as_secs_f64() * 1e3 / lives as f64;
    let swept = world.restart()?;
    table.row([
        waiting.into(),
        live.into(),
        whole(after.rss_mb),
        whole(after.peak_mb),
        whole(swept.peak_mb),
        fixed(life_ms, 2),
        fixed(life_ms / EVENTS, 3),
    ]);
    world.daemon.end()
}
