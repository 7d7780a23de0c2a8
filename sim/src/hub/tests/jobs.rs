//! The life of a job.

use fleet::ids::Scope;
use fleet::job::{Conclusion, JobInput};

use super::super::Hub;
use super::super::jobs::Refused;
use super::super::model::{Cause, NewJob, Status};
use super::{T0, hub, org, repo, runner};

#[test]
fn a_job_is_queued_runs_on_an_idle_runner_and_ends_with_its_registration() {
    let mut hub = hub();
    let (job, id) = hub.running();
    assert_eq!(hub.runs_on(id), Some(job));
    hub.finish(T0 + 5, job, id, Conclusion::Success).unwrap();
    assert_eq!(hub.actions(T0 + 5), ["queued/queued", "in_progress/in_progress", "completed/completed"]);
    // An ephemeral runner is removed when its job completes.
    assert_eq!(hub.true_runners().count(), 0);
    assert_eq!(hub.open_count(), 0);
    assert_eq!(hub.finish(T0 + 6, job, id, Conclusion::Success), Err(Refused::Gone));
}

// FACTS §1: ids are beyond 2^32.
#[test]
fn ids_are_larger_than_32_bits() {
    let mut hub = hub();
    let job = hub.job_of(&["linux"]);
    assert!(job.0 > u64::from(u32::MAX));
    assert!(hub.true_job(job).unwrap().facts.run_id.0 > u64::from(u32::MAX));
}

// FACTS §1: an environment job sends `queued` twice; the first has the status `waiting`.
#[test]
fn an_environment_job_waits_for_its_approval_and_sends_queued_twice() {
    let mut hub = hub();
    let job = hub.submit(T0, NewJob::new(&repo(), "deploy", &["linux"]).in_environment("prod"));
    let id = hub.connected("r-1", &["linux"]);
    hub.tick(T0);
    assert_eq!(hub.assigned(id), None);
    let first = hub.due(T0);
    assert_eq!(first.len(), 2);
    for delivery in &first {
        assert_eq!(delivery.job.input(false), JobInput::Waiting);
        assert!(delivery.payload()["deployment"]["environment"] == "prod");
    }
    assert!(hub.approve(T0 + 10, job));
    assert!(!hub.approve(T0 + 10, job));
    hub.tick(T0 + 10);
    assert_eq!(hub.assigned(id), Some(job));
    assert_eq!(hub.actions(T0 + 10), ["queued/queued"]);
}

#[test]
fn a_refused_approval_fails_the_job() {
    let mut hub = hub();
    let job = hub.submit(T0, NewJob::new(&repo(), "deploy", &["linux"]).in_environment("prod"));
    assert!(hub.reject(T0 + 1, job));
    let done = Status::Done { conclusion: Conclusion::Failure, cause: Cause::Rejected };
    assert_eq!(hub.true_job(job).unwrap().status(), done);
}

// FACTS §1: cancelled before it started: `completed` with no `in_progress` and no runner.
#[test]
fn a_job_cancelled_before_its_start_ends_without_a_runner() {
    let mut hub = hub();
    let job = hub.job_of(&["linux"]);
    let id = hub.connected("r-1", &["linux"]);
    hub.tick(T0);
    assert!(hub.cancel(T0 + 1, job));
    let sent = hub.due(T0 + 1);
    assert_eq!(sent.len(), 2);
    let input = JobInput::Completed { conclusion: Conclusion::Cancelled, runner: "".into() };
    assert_eq!(sent[1].job.input(false), input);
    // Its runner is still there and can have another job.
    let other = hub.job_of(&["linux"]);
    hub.tick(T0 + 2);
    assert_eq!(hub.assigned(id), Some(other));
}

// FACTS §1: skipped: `completed` may come with no `queued` before.
#[test]
fn a_skipped_job_only_completes() {
    let mut hub = hub();
    let job = NewJob { skipped: true, ..NewJob::new(&repo(), "maybe", &["linux"]) };
    hub.submit(T0, job);
    assert_eq!(hub.actions(T0), ["completed/completed"]);
}

#[test]
fn a_running_job_is_asked_to_end_and_ended_by_the_server_after_five_minutes() {
    let mut hub = hub();
    let (job, _) = hub.running();
    assert!(hub.cancel(T0, job));
    assert!(hub.cancel_asked(job));
    hub.tick(T0 + 299_999);
    assert!(hub.true_job(job).unwrap().is_running());
    hub.tick(T0 + 300_000);
    let done = Status::Done { conclusion: Conclusion::Cancelled, cause: Cause::CancelForced };
    assert_eq!(hub.true_job(job).unwrap().status(), done);
}

