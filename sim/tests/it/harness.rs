//! The harness can fail: each of its looks catches what it is there for.

use fleet::ids::Scope;
use sim::{
    hub::model::{DEFAULT_GROUP, NewRunner},
    swarm::{
        story::{Story, story},
        wrong::Wrong,
    },
};

const LINUX: &[&str] = &["self-hosted", "linux"];

#[test]
#[should_panic(expected = "the script ended: never mind")]
fn it_catches_a_script_that_ends_early() {
    story(|_| async { panic!("never mind") });
}

#[test]
#[should_panic(expected = "a person was told job_interrupted")]
fn it_catches_a_notice_that_nobody_expects() {
    Story::rough().run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_row(job, |row| matches!(row.state, fleet::job::JobState::Running { .. })).await;
        world.kill_machine_of(job);
    });
}

#[test]
#[should_panic(expected = "nobody was told no_capacity")]
fn it_catches_a_notice_that_is_missing() {
    Story::calm().tells(fleet::effect::NoticeKind::NoCapacity).run(|_| async {});
}

#[test]
#[should_panic(expected = "BROKEN ERROR")]
fn it_catches_an_error_in_the_log() {
    story(|_| async { tracing::error!("a person must act") });
}

#[test]
#[should_panic(expected = "secrets-stay-secret")]
fn it_catches_a_secret_in_the_log() {
    story(|_| async { tracing::trace!(config = "jit-s3cr3t-7", "a trace is a log too") });
}

#[test]
#[should_panic(expected = "no-surplus: 1 machines ran no job")]
fn it_catches_a_core_that_launches_twice() {
    Story::calm().core(Wrong::DoublesLaunches.decider()).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_done(job).await;
    });
}

#[test]
#[should_panic(expected = "scale-to-zero: sr-story-someone-1 is still registered")]
fn it_catches_what_is_left() {
    story(|world| async move {
        world.github(|hub, now_ms| {
            let (scope, labels) = (Scope::Repo(fleet::ids::Repo::parse("acme/web").unwrap()), LINUX);
            let labels = fleet::labels::LabelSet::parse(labels).unwrap();
            let name = "sr-story-someone-1".into();
            let runner = NewRunner { scope, name, labels, group: DEFAULT_GROUP, ephemeral: true };
            let id = hub.register(now_ms, runner).unwrap();
            hub.connect(now_ms, id).unwrap();
        });
    });
}
