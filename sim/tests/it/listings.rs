//! What GitHub shows of runners is not always so: `busy` that reads false at work, runners that are missing from a page,
//! registrations that are gone. Nobody at work is stopped for that, and a ghost is.

use std::collections::BTreeSet;

use fleet::{
    effect::NoticeKind,
    ids::{JobId, Repo, Scope},
    policy::{Owner, Policy},
};
use sim::{
    hub::faults::{HubFaults, seen},
    swarm::{
        profile::Profile,
        scene::Scene,
        story::{Story, Told},
    },
};

const LINUX: &[&str] = &["self-hosted", "linux"];
const MINUTE: u64 = 60_000;

/// Four long jobs, looked at by many sweeps. The world sees to it that none is stopped at work.
fn long_jobs(faults: impl FnOnce(&mut HubFaults)) -> Told {
    Story::calm().faults(faults).run(|world| async move {
        let jobs: Vec<JobId> = (0..4).map(|i| world.push(["acme/web", "globex/one"][i % 2], LINUX)).collect();
        jobs.iter().for_each(|job| world.lasts(*job, 30 * MINUTE));
        for job in jobs {
            world.until_done(job).await;
        }
    })
}

#[test]
fn a_runner_that_is_shown_as_not_busy_goes_on() {
    let told = long_jobs(|faults| faults.busy_lie_permille = 1_000);
    assert!(told.faults[seen::BUSY_LIE] > 0);
    assert_eq!((told.started, told.faults.get(seen::BUSY_LIE_DELETED)), (4, None));
}

#[test]
fn a_runner_that_is_missing_from_the_list_goes_on() {
    let told = long_jobs(|faults| faults.list_drop_permille = 1_000);
    assert!(told.faults[seen::LIST_DROPPED] > 0);
    assert_eq!(told.started, 4);
}

/// Its boot deadline passes while it works, because nothing of what it and GitHub said has arrived.
#[test]
fn a_runner_that_github_shows_is_not_taken_for_one_that_never_booted() {
    let told = Story::rough()
        .profile(|profile| (profile.report_lost, profile.all_lost) = (1_000, true))
        .faults(|faults| faults.all_lost = true)
        .run(|world| async move {
            let job = world.push("acme/web", LINUX);
            world.lasts(job, 60 * MINUTE);
            world.until_done(job).await;
        });
    assert_eq!(told.started, 1);
}

/// More open runs than a listing reads: each job is found, none is doubted because its run was not read, and GitHub is
/// not asked for more than it allows.
#[test]
fn hundreds_of_open_runs_are_read_in_turns() {
    let crowd = |policy: &mut Policy| {
        policy.max = 1_000;
        policy.classes[0].max = 1_000;
    };
    let quick = |profile: &mut Profile| (profile.all_lost, profile.engine_rates) = (true, true);
    let limited = |faults: &mut HubFaults| (faults.all_lost, faults.rest_rate_secondary) = (true, Some(900));
    let story = Story::rough().policy(crowd).profile(quick).faults(limited).may_tell(NoticeKind::PoolStarved);
    let told = story.run(|world| async move {
        let jobs: Vec<JobId> = (0..920).map(|_| world.push("globex/one", LINUX)).collect();
        jobs.iter().for_each(|job| world.lasts(*job, 40 * MINUTE));
        world.pass(30 * MINUTE).await;
        assert_eq!((world.machines(), world.asked("read job")), (920, 0));
        for job in jobs {
            world.until_done(job).await;
        }
    });
    // What is known of most jobs is minutes old: when all end at once, some that have ended are still given a machine.
    assert!(told.started <= 1_150, "{} machines for 920 jobs", told.started);
}

/// Deletes the registration of the only runner, as a person may do on GitHub's page.
fn unregister(world: &Scene) {
    let scope = Scope::Repo(Repo::parse("acme/web").expect("a repository"));
    let deleted = world.github(|hub, now_ms| {
        let id = hub.true_runners().next().map(|runner| runner.id)?;
        hub.delete_runner(now_ms, &scope, id).ok()
    });
    assert!(deleted.is_some(), "there is no registration");
}

#[test]
fn a_ghost_is_found_and_ended() {
    let told = Story::rough().profile(|profile| profile.agent_hangs = 1_000).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("it is registered", |world| !world.registrations().is_empty()).await;
        world.cancel(job);
        world.pass(MINUTE).await;
        unregister(&world);
        world.until_no_machine().await;
        assert!(world.age_ms() < 20 * MINUTE, "it took until minute {}", world.age_ms() / MINUTE);
    });
    assert_eq!(told.started, 1);
}

/// An owner's App was uninstalled: all that is asked of GitHub about it fails, sweep after sweep.
#[test]
fn an_owner_that_fails_keeps_no_other_from_being_served() {
    Story::rough().may_tell(NoticeKind::Denied).run(|world| async move {
        world.set_policy(|policy| {
            let lost = Repo::parse("aaaa/gone").expect("a repository");
            let owner = Owner { organization: false, repositories: Some([lost].into()) };
            policy.owners.insert("aaaa".into(), owner);
        });
        world.github(|hub, _| hub.faults.all_lost = true);
        let job = world.push("acme/web", LINUX);
        world.until_done(job).await;
        world.until_rest().await;
        assert!(world.age_ms() < 10 * MINUTE, "it took until minute {}", world.age_ms() / MINUTE);
    });
}

/// A function has minutes for a sweep, and GitHub may be slow: what one does not come to, the next ones do.
#[test]
fn a_sweep_that_is_cut_short_leaves_the_rest_to_the_next_ones() {
    let repos = (0..40).map(|i| Repo::parse(&format!("acme/web-{i}")).expect("a repository"));
    let repos: BTreeSet<Repo> = repos.collect();
    let many = |policy: &mut Policy| {
        (policy.max, policy.classes[0].max) = (40, 40);
        let owner = Owner { organization: false, repositories: Some(repos.clone()) };
        policy.owners.insert("acme".into(), owner);
    };
    let called = |profile: &mut Profile| {
        (profile.all_lost, profile.called, profile.sweep_lasts_ms) = (true, true, 3_000);
    };
    let story = Story::rough().policy(many).profile(called).faults(|faults| faults.all_lost = true);
    let told = story.run(|world| async move {
        let jobs: Vec<JobId> = repos.iter().map(|repo| world.push(repo.as_str(), LINUX)).collect();
        for job in jobs {
            world.until_done(job).await;
        }
        // Each looks at a few of 40 repositories, and at as many scopes.
        assert!(world.age_ms() > 3 * MINUTE, "one sweep came to all of them");
        assert!(world.age_ms() < 60 * MINUTE, "it took until minute {}", world.age_ms() / MINUTE);
    });
    // That a job has ended is seen many minutes late: by then it may have been given a second machine, never a third.
    assert!(told.started <= 80, "{} machines for 40 jobs", told.started);
}
