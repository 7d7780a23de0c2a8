//! The simulated ECS keeps the documented rules, in virtual time.

use serde_json::{Value, json};

use super::faults::{Shortage, Trick};
use super::model::{Definition, Happening, Status, Times};
use super::{Answer, Ecs, Refusal};

const START_MS: u64 = 1_700_000_000_000;

fn ecs() -> Ecs {
    let mut ecs = Ecs::new(7);
    ecs.add_cluster("dev", &["FARGATE", "FARGATE_SPOT"]);
    ecs.add_definition(Definition::new("runner"));
    ecs
}

fn launch(token: &str) -> Value {
    json!({
        "cluster": "dev", "taskDefinition": "runner", "clientToken": token, "startedBy": "self-runners/dev/a",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-a"]}},
        "tags": [{"key": "k", "value": "v"}],
    })
}

fn done(answer: Answer) -> Value {
    match answer {
        Answer::Done(value) => value,
        other @ (Answer::Refused(_) | Answer::Silence) => panic!("not done: {other:?}"),
    }
}

fn refused(answer: Answer) -> Refusal {
    match answer {
        Answer::Refused(refusal) => refusal,
        other @ (Answer::Done(_) | Answer::Silence) => panic!("not refused: {other:?}"),
    }
}

fn arn(answer: &Value) -> String {
    answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned()
}

#[test]
fn one_token_never_starts_two_tasks() {
    let mut ecs = ecs();
    let first = done(ecs.call(START_MS, "RunTask", &launch("t")));
    assert_eq!(done(ecs.call(START_MS + 60_000, "RunTask", &launch("t"))), first, "the first answer again");
    let mut other = launch("t");
    other["taskDefinition"] = json!("runner:1");
    let conflict = refused(ecs.call(START_MS, "RunTask", &other));
    assert_eq!((conflict.code.as_str(), &*conflict.resource_ids[0]), ("ConflictException", arn(&first).as_str()));
    assert_eq!(ecs.tasks().count(), 1);
    // Its day is over, while the task still runs.
    done(ecs.call(START_MS + 24 * 3_600_000, "RunTask", &launch("t")));
    assert_eq!(ecs.tasks().count(), 2);
}

#[test]
fn a_task_goes_up_runs_and_goes_down_with_an_event_each() {
    let mut ecs = ecs();
    let arn = arn(&done(ecs.call(START_MS, "RunTask", &launch("t"))));
    ecs.tick(START_MS + 30_000);
    assert!(matches!(&ecs.take_happenings()[..], [Happening::Started { .. }]));
    ecs.exit(START_MS + 40_000, &arn, 0, None);
    ecs.tick(START_MS + 60_000);
    let seen = ecs.take_events(START_MS + 60_000);
    let words: Vec<&str> = seen.iter().map(|event| event["detail"]["lastStatus"].as_str().unwrap()).collect();
    let expected =
        ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"];
    assert_eq!(words, expected);
    assert!(seen.windows(2).all(|two| two[0]["detail"]["version"].as_u64() < two[1]["detail"]["version"].as_u64()));
    let last = &seen[7]["detail"];
    assert_eq!(
        (&last["stopCode"], &last["containers"][0]["exitCode"]),
        (&json!("EssentialContainerExited"), &json!(0))
    );
    // Described for an hour, then unknown.
    let ask = json!({"cluster": "dev", "tasks": [arn]});
    assert_eq!(done(ecs.call(START_MS + 3_600_000, "DescribeTasks", &ask))["tasks"][0]["lastStatus"], "STOPPED");
    assert_eq!(done(ecs.call(START_MS + 3_700_000, "DescribeTasks", &ask))["failures"][0]["reason"], "MISSING");
}

#[test]
fn tags_go_with_a_stop_and_a_stop_that_is_not_obeyed_kills() {
    let mut ecs = ecs();
    let arn = arn(&done(ecs.call(START_MS, "RunTask", &launch("t"))));
    let ask = json!({"cluster": "dev", "tasks": [arn], "include": ["TAGS"]});
    assert_eq!(done(ecs.call(START_MS + 30_000, "DescribeTasks", &ask))["tasks"][0]["tags"][0]["value"], "v");
    done(ecs.call(START_MS + 30_000, "StopTask", &json!({"cluster": "dev", "task": arn, "reason": "why not"})));
    let shown = done(ecs.call(START_MS + 30_000, "DescribeTasks", &ask))["tasks"][0].clone();
    assert_eq!(
        (&shown["tags"], &shown["lastStatus"], &shown["desiredStatus"]),
        (&json!([]), &json!("RUNNING"), &json!("STOPPED"))
    );
    ecs.tick(START_MS + 75_000);
    let state = ecs.task(&arn).and_then(|task| task.now().cloned()).unwrap();
    assert_eq!((state.last, state.exit_code), (Status::Stopped, Some(137)));
    assert_eq!(&*state.ending.unwrap().reason, "why not");
}

