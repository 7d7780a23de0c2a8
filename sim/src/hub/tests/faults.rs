//! Each fault does what it says, is counted, and ends when it should.

use fleet::job::{Conclusion, JobInput};

use super::super::Hub;
use super::super::faults::seen;
use super::super::model::{Cause, Gone, Status};
use super::{T0, hub, org, repo, runner, said};

fn count(hub: &Hub, fault: &str) -> u64 {
    hub.faults_seen.get(fault).copied().unwrap_or(0)
}

#[test]
fn lost_webhooks_are_never_sent_nor_recorded() {
    let mut hub = hub();
    hub.faults.all_lost = true;
    hub.faults.until_ms = T0 + 1;
    hub.job_of(&["linux"]);
    assert!(hub.due(u64::MAX).is_empty());
    assert!(hub.failed_deliveries(T0, &org(), 0).unwrap().is_empty());
    assert_eq!(count(&hub, seen::WEBHOOK_LOST), 1);
    // From `until_ms` on nothing goes wrong.
    hub.submit(T0 + 1, super::NewJob::new(&repo(), "build", &["linux"]));
    assert_eq!(hub.due(T0 + 1).len(), 1);
}

#[test]
fn failed_webhooks_are_recorded_and_some_arrive_all_the_same() {
    let mut hub = hub();
    hub.faults.fail_permille = 1_000;
    for _ in 0..50 {
        hub.job_of(&["linux"]);
    }
    let arrived = hub.due(T0);
    for delivery in &arrived {
        hub.delivered(delivery.id, true, T0);
    }
    assert_eq!(hub.failed_deliveries(T0, &org(), 0).unwrap().len(), 50);
    assert_eq!(count(&hub, seen::WEBHOOK_FAILED_BUT_SEEN), arrived.len() as u64);
    assert_eq!(count(&hub, seen::WEBHOOK_FAILED), 50 - arrived.len() as u64);
    assert!((1..50).contains(&arrived.len()));
}

#[test]
fn doubled_and_late_webhooks_have_one_guid() {
    let mut hub = hub();
    (hub.faults.double_permille, hub.faults.late_permille, hub.faults.late_max_ms) = (1_000, 1_000, 60_000);
    hub.job_of(&["linux"]);
    let sent = hub.due(T0 + 90_000);
    assert_eq!((sent.len(), sent[0].guid), (2, sent[1].guid));
    assert!(sent[0].scheduled_ms > T0);
}

#[test]
fn a_reordered_webhook_comes_behind_the_next_one() {
    let mut hub = hub();
    hub.faults.reorder_permille = 1_000;
    let (job, id) = hub.running();
    hub.finish(T0, job, id, Conclusion::Success).unwrap();
    let order: Vec<String> = hub.due(T0 + 400_000).iter().map(said).collect();
    assert_eq!(order, ["in_progress/in_progress", "queued/queued", "completed/completed"]);
    assert_eq!(count(&hub, seen::WEBHOOK_REORDERED), 1);
}

#[test]
fn reads_may_be_old() {
    let mut hub = hub();
    hub.faults.read_lag_ms = 10_000;
    let (job, id) = hub.running();
    hub.finish(T0 + 60_000, job, id, Conclusion::Success).unwrap();
    let now_ms = T0 + 65_000;
    let old = (0..100).filter(|_| hub.runner(now_ms, &org(), id).is_ok()).count();
    let listed = (0..100).filter(|_| hub.runners(now_ms, &org(), Some("r-1"), 1, 9).unwrap().total == 1).count();
    let running = (0..100).filter(|_| hub.job(now_ms, &repo(), job).unwrap().conclusion.is_none()).count();
    assert!([old, listed, running].iter().all(|seen| (10..90).contains(seen)), "{old} {listed} {running}");
    assert!(count(&hub, seen::READ_STALE) >= (old + listed + running) as u64);
    hub.tick(T0 + 71_000);
    assert!(hub.runner(T0 + 71_000, &org(), id).is_err());
}

#[test]
fn a_runner_may_be_missing_from_a_page_but_not_from_a_direct_read() {
    let mut hub = hub();
    hub.faults.list_drop_permille = 1_000;
    let id = hub.connected("r-1", &["linux"]);
    assert!(hub.runners(T0, &org(), None, 1, 100).unwrap().items.is_empty());
    assert!(hub.runner(T0, &org(), id).is_ok());
    assert_eq!(hub.runners(T0, &org(), Some("r-1"), 1, 100).unwrap().items.len(), 1);
}

