//! Machines that never boot, claims whose answers are lost, listeners that never connect.

use fleet::effect::NoticeKind;
use sim::swarm::{scene::Scene, story::Story};

const LINUX: &[&str] = &["self-hosted", "linux"];

/// Whether a fault has occurred so often.
fn saw(world: &Scene, fault: &str, times: u64) -> bool {
    world.faults(fault) >= times
}

#[test]
fn a_machine_that_never_boots_is_stopped_and_replaced() {
    let told =
        Story::rough().profile(|it| it.boot_hangs = 1_000).tells(NoticeKind::BootOverdue).run(|world| async move {
            let job = world.push("acme/web", LINUX);
            world.until("a machine hangs", |world| saw(world, "machine hangs at boot", 1)).await;
            world.profile(|profile| profile.boot_hangs = 0);
            world.until_done(job).await;
            assert_eq!(world.told(NoticeKind::BootOverdue).len(), 1);
        });
    assert_eq!(told.started, 2);
}

#[test]
fn a_machine_that_dies_at_boot_is_replaced_at_once() {
    let told = Story::rough().profile(|it| it.boot_dies = 1_000).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("a machine died", |world| saw(world, "machine dies at boot", 1)).await;
        world.profile(|profile| profile.boot_dies = 0);
        world.until_done(job).await;
        assert!(world.age_ms() < 5 * 60_000, "only after {} ms", world.age_ms());
    });
    assert_eq!(told.started, 2);
}

#[test]
fn an_image_that_never_boots_is_tried_ever_more_rarely() {
    let told =
        Story::rough().profile(|it| it.boot_dies = 1_000).tells(NoticeKind::PoolStarved).run(|world| async move {
            let job = world.push("acme/web", LINUX);
            world.pass(60 * 60_000).await;
            let why = world.why(job).await;
            assert!(world.started() < 20, "{} machines in an hour", world.started());
            world.profile(|profile| profile.boot_dies = 0);
            world.until_done(job).await;
            assert!(!why.is_empty());
        });
    assert!(told.started > 3);
}

#[test]
fn a_lost_answer_to_a_claim_is_claimed_again_under_a_new_name() {
    let told = Story::calm().profile(|it| it.claim_lost = 1_000).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("two answers are lost", |world| saw(world, "claim answer lost", 2)).await;
        world.profile(|profile| profile.claim_lost = 0);
        world.until_done(job).await;
        let runners = world.runners();
        assert_eq!((runners.len(), runners[0].claims), (1, 3));
    });
    assert_eq!(told.started, 1);
}

#[test]
fn a_configuration_whose_answer_github_loses_is_asked_for_again() {
    let told = Story::calm().faults(|it| it.jit_lost_answer_permille = 1_000).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("two registrations", |world| world.registrations().len() == 2).await;
        world.github(|hub, _| hub.faults.jit_lost_answer_permille = 0);
        world.until_done(job).await;
    });
    assert_eq!(told.started, 1);
}

#[test]
fn a_listener_that_never_connects_is_replaced() {
    let told = Story::rough().profile(|it| it.never_connects = 1_000).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("it does not connect", |world| saw(world, "listener never connects", 1)).await;
        world.profile(|profile| profile.never_connects = 0);
        world.until_done(job).await;
    });
    assert_eq!(told.started, 2);
}
