//! No webhook tells of jobs, or only some do: controllers look for themselves, within a share of GitHub's limits.

use fleet::{
    effect::NoticeKind,
    ids::JobId,
    job::JobState,
    rota::{GITHUB_PER_HOUR, GITHUB_PER_MINUTE, Pace, SHARE_PERCENT},
};
use sim::swarm::{scene::Scene, story::Story};

const LINUX: &[&str] = &["self-hosted", "linux"];
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// What is added to the promise in these worlds: a call takes up to 600 ms here, a commit 20 ms.
const CALLS_MS: u64 = 2_000;

fn is_done(state: &JobState) -> bool {
    matches!(state, JobState::Done { .. })
}

/// How long it takes until a job that is pushed now has a row, milliseconds.
async fn seen_after(world: &Scene, repo: &str) -> (JobId, u64) {
    let pushed_ms = world.age_ms();
    let job = world.push(repo, LINUX);
    world.until_row(job, |_| true).await;
    (job, world.age_ms() - pushed_ms)
}

#[test]
fn without_webhooks_jobs_run_within_the_promised_delay() {
    let told = Story::calm().polling().run(|world| async move {
        world.pass(MINUTE).await;
        for (repo, pause_ms) in [("acme/web", 0), ("globex/one", 700), ("acme/web", 20_000), ("acme/api", 10 * MINUTE)]
        {
            world.pass(pause_ms).await;
            let promised_ms = world.outlook().worst_delay_ms;
            assert!(promised_ms <= 15_000, "{promised_ms} ms for four repositories");
            let (job, seen_ms) = seen_after(&world, repo).await;
            assert!(seen_ms <= promised_ms + CALLS_MS, "seen after {seen_ms} ms, promised {promised_ms}");
            world.until_row(job, |row| is_done(&row.state)).await;
        }
    });
    assert_eq!(told.started, 4);
}

#[test]
fn the_end_of_a_job_is_heard_without_webhooks_too() {
    Story::calm().polling().run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_done(job).await;
        let done_ms = world.age_ms();
        world.until_row(job, |row| is_done(&row.state)).await;
        assert!(world.age_ms() - done_ms < 20_000, "{} ms", world.age_ms() - done_ms);
    });
}

#[test]
fn an_approval_is_seen_without_webhooks() {
    Story::calm().polling().run(|world| async move {
        let job = world.push_guarded("acme/web", LINUX);
        world.until_row(job, |row| row.state == JobState::Waiting).await;
        world.pass(2 * MINUTE).await;
        world.approve(job);
        world.until_done(job).await;
    });
}

#[test]
fn webhook_and_look_at_the_same_job_start_one_runner() {
    // So often that a look and a webhook meet all the time.
    let pace = Pace { active_ms: 200, quiet_ms: 200, covered_ms: 200, ..Pace::default() };
    for seed in 0..25 {
        let story = Story::calm().seed(seed).pace(pace).profile(|profile| profile.polls = true);
        let told = story.run(|world| async move {
            let mut jobs = Vec::new();
            for pause_ms in [0, 1, 150, 400, 3_000] {
                world.pass(pause_ms).await;
                jobs.push(world.push("acme/web", LINUX));
            }
            for job in jobs {
                world.until_row(job, |row| is_done(&row.state)).await;
            }
        });
        assert_eq!(told.started, 5, "seed {seed}: not one runner for each job");
        assert!(told.asked["list jobs"] > 5, "seed {seed}: nobody looked");
    }
}

#[test]
fn where_webhooks_arrive_looks_are_as_seldom_as_sweeps() {
    Story::calm().profile(|profile| profile.polls = true).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_row(job, |row| is_done(&row.state)).await;
        let before = world.asked("glance") + world.asked("list jobs");
        world.pass(30 * MINUTE).await;
        // Both repositories of the owner once a minute; those of the other owner, who never had a job, go on.
        let outlook = world.outlook();
        assert_eq!((outlook.repositories, outlook.by_webhook), (4, 2));
        let looks = world.asked("glance") + world.asked("list jobs") - before;
        let quiet = 2 * 30 * MINUTE / Pace::default().quiet_ms;
        assert!(looks <= quiet + 2 * 30 + 60, "{looks} looks");
    });
}

