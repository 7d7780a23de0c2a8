//! Jobs that are not for us: nothing is started for them, and the reason is kept, once.

use fleet::ids::Repo;
use sim::swarm::story::story;

const LINUX: &[&str] = &["self-hosted", "linux"];
const HOUR: u64 = 3_600_000;

#[test]
fn a_job_that_is_not_for_us_is_set_aside_with_the_reason() {
    let told = story(|world| async move {
        let jobs = [
            (world.push("acme/web", &["ubuntu-latest"]), "does not ask for `self-hosted`"),
            (world.push("acme/web", &["self-hosted", "windows"]), "the closest is `small`: it lacks windows"),
            (world.push("evil/repo", LINUX), "evil"),
        ];
        world.pass(3 * HOUR).await;
        for (job, reason) in jobs {
            let why = world.why(job).await;
            // Once when it was announced, once when a sweep saw it first; not again by each sweep.
            assert!((1..=2).contains(&why.len()), "it is set aside again and again: {why:?}");
            assert!(why[0].contains(reason), "{why:?}");
        }
    });
    assert_eq!(told.started, 0);
}

#[test]
fn a_public_repository_is_not_served_unless_it_is_named() {
    story(|world| async move {
        let open = Repo::parse("acme/open").expect("a repository");
        world.github(|hub, _| hub.add_repo(&open, true));
        world.set_policy(|policy| {
            let acme = policy.owners.get_mut("acme").and_then(|owner| owner.repositories.as_mut());
            acme.expect("its repositories").insert(open.clone());
        });
        let job = world.push("acme/open", LINUX);
        world.pass(HOUR).await;
        let why = world.why(job).await;
        assert!(why.len() <= 2 && why[0].contains("is public"), "{why:?}");
        world.set_policy(|policy| {
            policy.public_allowed.insert(open.clone());
        });
        world.until_done(job).await;
    });
}
