//! The life of a registration.

use fleet::job::Conclusion;

use super::super::jobs::Refused;
use super::super::model::{Cause, Gone, NewRunner, Session, Status};
use super::{T0, hub, org, runner};

#[test]
fn one_session_at_a_time() {
    let mut hub = hub();
    let id = hub.connected("r-1", &["linux"]);
    assert_eq!(hub.connect(T0, id), Err(Refused::Conflict));
    hub.disconnect(T0, id);
    assert_eq!(hub.connect(T0, id), Ok(()));
}

// FACTS §2: ephemeral runners that do not connect vanish after 1 day, others after 14.
#[test]
fn a_runner_that_does_not_connect_vanishes() {
    let mut hub = hub();
    let day_ms = 86_400_000;
    let short = hub.register(T0, runner(org(), "short", &["linux"])).unwrap();
    let long = NewRunner { ephemeral: false, ..runner(org(), "long", &["linux"]) };
    let long = hub.register(T0, long).unwrap();
    let online = hub.connected("online", &["linux"]);
    hub.tick(T0 + day_ms);
    assert_eq!(hub.true_runner(short).unwrap().gone, Some((T0 + day_ms, Gone::Unconnected)));
    hub.tick(T0 + 14 * day_ms);
    assert!(!hub.true_runner(long).unwrap().is_live());
    assert!(hub.true_runner(online).unwrap().is_live());
}

#[test]
fn the_job_of_a_runner_that_is_silent_for_ten_minutes_fails() {
    let mut hub = hub();
    let (job, id) = hub.running();
    hub.lost(T0 + 1_000, id);
    hub.tick(T0 + 600_999);
    assert!(hub.true_job(job).unwrap().is_running());
    hub.tick(T0 + 601_000);
    let done = Status::Done { conclusion: Conclusion::Failure, cause: Cause::RunnerLost };
    assert_eq!(hub.true_job(job).unwrap().status(), done);
    assert!(!hub.true_runner(id).unwrap().is_live());
}

#[test]
fn heartbeats_keep_a_job_alive_where_they_are_asked_for() {
    let mut hub = hub();
    hub.times.assume_heartbeats = false;
    let (job, id) = hub.running();
    for minute in 1..30 {
        hub.tick(T0 + minute * 60_000);
        hub.heartbeat(T0 + minute * 60_000, id).unwrap();
    }
    assert_eq!(hub.runs_on(id), Some(job));
    hub.tick(T0 + (29 + 10) * 60_000);
    assert!(hub.true_job(job).unwrap().is_done());
}

#[test]
fn a_silent_idle_runner_is_shown_offline_and_given_nothing() {
    let mut hub = hub();
    let id = hub.connected("r-1", &["linux"]);
    hub.lost(T0, id);
    assert!(hub.runner(T0, &org(), id).unwrap().online);
    hub.tick(T0 + 60_000);
    assert!(!hub.runner(T0 + 60_000, &org(), id).unwrap().online);
    assert_eq!(hub.true_runner(id).unwrap().session, Session::Closed { at_ms: T0 + 60_000 });
    let job = hub.job_of(&["linux"]);
    hub.tick(T0 + 60_000);
    assert_eq!(hub.queued().collect::<Vec<_>>(), [job]);
}

#[test]
fn a_runner_that_is_not_ephemeral_takes_one_job_after_the_other() {
    let mut hub = hub();
    let id = hub.register(T0, NewRunner { ephemeral: false, ..runner(org(), "r", &["linux"]) }).unwrap();
    hub.connect(T0, id).unwrap();
    for at_ms in [T0, T0 + 10] {
        let job = hub.job_of(&["linux"]);
        hub.tick(at_ms);
        hub.start(at_ms, job, id).unwrap();
        hub.finish(at_ms + 5, job, id, Conclusion::Success).unwrap();
    }
    assert!(hub.true_runner(id).unwrap().is_live());
}

#[test]
fn only_the_given_job_can_be_started() {
    let mut hub = hub();
    let (job, id) = hub.running();
    let other = hub.job_of(&["linux"]);
    assert_eq!(hub.start(T0, other, id), Err(Refused::NotYours));
    assert_eq!(hub.start(T0, job, id), Err(Refused::NotYours));
    assert_eq!(hub.finish(T0, other, id, Conclusion::Success), Err(Refused::NotYours));
}
