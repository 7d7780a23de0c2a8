//! What the engine sees: lists of many pages, reads that lag, stopped tasks without tags, ends in words, events.

use controller::{
    contract::{engine::Bench as _, facts},
    ports::{Compute, ErrorKind},
};
use fleet::{event::Event, ids::TaskId, runner::RunnerInput};
use serde_json::json;
use sim::aws::ecs::{
    Answer, Refusal,
    faults::Trick,
    model::{Definition, Times},
};

use super::bench::{CLUSTER, STAGE, World, claim, region, settings, until};

/// Whatever the bucket, so that many can be launched.
async fn unlimited() -> World {
    let mut ecs = region();
    (ecs.limits.run_task_calls, ecs.limits.launches) = (None, None);
    World::with(ecs, settings()).await
}

/// The end that the engine tells of.
async fn gone(world: &World) -> String {
    match world.event(super::bench::DEADLINE).await {
        Some(Event::Runner { input: RunnerInput::TaskGone { why }, .. }) => why.to_string(),
        other => panic!("not an end: {other:?}"),
    }
}

#[tokio::test]
async fn a_list_is_complete_over_many_pages() {
    let world = unlimited().await;
    for n in 0..230 {
        world.launch(&facts::launch(&format!("sr-dev-{n}"), 1)).await.unwrap();
    }
    let listed = world.engine.list().await.unwrap();
    assert_eq!(listed.len(), 230);
    assert!(listed.iter().all(|task| task.pool == facts::pool() && task.stopped.is_none()));
    assert!(world.calls("ListTasks") >= 4 && world.calls("DescribeTasks") >= 3);
}

