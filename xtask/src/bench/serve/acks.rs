//! Acknowledgements: how many signed deliveries a second are answered after they are on disk, what each costs the
//! daemon, and whether those that were acknowledged survive its death.

use std::{collections::BTreeSet, path::Path, sync::Arc, thread, time::Duration};

use super::{
    Amount, Measured, load,
    load::{Answers, Make},
    payload::{self, Jobs},
    site::{Daemon, Rules, Site},
    usage,
};
use crate::bench::table::{Table, fixed, whole};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A signed delivery that needs nothing: nothing is stored.
    Other,
    /// The same job again and again: stored, and decided to be known.
    Known,
    /// A new job each: stored, decided, its row and the reason written.
    New,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Other => "of no interest: verified, answered",
            Self::Known => "a job that is known: + stored, decided, taken out",
            Self::New => "a new job: + its row, its reason",
        }
    }

    fn make(self, jobs: &Arc<Jobs>) -> Make {
        let jobs = jobs.clone();
        match self {
            Self::Other => {
                let other = payload::other();
                Arc::new(move |_| other.clone())
            }
            Self::Known => Arc::new(move |_| jobs.queued(0)),
            Self::New => Arc::new(move |n| jobs.queued(n)),
        }
    }
}

/// Rates and costs.
pub(super) fn rates(program: &Path, amount: &Amount) -> Measured<Table> {
    let head = [
        "delivery",
        "connections",
        "acks/s",
        "median ms",
        "99 % ms",
        "daemon CPU ms each",
        "load CPU ms each",
        "handled s later",
    ];
    let about = format!("signed bodies of {} bytes; the load runs on the same two cores", payload::BODY_BYTES);
    let mut table = Table::new("acknowledgements", about, &head);
    for kind in [Kind::Other, Kind::Known, Kind::New] {
        for connections in amount.connections {
            rate(program, amount.deliveries, kind, *connections, &mut table)?;
        }
    }
    Ok(table)
}

fn rate(program: &Path, count: u64, kind: Kind, connections: usize, table: &mut Table) -> Measured<()> {
    let site = Site::make(program, &Rules::closed())?;
    let daemon = site.start()?;
    let jobs = jobs()?;
    let (before, own_before) = (daemon.usage()?.cpu, own_cpu()?);
    let mut answers = send(&daemon, connections, count, kind.make(&jobs))?;
    let own = own_cpu()? - own_before;
    let later = site.until_handled()?;
    let cpu = daemon.usage()?.cpu - before;
    daemon.end()?;
    if answers.bad > 0 {
        return Err(format!("{} of {count} deliveries were not acknowledged", answers.bad));
    }
    let each = |cpu: Duration| fixed(cpu.as_secs_f64() * 1e3 / count as f64, 3);
    table.row([
        kind.words().into(),
        connections.into(),
        whole(answers.rate()),
        fixed(answers.quantile_ms(0.5), 1),
        fixed(answers.quantile_ms(0.99), 1),
        each(cpu),
        each(own),
        fixed(later.as_secs_f64(), 1),
    ]);
    Ok(())
}

/// Whether what was acknowledged survives SIGKILL under load.
pub(super) fn kills(program: &Path, amount: &Amount) -> Measured<Table> {
    let head = ["killed after ms", "acknowledged", "of these stored", "lost"];
    let mut table = Table::new("kills", "SIGKILL under load; then started again and asked", &head);
    for after in amount.kills_after {
        let (acknowledged, stored) = kill(program, amount, *after)?;
        let lost = acknowledged.difference(&stored).count();
        table.row([
            whole(after.as_secs_f64() * 1e3),
            acknowledged.len().into(),
            acknowledged.intersection(&stored).count().into(),
            lost.into(),
        ]);
        if lost > 0 {
            return Err(format!("{lost} acknowledged jobs are lost after SIGKILL:\n{table}"));
        }
    }
    Ok(table)
}

fn kill(program: &Path, amount: &Amount, after: Duration) -> Measured<(BTreeSet<u64>, BTreeSet<u64>)> {
    let site = Site::make(program, &Rules::closed())?;
    let mut daemon = site.start()?;
    let jobs = jobs()?;
    let address = daemon.address;
    let connections = amount.connections.first().copied().unwrap_or(1);
    let killer = thread::spawn(move || {
        thread::sleep(after);
        daemon.kill();
    });
    let answers = super::runtime()?.block_on(load::send(address, connections, u64::MAX, Kind::New.make(&jobs)));
    killer.join().map_err(|_| "the daemon could not be killed")?;
    let daemon = site.start()?;
    site.until_handled()?;
    let shown = site.ask("jobs")?;
    daemon.end()?;
    let open = shown["jobs"].as_array().ok_or("no jobs are shown")?;
    let stored = open.iter().filter_map(|job| job["id"].as_u64()).collect();
    Ok((answers.good.iter().map(|n| jobs.id(*n)).collect(), stored))
}

fn jobs() -> Measured<Arc<Jobs>> {
    Ok(Arc::new(Jobs::new().ok_or("no payload can be made")?))
}

fn send(daemon: &Daemon, connections: usize, count: u64, make: Make) -> Measured<Answers> {
    Ok(super::runtime()?.block_on(load::send(daemon.address, connections, count, make)))
}

fn own_cpu() -> Measured<Duration> {
    usage::of(rustix::process::getpid()).map(|usage| usage.cpu).ok_or_else(|| "no /proc".into())
}
