//! A class whose machines cannot reach the control plane: they are told their credentials at the launch, ask nothing and
//! report nothing. What is known of them comes from GitHub and the engine alone.

use fleet::{class::CredentialKind, effect::NoticeKind};
use sim::swarm::story::Story;

const LINUX: &[&str] = &["self-hosted", "linux"];

fn without_a_route() -> Story {
    Story::calm().policy(|policy| policy.classes[0].credentials = CredentialKind::Env)
}

#[test]
fn a_machine_without_a_word_serves_its_job_and_ends() {
    let told = without_a_route().run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until_done(job).await;
        world.until_no_machine().await;
    });
    assert_eq!((told.started, told.asked.get("jit")), (1, Some(&1)));
}

#[test]
fn a_launch_whose_answer_was_lost_is_repeated_with_a_new_name_and_starts_one_machine() {
    let told = without_a_route().run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world
            .until("credentials were asked for", |world| world.runners().iter().any(|runner| runner.claims == 1))
            .await;
        world.until("GitHub made them", |world| world.asked("jit") == 1).await;
        world.profile(|profile| profile.answer_lost = 1_000);
        world.until("its launch was tried again", |world| world.runners().iter().any(|runner| runner.claims > 1)).await;
        world.profile(|profile| profile.answer_lost = 0);
        world.until_done(job).await;
        world.until_no_machine().await;
    });
    assert_eq!(told.started, 1);
}

#[test]
fn without_webhooks_the_sweep_sees_it_connect_work_and_end() {
    let told = without_a_route().faults(|faults| faults.all_lost = true).run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.lasts(job, 180_000);
        world.until_done(job).await;
        world.until_no_machine().await;
    });
    assert_eq!(told.started, 1);
}

#[test]
fn nothing_is_started_before_github_gave_credentials() {
    let story = without_a_route().faults(|faults| faults.rest_5xx_permille = 1_000);
    let told = story.may_tell(NoticeKind::EffectFailing).run(|world| async move {
        let job = world.push("globex/one", LINUX);
        world.pass(120_000).await;
        assert_eq!(world.machines(), 0);
        world.github(|hub, _| hub.faults.rest_5xx_permille = 0);
        world.until_done(job).await;
    });
    assert_eq!(told.started, 1);
}

#[test]
fn a_job_that_is_cancelled_while_github_fails_costs_no_machine() {
    let story = without_a_route().faults(|faults| faults.rest_5xx_permille = 1_000);
    let told = story.may_tell(NoticeKind::EffectFailing).run(|world| async move {
        let job = world.push("globex/one", LINUX);
        world.pass(60_000).await;
        world.cancel(job);
        world.github(|hub, _| hub.faults.rest_5xx_permille = 0);
        world.until("its runner is given up", |world| world.runners().iter().all(|it| !it.state.is_live())).await;
    });
    assert_eq!(told.started, 0);
}

/// Each runner that was given up left a clean-up behind which GitHub refused for ever.
#[test]
fn while_github_refuses_all_nothing_piles_up() {
    let story = without_a_route().may_tell(NoticeKind::EffectFailing).may_tell(NoticeKind::Denied);
    let told = story.run(|world| async move {
        world.github(|hub, _| hub.faults.rest_denied = true);
        let job = world.push("globex/one", LINUX);
        let mut most = 0;
        for _ in 0..12 {
            world.pass(3_600_000).await;
            most = most.max(world.effects());
        }
        assert!(most <= 4, "{most} effects wait");
        world.github(|hub, _| hub.faults.rest_denied = false);
        world.until_done(job).await;
    });
    assert_eq!(told.started, 1);
}

/// Between the row and the launch minutes may pass, and only the row knew of them.
#[test]
fn a_machine_whose_row_was_lost_lives_its_whole_lifetime() {
    const MINUTE: u64 = 60_000;
    let story = without_a_route().policy(|policy| policy.classes[0].max_lifetime_ms = 30 * MINUTE);
    let story = story.may_tell(NoticeKind::EffectFailing).tells(NoticeKind::TaskAdopted);
    let told = story.faults(|faults| faults.rest_5xx_permille = 1_000).run(|world| async move {
        let job = world.push("globex/one", LINUX);
        world.lasts(job, 25 * MINUTE);
        world.pass(10 * MINUTE).await;
        world.github(|hub, _| hub.faults.rest_5xx_permille = 0);
        world.until_running(job).await;
        world.empty_store();
        world.until_done(job).await;
    });
    assert_eq!(told.started, 1);
}

#[test]
fn jobs_that_are_cancelled_while_the_rate_budget_is_empty_cost_no_machine() {
    let story = without_a_route().profile(|profile| profile.launches_at_once = 1_000).policy(|policy| {
        policy.max = 1_000;
        policy.classes[0].max = 1_000;
    });
    let told = story.run(|world| async move {
        let jobs: Vec<_> = (0..300).map(|_| world.push("acme/web", LINUX)).collect();
        world.until("GitHub's rate is used up", |world| world.machines() > 150).await;
        jobs.iter().for_each(|job| world.cancel(*job));
        world.until_no_machine().await;
    });
    assert!(told.started < 220, "{} of 300 jobs that nobody wanted any more were given a machine", told.started);
}

#[test]
fn a_surplus_machine_ends_at_its_idle_time() {
    let told = without_a_route().run(|world| async move {
        let job = world.push("acme/web", LINUX);
        world.until("a machine was started", |world| world.machines() == 1).await;
        world.cancel(job);
        world.until_no_machine().await;
    });
    assert_eq!(told.started, 1);
}
