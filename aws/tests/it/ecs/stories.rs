//! Stories on ECS: jobs from their push to nothing left over.

use super::{
    bench::{region, until},
    system::{CAP, System},
};

const JOBS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_jobs_over_a_cap_of_six() {
    let system = System::begin(region()).await;
    system.push(JOBS);
    // Six run, six wait: no job ends before the gate is open.
    until("the cap is reached", async || system.running_jobs() == CAP as usize).await;
    assert_eq!(system.ecs.handle().look(|ecs| ecs.live()), CAP as usize);
    system.open_gate();
    until("all jobs have ended", async || system.done_jobs() == JOBS).await;
    system.comes_to_rest().await;
    assert_eq!(system.peak(), CAP as usize);
    let launches = system.launches();
    assert!(launches.len() == JOBS && launches.values().all(|count| *count == 1), "{launches:?}");
    assert_eq!(system.notices(), vec![]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_where_everything_goes_wrong() {
    let mut ecs = region();
    ecs.faults.fails = 0.1;
    ecs.faults.answer_lost = 0.2;
    ecs.faults.no_capacity = 0.2;
    ecs.faults.event_lost = 0.3;
    ecs.faults.event_twice = 0.3;
    ecs.faults.event_late_ms = 300;
    ecs.faults.list_lag_ms = 200;
    ecs.faults.describe_lag_ms = 200;
    let system = System::begin(ecs).await;
    system.push(JOBS);
    system.open_gate();
    until("all jobs have ended", async || system.done_jobs() == JOBS).await;
    system.comes_to_rest().await;
    assert!(system.peak() <= CAP as usize, "{} at once", system.peak());
    let launches = system.launches();
    assert!(launches.values().all(|count| *count == 1), "{launches:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_is_emptied_with_runners_busy() {
    let system = System::begin(region()).await;
    system.push(JOBS);
    until("the cap is reached", async || system.running_jobs() == CAP as usize).await;
    let before = system.ecs.handle().look(|ecs| ecs.tasks().count());
    system.store.clear();
    // All are taken in again from their tags alone, and none is stopped.
    until("all are known again", async || {
        system.runners().await.iter().filter(|one| one.state.is_live()).count() == before
    })
    .await;
    assert_eq!(system.running_jobs(), CAP as usize);
    assert!(
        system
            .runners()
            .await
            .iter()
            .all(|one| one.repo.is_some() && one.labels == controller::contract::facts::class().labels)
    );
    system.open_gate();
    until("all jobs have ended", async || system.done_jobs() == JOBS).await;
    system.comes_to_rest().await;
    assert_eq!((system.peak(), system.ecs.handle().look(|ecs| ecs.calls("StopTask"))), (CAP as usize, 0));
}