// FACTS §2: `POST …/jobs/{id}/rerun` runs one job again; a new attempt of the run, under a new job id.
#[test]
fn a_job_that_ended_can_be_run_again_and_an_open_one_cannot() {
    let mut hub = hub();
    let (job, id) = hub.running();
    assert_eq!(hub.rerun_job(T0, &repo(), job).unwrap_err().status, 403);
    hub.finish(T0, job, id, Conclusion::Failure).unwrap();
    let again = hub.rerun_job(T0 + 1, &repo(), job).unwrap();
    let (old, new) = (hub.true_job(job).unwrap(), hub.true_job(again).unwrap());
    assert_eq!((old.facts.run_id, new.facts.run_attempt), (new.facts.run_id, 2));
    let run = new.facts.run_id;
    let latest = hub.run_jobs(T0 + 1, &repo(), run, 1, 100).unwrap();
    assert_eq!(latest.items.iter().map(|job| job.facts.id).collect::<Vec<_>>(), [again]);
}

// FACTS §1: it fails after 24 h in the queue.
#[test]
fn a_job_that_no_runner_takes_fails_after_a_day() {
    let mut hub = hub();
    let job = hub.job_of(&["gpu"]);
    hub.tick(T0 + 86_400_000 - 1);
    assert!(!hub.true_job(job).unwrap().is_done());
    hub.tick(T0 + 86_400_000);
    let done = Status::Done { conclusion: Conclusion::Failure, cause: Cause::QueueTimeout };
    assert_eq!(hub.true_job(job).unwrap().status(), done);
}

// FACTS §1: a job that the assigned runner does not pick up within 60 s is queued again.
#[test]
fn a_job_that_is_not_picked_up_is_queued_again() {
    let mut hub = hub();
    let job = hub.job_of(&["linux"]);
    let id = hub.connected("r-1", &["linux"]);
    hub.tick(T0);
    hub.lost(T0 + 1, id);
    hub.tick(T0 + 59_999);
    assert!(hub.queued().next().is_none());
    hub.tick(T0 + 60_000);
    // The dead runner is believed alive for a moment more, and then no longer.
    hub.tick(T0 + 130_000);
    assert_eq!(hub.queued().collect::<Vec<_>>(), [job]);
    // No webhook tells of it.
    assert_eq!(hub.actions(T0 + 130_000), ["queued/queued"]);
    assert_eq!(hub.start(T0 + 130_000, job, id), Err(Refused::NotYours));
}

// FACTS §1: any idle runner whose labels include all of the job's, compared without case.
#[test]
fn labels_decide_without_case_and_a_runner_may_have_more() {
    let mut hub = hub();
    let small = hub.connected("small", &["linux"]);
    let large = hub.connected("large", &["linux", "GPU", "arm64"]);
    let job = hub.job_of(&["Linux", "gpu"]);
    let odd = hub.job_of(&["a label"]);
    hub.tick(T0);
    assert_eq!((hub.assigned(small), hub.assigned(large)), (None, Some(job)));
    assert_eq!(hub.queued().collect::<Vec<_>>(), [odd]);
}

// FACTS §1: nothing pins a runner to the job that it was started for.
#[test]
fn any_fitting_runner_may_get_the_job() {
    let winner = |seed: u64| {
        let mut hub = Hub::new(seed);
        hub.add_repo(&repo(), false);
        let ids: Vec<_> = (0..4).map(|n| hub.connected(&format!("r-{n}"), &["linux"])).collect();
        hub.job_of(&["linux"]);
        hub.tick(T0);
        ids.into_iter().position(|id| hub.assigned(id).is_some()).unwrap()
    };
    let winners: std::collections::BTreeSet<usize> = (0..40).map(winner).collect();
    assert_eq!(winners.len(), 4);
}

// FACTS §2: runners of a repository serve that one only; an organisation's serve all of its repositories.
#[test]
fn scope_decides_which_repositories_a_runner_serves() {
    let mut hub = hub();
    let other = fleet::ids::Repo::parse("acme/api").unwrap();
    hub.add_repo(&other, false);
    let own = hub.register(T0, runner(Scope::Repo(other), "own", &["linux"])).unwrap();
    hub.connect(T0, own).unwrap();
    let job = hub.job_of(&["linux"]);
    hub.tick(T0);
    assert_eq!(hub.assigned(own), None);
    let all = hub.register(T0, runner(org(), "all", &["linux"])).unwrap();
    hub.connect(T0, all).unwrap();
    hub.tick(T0);
    assert_eq!(hub.assigned(all), Some(job));
}

// FACTS §2: which groups may serve a repository; a group also has `allows_public_repositories`.
#[test]
fn a_group_may_refuse_a_repository() {
    let mut hub = hub();
    let open = fleet::ids::Repo::parse("acme/open").unwrap();
    hub.add_repo(&open, true);
    let id = hub.connected("r-1", &["linux"]);
    let job = hub.submit(T0, NewJob::new(&open, "build", &["linux"]));
    hub.tick(T0);
    assert_eq!(hub.assigned(id), None);
    assert!(hub.groups(T0, "acme", Some("open")).unwrap().is_empty());
    hub.owner_mut("acme").unwrap().groups[0].allows_public = true;
    hub.job_of(&["other"]);
    hub.tick(T0);
    assert_eq!(hub.assigned(id), Some(job));
    assert_eq!(hub.faults_seen["group refused"], 1);
}
