//! REST as FACTS §2 describes it.

use fleet::ids::{RegistrationId, Scope};
use fleet::job::{Conclusion, JobInput};

use super::super::delivery::Shown;
use super::super::model::{NewJob, NewRunner, OwnerKind};
use super::{T0, hub, org, repo, runner};

// FACTS §2: generate-jitconfig registers at once and is not idempotent: the name exists.
#[test]
fn a_jit_config_registers_and_a_second_one_of_that_name_conflicts() {
    let mut hub = hub();
    let grant = hub.jit_config(T0, runner(org(), "sr-a-1", &["linux"])).unwrap();
    assert!(!hub.runner(T0, &org(), grant.id).unwrap().online);
    assert_eq!(hub.jit_config(T0, runner(org(), "sr-a-1", &["linux"])).unwrap_err().status, 409);
    hub.delete_runner(T0, &org(), grant.id).unwrap();
    assert!(hub.jit_config(T0, runner(org(), "sr-a-1", &["linux"])).is_ok());
}

#[test]
fn a_jit_config_needs_a_scope_a_group_and_labels() {
    let mut hub = hub();
    hub.add_owner("mona", OwnerKind::User);
    let status = |new: NewRunner, hub: &mut super::Hub| hub.jit_config(T0, new).unwrap_err().status;
    assert_eq!(status(runner(Scope::Org("mona".into()), "a", &["x"]), &mut hub), 404);
    assert_eq!(status(NewRunner { group: 99, ..runner(org(), "a", &["x"]) }, &mut hub), 404);
    assert_eq!(status(runner(org(), "a", &[]), &mut hub), 422);
}

// FACTS §2: DELETE answers 204, 404, or 422 when busy.
#[test]
fn a_busy_runner_is_not_deleted() {
    let mut hub = hub();
    let (_, id) = hub.running();
    assert!(hub.runner(T0, &org(), id).unwrap().busy);
    assert_eq!(hub.delete_runner(T0, &org(), id).unwrap_err().status, 422);
    assert_eq!(hub.delete_runner(T0, &org(), RegistrationId(99)).unwrap_err().status, 404);
    assert_eq!(hub.delete_runner(T0, &Scope::Repo(repo()), id).unwrap_err().status, 404);
}

#[test]
fn a_deleted_runner_gives_its_assigned_job_back() {
    let mut hub = hub();
    let job = hub.job_of(&["linux"]);
    let id = hub.connected("r-1", &["linux"]);
    hub.tick(T0);
    hub.delete_runner(T0, &org(), id).unwrap();
    assert_eq!(hub.queued().collect::<Vec<_>>(), [job]);
    assert!(hub.heartbeat(T0, id).is_err());
}

#[test]
fn runners_are_listed_by_page_and_by_name() {
    let mut hub = hub();
    for n in 0..5 {
        hub.register(T0, runner(org(), &format!("r-{n}"), &["linux"])).unwrap();
    }
    let page = hub.runners(T0, &org(), None, 2, 2).unwrap();
    assert_eq!((page.total, page.items.len(), &*page.items[0].name), (5, 2, "r-2"));
    let page = hub.runners(T0, &org(), Some("r-4"), 1, 100).unwrap();
    assert_eq!((page.total, &*page.items[0].name), (1, "r-4"));
    assert!(hub.runners(T0, &org(), Some("r-9"), 1, 100).unwrap().items.is_empty());
}

// FACTS §2: one token registers any number of runners in its hour.
#[test]
fn a_registration_token_serves_many_runners_of_its_scope_for_an_hour() {
    let mut hub = hub();
    let token = hub.runner_token(T0, &org()).unwrap();
    for n in 0..3 {
        assert!(hub.register_with_token(T0, token.token, runner(org(), &format!("r-{n}"), &["x"]), false).is_ok());
    }
    let again = |replace, hub: &mut super::Hub| {
        hub.register_with_token(T0, token.token, runner(org(), "r-0", &["x"]), replace).map_err(|error| error.status)
    };
    assert_eq!(again(false, &mut hub), Err(409));
    assert!(again(true, &mut hub).is_ok());
    let own = runner(Scope::Repo(repo()), "own", &["x"]);
    assert_eq!(hub.register_with_token(T0, token.token, own, false).unwrap_err().status, 404);
    let late = runner(org(), "late", &["x"]);
    assert_eq!(hub.register_with_token(token.expires_ms, token.token, late, false).unwrap_err().status, 404);
}