#[test]
fn a_hook_that_is_taken_away_is_noticed_at_the_first_job() {
    Story::calm().profile(|profile| profile.polls = true).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_row(job, |row| is_done(&row.state)).await;
        world.github(|hub, _| hub.faults.lose_permille = 1_000);
        world.pass(MINUTE).await;
        // The first is found a minute late; then its repository is looked at as if there had never been a webhook.
        let (first, _) = seen_after(&world, "acme/web").await;
        world.until_row(first, |row| is_done(&row.state)).await;
        world.pass(MINUTE).await;
        let (_, seen_ms) = seen_after(&world, "acme/web").await;
        assert!(seen_ms < 15_000, "{seen_ms} ms");
        assert_eq!(world.outlook().by_webhook, 1);
    });
}

#[test]
fn one_active_repository_of_fifty_is_seen_sooner() {
    Story::calm().polling().more_repositories(50).run(|world| async move {
        world.pass(10 * MINUTE).await;
        let quiet = world.outlook();
        assert!(quiet.worst_delay_ms < 40_000, "{quiet:?}");
        let (job, _) = seen_after(&world, "acme/r7").await;
        world.until_row(job, |row| is_done(&row.state)).await;
        assert_eq!(world.outlook().active, 1);
        for _ in 0..5 {
            world.pass(20_000).await;
            let (_, seen_ms) = seen_after(&world, "acme/r7").await;
            assert!(seen_ms <= Pace::default().active_ms + 2 * CALLS_MS, "{seen_ms} ms");
        }
    });
}

#[test]
fn fifty_repositories_share_a_stated_part_of_the_limits() {
    Story::calm().polling().more_repositories(50).run(|world| async move {
        for _ in 0..3 {
            let (calls, lists) = (world.calls(), world.asked("list runners"));
            for i in 0..60_u64 {
                world.push(&format!("acme/r{}", i * 7 % 50), LINUX);
                world.pass(MINUTE).await;
            }
            let made = world.calls().made - calls.made;
            let charged = made - (world.calls().unchanged - calls.unchanged);
            // Beside looks there are the sweeps' lists of runners, and what each job's runner asks.
            let others = world.asked("list runners") - lists + 60 * 6;
            let share = |limit: u32| u64::from(limit * SHARE_PERCENT / 100);
            assert!(made <= 60 * share(GITHUB_PER_MINUTE) + others, "{made} calls an hour");
            assert!(charged <= share(GITHUB_PER_HOUR) + others, "{charged} charged calls an hour");
        }
    });
}

#[test]
fn where_nothing_changes_looks_cost_nothing() {
    Story::calm().polling().run(|world| async move {
        world.pass(10 * MINUTE).await;
        let (before, looks) = (world.calls(), world.asked("glance"));
        world.pass(HOUR).await;
        let (after, sweeps) = (world.calls(), 60);
        assert!(world.asked("glance") - looks > 2_000, "{} glances", world.asked("glance") - looks);
        let charged = (after.made - before.made) - (after.unchanged - before.unchanged);
        // What is left are the sweeps' lists of registered runners and failed deliveries.
        assert!(charged <= sweeps * 2 * 4, "{charged} of {} calls", after.made - before.made);
    });
}

#[test]
fn a_store_that_is_lost_learns_of_waiting_jobs_again() {
    Story::rough().may_tell(NoticeKind::TaskAdopted).polling().run(|world| async move {
        let jobs: Vec<JobId> = (0..8).map(|_| world.push("acme/web", LINUX)).collect();
        world.until_running(jobs[0]).await;
        world.empty_store();
        for job in jobs {
            world.until_done(job).await;
        }
    });
}