// FACTS §2: `busy: false` is sometimes wrong for a working runner, and DELETE on it then succeeds.
#[test]
fn busy_may_lie_and_then_a_working_runner_can_be_deleted() {
    let mut hub = hub();
    hub.faults.busy_lie_permille = 1_000;
    let (job, id) = hub.running();
    let lie_ms = (T0..T0 + 660_000).step_by(500).find(|at_ms| !hub.runner(*at_ms, &org(), id).unwrap().busy).unwrap();
    hub.delete_runner(lie_ms, &org(), id).unwrap();
    assert_eq!(hub.runs_on(id), Some(job));
    assert!(hub.finish(lie_ms, job, id, Conclusion::Success).is_err());
    hub.tick(lie_ms + 600_000);
    let done = Status::Done { conclusion: Conclusion::Failure, cause: Cause::RunnerDeleted };
    assert_eq!(hub.true_job(job).unwrap().status(), done);
    assert_eq!(count(&hub, seen::BUSY_LIE_DELETED), 1);
}

// FACTS §3: registration gone, process alive and waiting for ever.
#[test]
fn a_ghost_is_not_told_that_it_is_one() {
    let mut hub = hub();
    hub.faults.ghost_permille = 1_000;
    let id = hub.connected("r-1", &["linux"]);
    hub.tick(T0 + 300_000);
    assert!(matches!(hub.true_runner(id).unwrap().gone, Some((_, Gone::Ghost))));
    assert!(hub.is_ghost(id));
    assert_eq!(hub.heartbeat(T0 + 300_000, id), Ok(()));
    assert!(hub.runner(T0 + 300_000, &org(), id).is_err());
    hub.job_of(&["linux"]);
    hub.tick(T0 + 300_000);
    assert_eq!(hub.assigned(id), None);
}

// DESIGN §7: a job can be announced as running and be queued again all the same.
#[test]
fn an_unheard_assignment_is_queued_again_and_may_have_been_announced() {
    let mut announced = 0;
    for seed in 0..20 {
        let mut hub = Hub::new(seed);
        hub.add_repo(&repo(), false);
        hub.faults.requeue_permille = 1_000;
        hub.faults.until_ms = T0 + 1;
        let job = hub.job_of(&["linux"]);
        let id = hub.connected("r-1", &["linux"]);
        hub.tick(T0);
        assert_eq!(hub.assigned(id), None);
        let said = hub.actions(T0);
        if said.len() == 2 {
            announced += 1;
            assert_eq!(hub.job(T0, &repo(), job).unwrap().input(true), JobInput::InProgress { runner: "r-1".into() });
            assert!(!hub.runner(T0, &org(), id).unwrap().busy);
        }
        hub.tick(T0 + 60_000);
        assert_eq!(hub.assigned(id), Some(job));
        assert!(hub.actions(T0 + 60_000).is_empty());
    }
    assert!((1..20).contains(&announced));
}

#[test]
fn a_lost_jit_answer_has_registered_the_runner() {
    let mut hub = hub();
    hub.faults.jit_lost_answer_permille = 1_000;
    let grant = hub.jit_config(T0, runner(org(), "r-1", &["linux"])).unwrap();
    assert!(grant.answer_lost);
    assert_eq!(hub.jit_config(T0, runner(org(), "r-1", &["linux"])).unwrap_err().status, 409);
}

#[test]
fn rest_may_fail_and_then_does_nothing() {
    let mut hub = hub();
    hub.faults.rest_5xx_permille = 1_000;
    assert_eq!(hub.jit_config(T0, runner(org(), "r-1", &["linux"])).unwrap_err().status, 502);
    assert_eq!(hub.true_runners().count(), 0);
}

#[test]
fn all_groups_may_refuse() {
    let mut hub = hub();
    (hub.faults.group_refuses, hub.faults.until_ms) = (true, T0 + 10);
    let job = hub.job_of(&["linux"]);
    let id = hub.connected("r-1", &["linux"]);
    hub.tick(T0);
    assert_eq!((hub.assigned(id), count(&hub, seen::GROUP_REFUSED)), (None, 1));
    assert!(hub.groups(T0, "acme", Some("web")).unwrap().is_empty());
    hub.tick(T0 + 30_000);
    assert_eq!(hub.assigned(id), Some(job));
}

#[test]
fn the_same_seed_and_calls_give_the_same_world() {
    let story = || {
        let mut hub = Hub::new(99);
        hub.add_repo(&repo(), false);
        let faults = &mut hub.faults;
        (faults.lose_permille, faults.double_permille, faults.late_permille, faults.late_max_ms) =
            (200, 200, 200, 9_000);
        (faults.requeue_permille, faults.reorder_permille, faults.fail_permille) = (200, 200, 200);
        let mut told = Vec::new();
        for n in 0..50 {
            let now_ms = T0 + n * 1_000;
            hub.job_of(&["linux"]);
            let id = hub.register(now_ms, runner(org(), &format!("r-{n}"), &["linux"])).unwrap();
            hub.connect(now_ms, id).unwrap();
            hub.tick(now_ms);
            if let Some(job) = hub.assigned(id) {
                hub.start(now_ms, job, id).unwrap();
                hub.finish(now_ms, job, id, Conclusion::Success).unwrap();
            }
            told.extend(hub.due(now_ms).iter().map(|delivery| (delivery.guid, said(delivery), delivery.scheduled_ms)));
        }
        (told, hub.faults_seen.clone())
    };
    assert_eq!(story(), story());
}