// FACTS §2: a queued job can sit in a run that is in progress.
#[test]
fn open_jobs_are_found_in_runs_of_every_open_state() {
    let mut hub = hub();
    let (job, _) = hub.running();
    let run = hub.true_job(job).unwrap().facts.run_id;
    let beside = hub.submit(T0, NewJob::new(&repo(), "test", &["linux"]).in_run(run));
    let waiting = hub.submit(T0, NewJob::new(&repo(), "deploy", &["linux"]).in_environment("prod"));
    let queued = hub.job_of(&["linux"]);
    let state = |hub: &mut super::Hub, status| hub.runs(T0, &repo(), Some(status), 1, 100).unwrap().total;
    assert_eq!([Shown::InProgress, Shown::Queued, Shown::Waiting].map(|it| state(&mut hub, it)), [1, 1, 1]);
    let open = hub.open_jobs(T0, &repo()).unwrap();
    let mut ids: Vec<_> = open.iter().map(|job| job.facts.id).collect();
    ids.sort();
    assert_eq!(ids, [job, beside, waiting, queued]);
}

#[test]
fn a_run_is_in_progress_between_two_of_its_jobs() {
    let mut hub = hub();
    let (job, id) = hub.running();
    let run = hub.true_job(job).unwrap().facts.run_id;
    hub.submit(T0, NewJob::new(&repo(), "test", &["linux"]).in_run(run));
    hub.finish(T0, job, id, Conclusion::Success).unwrap();
    assert_eq!(hub.runs(T0, &repo(), Some(Shown::InProgress), 1, 100).unwrap().total, 1);
}

#[test]
fn a_job_is_read_by_its_id() {
    let mut hub = hub();
    let (job, id) = hub.running();
    let read = hub.job(T0, &repo(), job).unwrap();
    assert_eq!(read.input(true), JobInput::InProgress { runner: "r-1".into() });
    hub.finish(T0, job, id, Conclusion::Success).unwrap();
    let input = JobInput::Completed { conclusion: Conclusion::Success, runner: "r-1".into() };
    assert_eq!(hub.job(T0, &repo(), job).unwrap().input(true), input);
    assert_eq!(hub.job(T0, &repo(), fleet::ids::JobId(1)).unwrap_err().status, 404);
    let queued = hub.job_of(&["linux"]);
    assert_eq!(hub.job(T0, &repo(), queued).unwrap().input(true), JobInput::QueuedDirect);
}

// FACTS §2: 5 000 requests an hour; `x-ratelimit-reset` tells when it goes on.
#[test]
fn the_primary_limit_refuses_until_its_reset() {
    let mut hub = hub();
    hub.faults.rest_rate_primary = Some(3);
    for _ in 0..3 {
        assert!(hub.repositories(T0, "acme", 1, 100).is_ok());
    }
    let error = hub.repositories(T0, "acme", 1, 100).unwrap_err();
    assert_eq!((error.status, error.ratelimit_remaining), (403, Some(0)));
    let reset_ms = error.ratelimit_reset_s.unwrap() * 1_000;
    assert_eq!(reset_ms, T0 + 3_600_000);
    assert!(hub.repositories(reset_ms, "acme", 1, 100).is_ok());
    assert_eq!(hub.rate(reset_ms).remaining(), 2);
}

// FACTS §2: 900 points a minute, GET 1, POST and DELETE 5: at most 180 JIT calls.
#[test]
fn the_secondary_limit_allows_180_jit_configs_a_minute() {
    let mut hub = hub();
    hub.faults.rest_rate_secondary = Some(900);
    let made = (0..200).filter(|n| hub.jit_config(T0, runner(org(), &format!("r-{n}"), &["x"])).is_ok()).count();
    assert_eq!(made, 180);
    let error = hub.jit_config(T0, runner(org(), "late", &["x"])).unwrap_err();
    assert_eq!((error.status, error.retry_after_s), (403, Some(60)));
    assert!(hub.jit_config(T0 + 60_000, runner(org(), "late", &["x"])).is_ok());
}