#[test]
fn want_of_capacity_is_an_answer_with_status_200() {
    let mut ecs = ecs();
    ecs.faults.shortages.push(Shortage::of("FARGATE", Some("subnet-a")));
    assert_eq!(done(ecs.call(START_MS, "RunTask", &launch("t")))["failures"][0]["reason"], Shortage::FULL);
    let mut elsewhere = launch("t");
    elsewhere["networkConfiguration"]["awsvpcConfiguration"]["subnets"] = json!(["subnet-a", "subnet-b"]);
    done(ecs.call(START_MS, "RunTask", &elsewhere));
    assert_eq!(ecs.subnets_used("FARGATE").into_iter().collect::<Vec<_>>(), ["subnet-b"]);
    // 6 vCPU: one task of 4 fits, the second does not.
    ecs.limits.vcpus = Some(6);
    let answer = done(ecs.call(START_MS, "RunTask", &launch("u")));
    assert!(
        answer["failures"][0]["reason"]
            .as_str()
            .unwrap()
            .starts_with("You've reached the limit on the number of vCPUs")
    );
}

#[test]
fn launches_and_calls_have_their_rates() {
    let mut ecs = ecs();
    for n in 0..20 {
        done(ecs.call(START_MS, "RunTask", &launch(&n.to_string())));
    }
    assert_eq!(refused(ecs.call(START_MS, "RunTask", &launch("20"))).code, "ThrottlingException");
    done(ecs.call(START_MS + 50, "RunTask", &launch("20")));
    // Ten tasks a call: the launches are used up before the calls.
    let many = |n: u32| {
        let mut many = launch(&format!("many{n}"));
        many["count"] = json!(10);
        many
    };
    for n in 0..10 {
        done(ecs.call(START_MS + 60_000, "RunTask", &many(n)));
    }
    assert_eq!(refused(ecs.call(START_MS + 60_000, "RunTask", &many(10))).code, "ThrottlingException");
}

#[test]
fn reads_lag_and_lists_have_pages() {
    let mut ecs = ecs();
    ecs.limits.run_task_calls = None;
    ecs.limits.launches = None;
    for n in 0..250 {
        done(ecs.call(START_MS, "RunTask", &launch(&n.to_string())));
    }
    let (mut seen, mut token, mut pages) = (0, Value::Null, 0);
    loop {
        let ask = json!({"cluster": "dev", "startedBy": "self-runners/dev/a", "nextToken": token});
        let page = done(ecs.call(START_MS, "ListTasks", &ask));
        (seen, pages) = (seen + page["taskArns"].as_array().unwrap().len(), pages + 1);
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!((seen, pages), (250, 3));
    ecs.faults.list_lag_ms = 10_000;
    let shown = (0..50).map(|_| {
        done(ecs.call(START_MS + 5_000, "ListTasks", &json!({"cluster": "dev"})))["taskArns"].as_array().unwrap().len()
    });
    let shown: Vec<usize> = shown.collect();
    assert!(shown.contains(&0) && shown.contains(&100), "{shown:?}");
}

#[test]
fn an_answer_may_be_lost_and_parameters_are_checked() {
    let mut ecs = ecs();
    ecs.tricks.push_back(("RunTask", Trick::LoseAnswer));
    assert_eq!(refused(ecs.call(START_MS, "RunTask", &launch("t"))).status, 500);
    done(ecs.call(START_MS, "RunTask", &launch("t")));
    assert_eq!(ecs.tasks().count(), 1);
    let bad = |key: &str, value: Value| {
        let mut bad = launch("u");
        bad[key] = value;
        bad
    };
    for bad in [
        bad("startedBy", json!("a:b")),
        bad("clientToken", json!("x".repeat(65))),
        bad("tags", json!([{"key": "k", "value": "a,b"}])),
        bad("overrides", json!({"containerOverrides": [{"name": "runner", "command": ["x".repeat(8_192)]}]})),
        bad("count", json!(11)),
    ] {
        assert_eq!(refused(ecs.call(START_MS, "RunTask", &bad)).code, "InvalidParameterException", "{bad}");
    }
    assert_eq!(refused(ecs.call(START_MS, "RunTask", &bad("cluster", json!("qa")))).code, "ClusterNotFoundException");
    assert_eq!(refused(ecs.call(START_MS, "RunTask", &bad("taskDefinition", json!("x")))).code, "ClientException");
}

#[test]
fn a_spot_notice_comes_two_minutes_before_the_end() {
    let mut ecs = ecs();
    ecs.times = Times::default();
    let arn = arn(&done(ecs.call(START_MS, "RunTask", &launch("t"))));
    ecs.tick(START_MS + 30_000);
    ecs.interrupt(START_MS + 31_000, &arn);
    let notice = ecs.take_events(START_MS + 31_000).pop().unwrap()["detail"].clone();
    let words = [&notice["lastStatus"], &notice["desiredStatus"], &notice["stopCode"]];
    assert_eq!(words, [&json!("RUNNING"), &json!("STOPPED"), &json!("SpotInterruption")]);
    ecs.tick(START_MS + 150_999);
    assert_eq!(ecs.running_now().count(), 1);
    ecs.tick(START_MS + 170_000);
    assert_eq!(ecs.live(), 0);
}