#[tokio::test]
async fn a_page_that_fails_fails_the_list() {
    let world = World::new().await;
    world.launch(&facts::launch("sr-dev-a", 1)).await.unwrap();
    let denied = |action: &str| Trick::Refuse(Refusal::denied(action));
    for (operation, action) in [("ListTasks", "ecs:ListTasks"), ("DescribeTasks", "ecs:DescribeTasks")] {
        world.ecs(|ecs, _| ecs.tricks.push_back((operation, denied(action))));
        let error = world.engine.list().await.unwrap_err();
        assert!(error.kind == ErrorKind::Denied && error.message.contains(action), "{error}");
    }
    // AWS's own trouble is tried again at once: it only reads.
    world.ecs(|ecs, _| ecs.tricks.push_back(("ListTasks", Trick::FailBefore)));
    assert_eq!(world.engine.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn others_in_the_cluster_are_invisible() {
    let world = World::new().await;
    let qa = world.engine_with(|settings| settings.stage = "qa".into());
    let id = qa.launch(&facts::launch("sr-qa-a", 1), &claim()).await.unwrap();
    let service = json!({
        "cluster": CLUSTER, "taskDefinition": "runner", "startedBy": "ecs-svc/1",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-a"]}},
    });
    assert!(matches!(world.ecs(|ecs, now_ms| ecs.call(now_ms, "RunTask", &service)), Answer::Done(_)));
    assert_eq!(world.engine.list().await.unwrap(), vec![]);
    assert_eq!(world.engine.read(&id).await.unwrap(), None);
    assert_eq!(qa.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_task_that_is_not_shown_yet_is_looked_at_again() {
    let world = World::new().await;
    world.ecs(|ecs, _| ecs.faults.describe_lag_ms = 500);
    let id = world.launch(&facts::launch("sr-dev-a", 1)).await.unwrap();
    let seen = world.engine.read(&id).await.unwrap();
    assert_eq!(seen.map(|task| task.runner.to_string()), Some("sr-dev-a".to_owned()));
}

#[tokio::test]
async fn one_that_is_gone_for_an_hour_is_unknown_and_stopping_it_is_fine() {
    let mut ecs = region();
    ecs.times = Times { remember_ms: 5, ..Times::quick() };
    let world = World::with(ecs, settings()).await;
    let spec = facts::launch("sr-dev-a", 1);
    let id = world.begin(&spec).await;
    world.end(&spec).await;
    until("it is forgotten", async || world.tasks() == 0).await;
    assert_eq!(world.engine.read(&id).await.unwrap(), None);
    world.engine.stop(&id, "again").await.unwrap();
    world.engine.stop(&TaskId::from("arn:aws:ecs:eu-west-1:1:task/other/0123"), "not ours").await.unwrap();
    assert_eq!(world.calls("StopTask"), 1);
}

#[tokio::test]
async fn a_stopped_task_without_tags_still_counts_until_it_is_gone() {
    let mut ecs = region();
    // An agent that takes its time.
    ecs.times = Times { stop_timeout_ms: 600_000, ..Times::quick() };
    let world = World::with(ecs, settings()).await;
    let spec = facts::launch("sr-dev-a", 1);
    let id = world.begin(&spec).await;
    world.engine.stop(&id, "its lifetime is over").await.unwrap();
    let read = world.engine.read(&id).await.unwrap().unwrap();
    assert_eq!((read.stopped, read.runner.as_str(), read.attempt), (None, "sr-dev-a", 1));
    // Nobody knows its pool any more: whoever has a row reads it directly, nobody adopts it.
    assert_eq!(world.engine.list().await.unwrap(), vec![]);
    world.end(&spec).await;
    let why = gone(&world).await;
    assert_eq!(why, "stopped: its lifetime is over; the agent exited with 0");
    let listed = world.engine.list().await.unwrap();
    assert_eq!(listed.iter().map(|task| task.stopped.as_deref()).collect::<Vec<_>>(), [Some(why.as_str())]);
}

#[tokio::test]
async fn a_running_task_whose_tags_cannot_be_read_is_an_error() {
    let world = World::new().await;
    let bare = json!({
        "cluster": CLUSTER, "taskDefinition": "runner", "startedBy": format!("self-runners/{STAGE}/linux/sr-dev-a/1"),
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-a"]}},
        "tags": [{"key": "self-runners.class", "value": "linux"}],
    });
    assert!(matches!(world.ecs(|ecs, now_ms| ecs.call(now_ms, "RunTask", &bare)), Answer::Done(_)));
    let error = world.engine.list().await.unwrap_err();
    assert!(error.message.contains("tags of arn:aws:ecs:") && error.message.contains("newer version"), "{error}");
}

#[tokio::test]
async fn an_image_that_is_not_there_is_told_with_what_to_do() {
    let world = World::new().await;
    let pull = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref";
    let broken = Definition { broken: Some(pull.into()), ..Definition::new("runner") };
    world.ecs(|ecs, _| ecs.add_definition(broken));
    let id = world.launch(&facts::launch("sr-dev-a", 1)).await.unwrap();
    let why = gone(&world).await;
    assert!(why.starts_with("it never started: CannotPull") && why.contains("execution role pull it"), "{why}");
    let read = world.engine.read(&id).await.unwrap().unwrap();
    assert_eq!(read.stopped.as_deref(), Some(why.as_str()), "event and read say the same");
}

#[tokio::test]
async fn an_agent_without_memory_is_told() {
    let world = World::new().await;
    let id = world.begin(&facts::launch("sr-dev-a", 1)).await;
    let words = "OutOfMemoryError: Container killed due to memory usage";
    world.ecs(|ecs, now_ms| ecs.exit(now_ms, id.as_str(), 137, Some(words)));
    assert_eq!(gone(&world).await, "the agent exited with 137 (signal 9); memory was short: give the class more");
}

#[tokio::test]
async fn spot_says_so_before_it_takes_the_machine_back() {
    let world = World::new().await;
    let id = world.begin(&facts::launch("sr-dev-a", 1)).await;
    world.ecs(|ecs, now_ms| ecs.interrupt(now_ms, id.as_str()));
    let mut heard = Vec::new();
    loop {
        let Event::Runner { input, .. } = world.word().await else { panic!("another event") };
        heard.push(input.label());
        if let RunnerInput::TaskGone { why } = input {
            assert!(why.starts_with("Fargate Spot took its machine back"), "{why}");
            break;
        }
    }
    assert_eq!(heard, ["launched", "spot notice (report)", "task gone"]);
}

#[tokio::test]
async fn events_that_come_late_and_twice_tell_the_same_story() {
    let world = unlimited().await;
    world.ecs(|ecs, _| {
        ecs.faults.event_late_ms = 50;
        ecs.faults.event_twice = 0.5;
    });
    let mut events = world.server.handle().events();
    let specs: Vec<_> = (0..20).map(|n| facts::launch(&format!("sr-dev-{n}"), 1)).collect();
    for spec in &specs {
        world.begin(spec).await;
        world.end(spec).await;
    }
    until("all have stopped", async || world.ecs(|ecs, _| ecs.live()) == 0).await;
    until("all events are out", async || world.ecs(|ecs, _| ecs.unsent() == 0)).await;
    let mut words = Vec::new();
    while let Ok(event) = events.try_recv() {
        words.extend(aws::ecs::event::told(STAGE, &event["detail"]));
    }
    assert!(words.len() > 40, "{} events of 20 tasks", words.len());
    let told = aws::ecs::event::in_order(words);
    for spec in &specs {
        let of = told.iter().filter_map(|event| {
            let Event::Runner { runner, input } = event else { return None };
            (*runner == spec.runner).then(|| input.label())
        });
        assert_eq!(of.collect::<Vec<_>>(), ["launched", "task gone"], "{}", spec.runner);
    }
}
