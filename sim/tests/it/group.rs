//! A runner group of the organisation does not let a repository in: its runners come up, wait and get nothing. Nothing
//! on GitHub's side says so, but three fruitless runners in a row do.

use fleet::effect::NoticeKind;
use sim::{
    hub::{faults::seen, model::DEFAULT_GROUP},
    swarm::{scene::Scene, story::Story},
};

const LINUX: &[&str] = &["self-hosted", "linux"];
const MINUTE: u64 = 60_000;

/// Lets one repository of the organisation use the default group, or all.
fn only(world: &Scene, repo: Option<&str>) {
    world.github(|hub, _| {
        let group = hub.owner_mut("globex").and_then(|owner| owner.group_mut(DEFAULT_GROUP)).expect("a group");
        group.repos = repo.and_then(fleet::ids::Repo::parse).map(|repo| [repo].into());
    });
}

#[test]
fn three_fruitless_runners_hold_the_pool_back_and_a_person_is_told() {
    let told = Story::rough().tells(NoticeKind::PoolStarved).run(|world| async move {
        only(&world, Some("globex/two"));
        let job = world.push("globex/one", LINUX);
        world.until("a person is told", |world| !world.told(NoticeKind::PoolStarved).is_empty()).await;
        assert_eq!(world.started(), 3);
        let text = &world.told(NoticeKind::PoolStarved)[0];
        assert!(text.contains("small@globex") && text.contains("runner group"), "{text}");

        // The pauses grow up to an hour, so few are started in vain.
        world.pass(2 * 60 * MINUTE).await;
        assert!(world.started() <= 14, "{} runners in two hours", world.started());
        let later = world.push("globex/one", LINUX);
        world.until_row(later, |row| row.pool.is_some()).await;
        let why = world.why(later).await;
        assert!(why[0].contains("runner group"), "{why:?}");

        // Somebody lets the repository in.
        only(&world, None);
        world.until_done(job).await;
        world.until_done(later).await;
    });
    assert!(told.faults[seen::GROUP_REFUSED] > 0);
}

#[test]
fn the_repository_that_the_group_allows_is_served_all_the_same() {
    Story::rough().may_tell(NoticeKind::PoolStarved).run(|world| async move {
        only(&world, Some("globex/two"));
        let stuck = world.push("globex/one", LINUX);
        world.pass(MINUTE).await;
        for _ in 0..3 {
            let job = world.push("globex/two", LINUX);
            world.until_done(job).await;
        }
        only(&world, None);
        world.until_done(stuck).await;
    });
}
