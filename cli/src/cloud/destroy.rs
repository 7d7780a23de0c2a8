//! `destroy`: takes a stage away. Drains it first; while jobs run only with `--force`.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use aws::{
    deploy::{Deployer, Standing},
    ecs::{EcsEngine, EcsSettings},
    queue::EventQueue,
};
use controller::ports::Compute as _;
use fleet::{
    drain::Extent,
    event::{Event, Task},
};
use tokio::time::{Instant, sleep};

use super::{
    deploy::tell,
    site::{Site, agreed, told},
};
use crate::{cloud_args::DestroyArgs, failure::Failure, source::person, table::count, terminal};

/// How long a stopped task may take: its `stopTimeout`, and what Fargate needs.
const STOPPED_WITHIN: Duration = Duration::from_secs(300);

/// How long a drain may take to be heard of, and a task to be listed.
const SETTLES_WITHIN: Duration = Duration::from_secs(15);

/// Between two looks at them.
const LOOK_EACH: Duration = Duration::from_secs(3);

/// Destroys.
pub(crate) fn command(args: &DestroyArgs) -> Result<ExitCode, Failure> {
    let site = Site::open(&args.stage)?;
    site.runtime.block_on(async {
        let deployer = Deployer::open(&site.cloud, site.stage()).await.map_err(told)?;
        let name = deployer.name().to_owned();
        let is_whole = match deployer.standing().await.map_err(told)? {
            Standing::Nothing => None,
            // One that is stuck works on.
            Standing::Deployed { .. } | Standing::Stuck(_) => Some(true),
            Standing::Broken(_) => Some(false),
            Standing::Busy(status) => {
                return Err(Failure::failed(format!(
                    "something is under way at {name} ({status}): wait until it has ended"
                )));
            }
        };
        if let Some(is_whole) = is_whole {
            let question = format!(
                "{name} in account {} and {} goes, with its state, its secrets, its logs and the images in its repository.",
                deployer.identity.account, deployer.region
            );
            if !agreed(&question, args.yes)? {
                terminal::say("nothing was done");
                return Ok(ExitCode::FAILURE);
            }
            let outputs = deployer.outputs().await.map_err(told)?;
            empty(&site, &name, &outputs, is_whole, args).await?;
            deployer.destroy(&mut tell).await.map_err(told)?;
            terminal::say(&format!("{name} is gone"));
        } else {
            terminal::say(&format!("there is no {name}"));
        }
        let bucket = deployer.bucket();
        if deployer.destroy_bucket().await.map_err(told)? {
            terminal::say("nothing is left behind");
        } else {
            terminal::say(&format!("kept: the bucket {bucket} with the functions' code, which other stages use"));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Nothing more is started, and what runs has ended. Of one that is not whole (`is_whole`: an earlier `destroy` did not end,
/// or it was never deployed) parts may be gone; what runs there is looked for all the same.
async fn empty(
    site: &Site,
    name: &str,
    outputs: &BTreeMap<String, String>,
    is_whole: bool,
    args: &DestroyArgs,
) -> Result<(), Failure> {
    // Called as the stack is.
    let cluster = outputs.get("ClusterName").map_or(name, String::as_str);
    let engine = EcsEngine::new(&site.cloud, EcsSettings::new(site.stage(), cluster));
    let queue = outputs.get("QueueUrl").map(|queue| EventQueue::new(&site.cloud, queue.as_str()));
    let by = || person(Some("the stage is destroyed")).into();
    if let Some(queue) = &queue {
        let asked = queue.append(&[Event::Drain { extent: Extent::Fleet, by: by() }]).await;
        if is_whole {
            asked.map_err(told)?;
        }
    }
    let live = match settled(&engine).await {
        Ok(live) => live,
        // Its cluster has gone already.
        Err(_) if !is_whole => return Ok(()),
        Err(failure) => return Err(failure),
    };
    if live.is_empty() {
        return Ok(());
    }
    terminal::say(&format!(
        "a drain is asked for: nothing more is to be started; {} still live",
        count(live.len(), "runner")
    ));
    if args.force {
        for task in &live {
            engine.stop(&task.id, "the stage is destroyed").await.map_err(told)?;
        }
    }
    let left = wait(&engine, if args.force { STOPPED_WITHIN } else { Duration::from_secs(args.wait) }).await?;
    if left == 0 {
        return Ok(());
    }
    if let Some(queue) = queue {
        let lifted = queue.append(&[Event::EndDrain { extent: Extent::Fleet, by: by() }]).await;
        if is_whole {
            lifted.map_err(told)?;
        }
    }
    let what = count(left, "runner");
    Err(Failure::failed(if args.force {
        format!("{what} did not stop in time; the drain is lifted: look at the cluster {cluster}, then run this again")
    } else {
        format!(
            "{what} still there; the drain is lifted: run this again when they have ended, or with `--force`, and their jobs are lost"
        )
    }))
}

/// What lives once the drain is heard of: a batch in hand may still start some, and ECS lists them a little later.
async fn settled(engine: &EcsEngine) -> Result<Vec<Task>, Failure> {
    let seen = live(engine).await?;
    if !seen.is_empty() {
        return Ok(seen);
    }
    sleep(SETTLES_WITHIN).await;
    live(engine).await
}

/// How many still live when none does, or the time is over.
async fn wait(engine: &EcsEngine, within: Duration) -> Result<usize, Failure> {
    let deadline = Instant::now() + within;
    loop {
        let left = live(engine).await?.len();
        if left == 0 || Instant::now() > deadline {
            return Ok(left);
        }
        sleep(LOOK_EACH).await;
    }
}

async fn live(engine: &EcsEngine) -> Result<Vec<Task>, Failure> {
    let tasks = engine.list().await.map_err(told)?;
    Ok(tasks.into_iter().filter(|task| task.stopped.is_none()).collect())
}
