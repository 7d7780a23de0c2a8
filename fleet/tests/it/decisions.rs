//! Decisions by example, on the core's own tables: what a person would try first.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    class::{Class, CredentialKind, Pool},
    decide::Moment,
    drain::Extent,
    effect::{Effect, LaunchSpec, NoticeKind, Pending},
    event::{Event, Outcome, Task},
    ids::{JobId, PoolId, Repo, RunId, RunnerName},
    job::{Conclusion, JobFacts, JobInput},
    labels::LabelSet,
    ledger::Ledger,
    policy::{Owner, Policy},
    runner::{Runner, RunnerInput, RunnerState},
    view::{Decision, Keys},
    wire::EndReason,
    wishes::Allow,
};

/// A store, a clock and a policy: enough to tell a story.
pub(crate) struct Desk {
    pub(crate) policy: Policy,
    pub(crate) ledger: Ledger,
    pub(crate) now_ms: u64,
    nonce: u64,
}

impl Desk {
    pub(crate) fn new(max: u32) -> Self {
        let class = Class { labels: LabelSet::parse(["self-hosted", "linux"]).unwrap(), ..Class::default() };
        let owner = Owner { organization: false, repositories: None };
        let policy = Policy {
            max,
            classes: vec![class],
            owners: BTreeMap::from([("acme".to_owned(), owner)]),
            ..Policy::default()
        };
        let mut desk = Self { policy, ledger: Ledger::new(false), now_ms: 1_000_000, nonce: 0 };
        desk.tell(&[Event::Inventory]);
        desk
    }

    pub(crate) fn decide(&mut self, events: &[Event]) -> Decision {
        self.nonce += 1;
        let view = self.ledger.load(&Keys::of(&self.policy, events), self.now_ms);
        fleet::decide(&self.policy, &view, events, Moment { now_ms: self.now_ms, nonce: self.nonce })
    }

    /// Handles events and looks who is next, as the controller does.
    pub(crate) fn tell(&mut self, events: &[Event]) -> Vec<Outcome> {
        let mut decision = self.decide(events);
        self.ledger.commit(&decision, self.now_ms).unwrap();
        let outcomes = std::mem::take(&mut decision.outcomes);
        while decision.again {
            decision = self.decide(&[Event::Balance]);
            self.ledger.commit(&decision, self.now_ms).unwrap();
        }
        outcomes
    }

    fn runner(&mut self, runner: &RunnerName, input: RunnerInput) -> Outcome {
        self.tell(&[Event::Runner { runner: runner.clone(), input }]).remove(0)
    }

    fn live(&self) -> Vec<Runner> {
        self.ledger.runners().filter(|runner| runner.state.is_live()).cloned().collect()
    }

    fn launches(&self) -> Vec<LaunchSpec> {
        let launch = |(_, pending): (_, &Pending)| {
            let Effect::Launch(spec) = &pending.effect else { return None };
            Some(LaunchSpec::clone(spec))
        };
        self.ledger.effects().filter_map(launch).collect()
    }

    fn effects(&self, kind: &str) -> usize {
        self.ledger.effects().filter(|(_, pending)| pending.effect.kind() == kind).count()
    }

    /// Starts and connects the only runner; its name.
    fn idle(&mut self) -> RunnerName {
        let runner = self.live()[0].name.clone();
        self.runner(&runner, RunnerInput::Launched { attempt: 1, task: "t".into() });
        self.runner(&runner, RunnerInput::Claim { attempt: 1 });
        self.runner(&runner, RunnerInput::Connected { registration: None });
        runner
    }
}

pub(crate) fn job(id: u64, input: JobInput) -> Event {
    job_of("acme/web", id, input)
}

pub(crate) fn job_of(repo: &str, id: u64, input: JobInput) -> Event {
    let facts = JobFacts {
        id: JobId(id),
        run_id: RunId(id),
        run_attempt: 1,
        repo: Repo::parse(repo).unwrap(),
        public: Some(false),
        name: "build".into(),
        labels: vec!["self-hosted".into(), "Linux".into()],
        created_ms: id,
    };
    Event::Job { facts, input }
}

fn in_progress(runner: &RunnerName) -> JobInput {
    JobInput::InProgress { runner: runner.registered(1).into() }
}

fn completed(runner: &RunnerName) -> JobInput {
    JobInput::Completed { conclusion: Conclusion::Success, runner: runner.registered(1).into() }
}

#[test]
fn a_queued_job_gets_one_runner_however_often_it_is_announced() {
    let mut desk = Desk::new(6);
    let said = desk.tell(&[job(1, JobInput::Queued), job(1, JobInput::Queued)]);
    assert_eq!(said[1], Outcome::Duplicate);
    desk.tell(&[job(1, JobInput::Queued)]);
    assert_eq!((desk.live().len(), desk.effects("launch")), (1, 1));
}

/// A job that asks for this in its labels, of a class that gives it.
fn sized(desk: &mut Desk, id: u64, wishes: &[&str]) -> Outcome {
    let (cpu_milli, timeout_ms) = (Some([1_000, 8_000]), Some([600_000, 3_600_000]));
    desk.policy.classes[0].allow = Allow { cpu_milli, timeout_ms, spot: true, ..Allow::default() };
    let mut event = job(id, JobInput::Queued);
    if let Event::Job { facts, .. } = &mut event {
        facts.labels.extend(wishes.iter().map(ToString::to_string));
    }
    desk.tell(&[event]).remove(0)
}

#[test]
fn a_launch_says_what_its_job_asked_for_and_its_runner_lives_as_long() {
    let mut desk = Desk::new(6);
    sized(&mut desk, 1, &["cpu=2", "timeout=30", "spot=false"]);
    let launch = desk.launches().remove(0);
    assert_eq!((launch.size.cpu_milli, launch.size.memory_mb, launch.spot), (2_000, 16_384, Some(false)));
    desk.idle();
    let runner = desk.live().remove(0);
    assert_eq!(runner.labels.to_string(), "cpu=2,linux,self-hosted,spot=false,timeout=30");
    assert_eq!(runner.life_deadline_ms, desk.now_ms + 1_800_000);
}

#[test]
fn each_size_is_a_pool_of_its_own_and_one_out_of_bounds_none() {
    let mut desk = Desk::new(6);
    let jobs = (1..).zip(["cpu=2", "cpu=4", "cpu=2", "cpu=64"]);
    let told: Vec<String> = jobs.map(|(id, cpu)| format!("{:?}", sized(&mut desk, id, &[cpu]))).collect();
    assert!(told[3].contains("`cpu=64`: 1 to 8 are allowed"), "{told:?}");
    let mut sizes: Vec<u32> = desk.launches().iter().map(|launch| launch.size.cpu_milli).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2_000, 2_000, 4_000]);
    let pools: BTreeSet<PoolId> = desk.live().into_iter().map(|runner| runner.pool).collect();
    assert_eq!(pools.len(), 2, "{pools:?}");
}

/// As it was stored before there were such labels.
#[test]
fn a_launch_of_an_older_version_is_read() {
    let mut desk = Desk::new(6);
    sized(&mut desk, 1, &["spot=true"]);
    let launch = desk.launches().remove(0);
    let mut stored = serde_json::to_value(&launch).unwrap();
    stored.as_object_mut().unwrap().remove("spot").unwrap();
    let read: LaunchSpec = serde_json::from_value(stored).unwrap();
    assert_eq!(read, LaunchSpec { spot: None, ..launch });
}

#[test]
fn an_environment_job_is_started_after_its_approval_in_either_order() {
    for order in [[JobInput::Waiting, JobInput::Queued], [JobInput::Queued, JobInput::Waiting]] {
        let mut desk = Desk::new(6);
        let early = order[0] == JobInput::Waiting;
        desk.tell(&[job(1, order[0].clone())]);
        assert_eq!(desk.live().len(), usize::from(!early));
        desk.tell(&[job(1, order[1].clone())]);
        assert_eq!(desk.live().len(), 1);
    }
}

#[test]
fn of_jobs_that_come_together_those_beyond_the_cap_wait() {
    let mut desk = Desk::new(2);
    let said = desk.tell(&[1, 2, 3, 4].map(|id| job(id, JobInput::Queued)));
    let served = |outcome: &Outcome| {
        *outcome == Outcome::Accepted("2 runners are started in pool default@acme/web[linux,self-hosted]".into())
    };
    assert_eq!(said.iter().map(served).collect::<Vec<_>>(), [true, true, false, false], "{said:?}");
}

#[test]
fn jobs_over_the_cap_wait_with_a_reason_and_get_the_next_free_place() {
    let mut desk = Desk::new(2);
    desk.tell(&[job(1, JobInput::Queued), job(2, JobInput::Queued)]);
    let said = desk.tell(&[job(3, JobInput::Queued)]).remove(0);
    assert_eq!(said, Outcome::Accepted("waits: 2 of 2 runners live; first in line: job 1 of acme/web".into()));
    let first = desk.live()[0].name.clone();
    desk.tell(&[job(1, completed(&first))]);
    assert_eq!(desk.effects("launch"), 2, "only the engine's word frees capacity");
    desk.runner(&first, RunnerInput::TaskGone { why: "exit 0".into() });
    assert_eq!(desk.live().len(), 2);
}

#[test]
fn the_next_launch_goes_to_the_repository_with_the_fewest_live_runners() {
    let mut desk = Desk::new(1);
    for id in 1..=20 {
        desk.tell(&[job_of("acme/busy", id, JobInput::Queued)]);
    }
    desk.tell(&[job_of("acme/calm", 21, JobInput::Queued)]);
    desk.policy.max = 2;
    desk.tell(&[Event::Balance]);
    assert!(desk.live().iter().any(|runner| runner.pool.as_str().contains("acme/calm")));
}

#[test]
fn a_stolen_job_starts_no_second_runner_and_the_surplus_goes_at_its_claim() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let ours = desk.live()[0].name.clone();
    desk.tell(&[job(1, JobInput::InProgress { runner: "somebody-else".into() })]);
    assert_eq!(desk.live().len(), 1);
    assert_eq!(desk.runner(&ours, RunnerInput::Claim { attempt: 1 }), Outcome::Go);
}

/// This occurs when the agent gave up waiting and claimed anew, and its first claim is handled last.
#[test]
fn a_late_claim_stops_no_runner_that_has_its_credentials() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    desk.runner(&runner, RunnerInput::Launched { attempt: 1, task: "t".into() });
    assert!(matches!(desk.runner(&runner, RunnerInput::Claim { attempt: 1 }), Outcome::Claimed { n: 1, .. }));
    desk.tell(&[job(1, JobInput::InProgress { runner: "thief".into() })]);
    assert_eq!(desk.runner(&runner, RunnerInput::Claim { attempt: 1 }), Outcome::Go);
    assert_eq!((desk.live()[0].state.label(), desk.effects("stop")), ("Claimed", 0));
    desk.tell(&[job(2, in_progress(&runner))]);
    assert_eq!(desk.live()[0].state.label(), "Busy");
}

#[test]
fn a_job_that_is_cancelled_before_it_starts_lets_its_runner_go() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    desk.tell(&[job(1, JobInput::Completed { conclusion: Conclusion::Cancelled, runner: "".into() })]);
    assert_eq!(desk.runner(&runner, RunnerInput::Claim { attempt: 1 }), Outcome::Go);
    assert_eq!(desk.effects("stop"), 1);
}

const OUTFITTED: RunnerInput = RunnerInput::Outfitted { attempt: 1 };

/// Machines of its class are told their credentials.
fn apart() -> Desk {
    let mut desk = Desk::new(6);
    desk.policy.classes[0].credentials = CredentialKind::Env;
    desk
}

#[test]
fn a_launch_names_the_job_that_had_waited_longest() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(7, JobInput::Queued), job(9, JobInput::Queued)]);
    assert!(desk.launches().iter().all(|launch| launch.job == Some(JobId(7))), "{:?}", desk.launches());
}

/// This occurs when the class was changed to `credentials = "env"` after it was launched: it may run.
#[test]
fn one_that_asks_for_its_credentials_is_never_taken_for_one_that_was_not_launched() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    assert!(!desk.launches()[0].told);
    desk.policy.classes[0].credentials = CredentialKind::Env;
    desk.tell(&[job(1, JobInput::Completed { conclusion: Conclusion::Cancelled, runner: "".into() })]);
    assert_eq!(desk.runner(&runner, OUTFITTED), Outcome::Duplicate);
    assert_eq!(desk.live().len(), 1);
}

#[test]
fn each_try_to_launch_with_credentials_has_a_name_of_its_own_and_stores_no_second_launch() {
    let mut desk = apart();
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    assert!(matches!(desk.runner(&runner, OUTFITTED), Outcome::Claimed { n: 1, .. }));
    assert!(matches!(desk.runner(&runner, OUTFITTED), Outcome::Claimed { n: 2, .. }));
    assert_eq!((desk.live()[0].state.label(), desk.launches().len()), ("Reserved", 1));
    desk.runner(&runner, RunnerInput::Launched { attempt: 1, task: "t".into() });
    assert_eq!(desk.runner(&runner, OUTFITTED), Outcome::Duplicate);
    assert_eq!(desk.live()[0].claims, 2);
}

#[test]
fn a_runner_without_a_route_is_not_launched_for_a_job_that_is_gone() {
    let cancelled = || job(1, JobInput::Completed { conclusion: Conclusion::Cancelled, runner: "".into() });
    let mut desk = apart();
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    desk.tell(&[cancelled()]);
    assert_eq!(desk.runner(&runner, OUTFITTED), Outcome::Go);
    assert_eq!((desk.live().len(), desk.launches().len(), desk.effects("deregister")), (0, 0, 0));
}

/// Else it would hold its place for ever: nobody but its launch speaks of it.
#[test]
fn a_runner_that_github_will_not_register_frees_its_place_and_its_pool_waits() {
    let refused = |why: Option<&str>| RunnerInput::NotOutfitted { attempt: 1, refused: why.map(Into::into) };
    let mut desk = apart();
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    desk.runner(&runner, OUTFITTED);
    assert!(matches!(desk.runner(&runner, refused(None)), Outcome::Accepted(_)));
    assert_eq!(desk.live().len(), 1, "GitHub only failed: tried again");
    desk.runner(&runner, OUTFITTED);
    assert_eq!(desk.runner(&runner, refused(Some("Not Found"))), Outcome::Go);
    assert_eq!((desk.live().len(), desk.launches().len(), desk.effects("wake")), (0, 0, 1));
}

#[test]
fn one_whose_tries_all_failed_at_github_is_not_launched_for_a_job_that_is_gone() {
    let mut desk = apart();
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    for _ in 0..3 {
        desk.runner(&runner, OUTFITTED);
        desk.runner(&runner, RunnerInput::NotOutfitted { attempt: 1, refused: None });
    }
    desk.tell(&[job(1, JobInput::Completed { conclusion: Conclusion::Cancelled, runner: "".into() })]);
    assert_eq!(desk.runner(&runner, OUTFITTED), Outcome::Go);
    assert_eq!((desk.live().len(), desk.launches().len()), (0, 0));
}

/// This occurs when GitHub names a machine whose launch is not answered: nothing has said yet when its life is over.
#[test]
fn one_at_work_whose_launch_is_not_answered_is_not_stopped_for_its_lifetime() {
    let mut desk = apart();
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    desk.runner(&runner, OUTFITTED);
    desk.tell(&[job(1, in_progress(&runner))]);
    desk.runner(&runner, RunnerInput::LifetimeOver);
    assert_eq!((desk.live()[0].state.label(), desk.effects("stop")), ("Busy", 0));
    desk.runner(&runner, RunnerInput::Launched { attempt: 1, task: "t".into() });
    assert!(desk.live()[0].life_deadline_ms > desk.now_ms);
}

/// An earlier try may have started its machine, which may be at work.
#[test]
fn one_that_may_have_been_launched_is_not_written_off() {
    let mut desk = apart();
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    desk.runner(&runner, OUTFITTED);
    desk.tell(&[job(1, JobInput::InProgress { runner: "thief".into() })]);
    assert!(matches!(desk.runner(&runner, OUTFITTED), Outcome::Claimed { n: 2, .. }));
    assert_eq!(desk.live().len(), 1);
}

#[test]
fn completed_without_a_runner_stops_nobody() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.idle();
    desk.tell(&[job(1, in_progress(&runner))]);
    desk.tell(&[job(9, JobInput::Completed { conclusion: Conclusion::Success, runner: "".into() })]);
    assert!(matches!(desk.live()[0].state, RunnerState::Busy { .. }));
    assert_eq!(desk.effects("stop"), 0);
}

#[test]
fn a_late_in_progress_does_not_make_an_ended_job_run_again() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.idle();
    desk.tell(&[job(1, completed(&runner)), job(1, in_progress(&runner))]);
    assert!(matches!(desk.live()[0].state, RunnerState::Ending { .. }));
}

/// With polling alone the beginning of a quick job is not heard of.
#[test]
fn the_runner_of_a_job_that_is_heard_of_at_its_end_is_recorded_for_both() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.idle();
    let said = |decision: &Decision| decision.records.iter().map(|it| it.text.clone()).collect::<Vec<_>>();
    let quick = desk.decide(&[job(1, completed(&runner))]);
    assert_eq!(said(&quick)[..2], [format!("ran on {runner}-1"), "ended: success".to_owned()]);
    assert_eq!((quick.records[0].job, &quick.records[0].runner), (Some(JobId(1)), &Some(runner.clone())));
    desk.tell(&[job(1, in_progress(&runner))]);
    let usual = desk.decide(&[job(1, completed(&runner))]);
    assert_eq!(said(&usual)[0], "ended: success");
}

#[test]
fn an_agent_that_is_at_work_counts_for_its_job_until_github_names_it() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.idle();
    desk.runner(&runner, RunnerInput::JobStarted);
    assert_eq!(desk.live().len(), 1, "the queued job is the one at work");
    desk.tell(&[job(1, in_progress(&runner))]);
    assert_eq!(desk.live().len(), 1);
}

/// Without a webhook a job of a second is over before GitHub is asked again: a practice session left an idle runner.
#[test]
fn a_job_that_was_over_before_github_named_its_runner_is_asked_for_at_once() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.idle();
    desk.runner(&runner, RunnerInput::JobStarted);
    desk.runner(&runner, RunnerInput::Ended { ran_job: true, reason: EndReason::Exited });
    assert_eq!(
        (desk.effects("read_job"), desk.live().len()),
        (1, 2),
        "another runner, in case that it was another job"
    );
    let next = desk.live().into_iter().find(|row| row.name != runner).unwrap().name;
    desk.tell(&[job(1, completed(&runner))]);
    assert_eq!(desk.runner(&next, RunnerInput::Claim { attempt: 1 }), Outcome::Go);
}

#[test]
fn a_second_claim_after_registration_is_refused_and_told() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.idle();
    assert_eq!(desk.runner(&runner, RunnerInput::Claim { attempt: 1 }), Outcome::ClaimRefused);
    assert_eq!(desk.effects("notify"), 1);
}

#[test]
fn three_fruitless_runners_hold_the_pool_back_and_the_group_is_named() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    for round in 1..=3 {
        let runner = desk.idle();
        desk.runner(&runner, RunnerInput::Ended { ran_job: false, reason: EndReason::Idle });
        desk.runner(&runner, RunnerInput::TaskGone { why: "exit 0".into() });
        assert_eq!(desk.live().len(), usize::from(round < 3));
    }
    let said = desk.tell(&[job(2, JobInput::Queued)]).remove(0);
    let Outcome::Accepted(said) = said else { panic!("{said:?}") };
    assert!(said.contains("runner group the default one") && said.contains("Tried again in 15 s"), "{said}");
    desk.now_ms += 15_000;
    desk.tell(&[Event::Balance]);
    assert_eq!(desk.live().len(), 2, "both jobs, once the backoff has passed");
}

#[test]
fn a_refused_launch_tries_the_next_place_then_waits_and_frees_the_room() {
    let mut desk = Desk::new(1);
    desk.policy.classes[0].placements = 2;
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.live()[0].name.clone();
    desk.runner(&runner, RunnerInput::Refused { attempt: 1, why: "no vCPU".into() });
    let next = desk.ledger.effects().find_map(|(_, pending)| {
        let Effect::Launch(spec) = &pending.effect else { return None };
        (spec.attempt == 2).then_some(spec.placement)
    });
    assert_eq!(next, Some(1));
    desk.runner(&runner, RunnerInput::Refused { attempt: 2, why: "no vCPU".into() });
    assert_eq!(desk.live().len(), 0);
    desk.tell(&[job_of("acme/api", 2, JobInput::Queued)]);
    assert_eq!(desk.live().len(), 1, "another pool may use the room");
}

/// The answer to its launch was lost, it claimed, somebody took it away, and the launch was repeated. Found by world 7942.
#[test]
fn a_refusal_after_a_claim_ends_a_runner_whose_machine_nobody_knows() {
    for stopped in [false, true] {
        let mut desk = Desk::new(1);
        desk.tell(&[job(1, JobInput::Queued)]);
        let runner = desk.live()[0].name.clone();
        desk.runner(&runner, RunnerInput::Claim { attempt: 1 });
        if stopped {
            desk.runner(&runner, RunnerInput::Stop { by: "operator".into() });
        }
        desk.runner(&runner, RunnerInput::Refused { attempt: 1, why: "no vCPU".into() });
        assert!(desk.live().iter().all(|row| row.name != runner), "its place is free");
        assert_eq!(desk.effects("deregister"), 1, "what its claim registered is taken away");
    }
}

#[test]
fn a_machine_that_is_born_after_its_end_is_stopped() {
    for late in [RunnerInput::TaskAlive { task: "t".into() }, RunnerInput::Launched { attempt: 1, task: "t".into() }] {
        let mut desk = Desk::new(6);
        desk.tell(&[job(1, JobInput::Queued)]);
        let runner = desk.live()[0].name.clone();
        desk.tell(&[job(1, JobInput::Completed { conclusion: Conclusion::Cancelled, runner: "".into() })]);
        desk.runner(&runner, RunnerInput::TaskGone { why: "not there".into() });
        assert_eq!((desk.live().len(), desk.effects("stop")), (0, 0));
        desk.runner(&runner, late);
        assert_eq!((desk.effects("stop"), desk.effects("notify")), (1, 1));
    }
}

#[test]
fn a_version_that_github_refuses_is_told_and_launched_ever_more_rarely() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued)]);
    for round in 1..=3 {
        let runner = desk.idle();
        desk.runner(&runner, RunnerInput::Ended { ran_job: false, reason: EndReason::Deprecated });
        desk.runner(&runner, RunnerInput::TaskGone { why: "exit 7".into() });
        assert_eq!(desk.live().len(), usize::from(round < 3));
    }
    let told = desk.ledger.effects().filter_map(|(_, pending)| {
        let Effect::Notify(notice) = &pending.effect else { return None };
        Some(notice.kind)
    });
    let told: BTreeSet<NoticeKind> = told.collect();
    assert_eq!(told, [NoticeKind::RunnerDeprecated, NoticeKind::PoolStarved].into());
}

#[test]
fn an_idle_runner_is_recalled_when_another_pool_is_held_back() {
    let mut desk = Desk::new(1);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.idle();
    let beat = RunnerInput::Connected { registration: None };
    desk.tell(&[job(1, JobInput::InProgress { runner: "thief".into() })]);
    assert_ne!(desk.runner(&runner, beat.clone()), Outcome::EndIfIdle, "nobody needs its place");
    desk.tell(&[job_of("acme/api", 2, JobInput::Queued)]);
    assert_eq!(desk.runner(&runner, beat), Outcome::EndIfIdle);
}

#[test]
fn nothing_is_launched_before_the_engine_has_been_counted_and_what_it_runs_is_adopted() {
    let mut desk = Desk::new(1);
    desk.ledger = Ledger::new(false);
    let said = desk.tell(&[job(1, JobInput::Queued)]).remove(0);
    assert_eq!(said, Outcome::Accepted("waits: the engine's machines are being counted first".into()));
    let scope = desk.policy.scope(&Repo::parse("acme/web").unwrap()).unwrap();
    let pool = Pool::new(&"default".into(), &scope, &desk.policy.classes[0].labels.clone());
    let task = Task {
        id: "t".into(),
        runner: "sr-dev-old".into(),
        attempt: 1,
        pool,
        repo: None,
        created_ms: 1,
        stopped: None,
    };
    desk.tell(&[Event::Adopt(task), Event::Inventory]);
    assert_eq!(desk.live().len(), 1, "the adopted one takes the only place and serves the job");
    assert_eq!(desk.effects("launch") + desk.effects("stop"), 0);
}

#[test]
fn a_closed_class_holds_its_jobs_and_opening_it_lets_them_go_on() {
    let mut desk = Desk::new(6);
    desk.policy.classes[0].max = 0;
    let said = desk.tell(&[job(1, JobInput::Queued)]).remove(0);
    assert_eq!(said, Outcome::Accepted("waits: class `default` is closed (max = 0)".into()));
    desk.policy.classes[0].max = 1;
    desk.tell(&[Event::Rematch { job: JobId(1) }]);
    assert_eq!(desk.live().len(), 1);
}

#[test]
fn a_burst_is_one_decision_and_many_launches_are_cut_into_bounded_writes() {
    let mut desk = Desk::new(100);
    desk.policy.classes[0].max = 100;
    let burst: Vec<Event> = (1..=60).map(|id| job(id, JobInput::Queued)).collect();
    let decision = desk.decide(&burst);
    assert_eq!((decision.runners.len(), decision.again), (25, true));
    desk.tell(&burst);
    assert_eq!(desk.live().len(), 60);
}

fn drain(on: bool) -> Event {
    let (extent, by) = (Extent::Class("default".into()), "ada (new image)".into());
    if on { Event::Drain { extent, by } } else { Event::EndDrain { extent, by } }
}

#[test]
fn what_was_decided_before_a_drain_or_its_end_is_decided_again() {
    let mut desk = Desk::new(6);
    let launches = desk.decide(&[job(1, JobInput::Queued)]);
    desk.tell(&[drain(true)]);
    desk.ledger.commit(&launches, desk.now_ms).unwrap_err();
    let waits = desk.decide(&[job(1, JobInput::Queued)]);
    assert!(waits.records[0].text.starts_with("waits: class `default` is drained by ada (new image) since"));
    desk.tell(&[drain(false)]);
    desk.ledger.commit(&waits, desk.now_ms).unwrap_err();
}

#[test]
fn a_drain_and_a_job_may_be_decided_together() {
    let mut desk = Desk::new(6);
    desk.tell(&[job(1, JobInput::Queued), drain(true)]);
    assert_eq!(desk.live().len(), 0);
    desk.tell(&[drain(false), job(2, JobInput::Queued)]);
    assert_eq!(desk.live().len(), 2);
}

#[test]
fn a_drain_of_a_class_that_is_not_there_is_refused_with_those_that_are() {
    let mut desk = Desk::new(6);
    let nowhere = Event::Drain { extent: Extent::Class("other".into()), by: "ada".into() };
    let said = desk.tell(&[nowhere]).remove(0);
    assert_eq!(said, Outcome::Refused("there is no class `other`, only `default`".into()));
    assert!(matches!(desk.tell(&[drain(false)]).remove(0), Outcome::Refused(_)));
}

#[test]
fn more_jobs_than_one_decision_launches_get_their_runners_when_a_drain_ends() {
    let mut desk = Desk::new(60);
    desk.policy.classes[0].max = 60;
    desk.tell(&[drain(true)]);
    (1..=55).for_each(|id| drop(desk.tell(&[job(id, JobInput::Queued)])));
    desk.tell(&[drain(false)]);
    assert_eq!(desk.live().len(), 55);
}

#[test]
fn a_forced_stop_of_a_runner_that_is_ending_is_carried_out_at_once() {
    let mut desk = Desk::new(1);
    desk.tell(&[job(1, JobInput::Queued)]);
    let runner = desk.idle();
    desk.tell(&[job(1, in_progress(&runner))]);
    desk.tell(&[job(1, completed(&runner))]);
    let due =
        |desk: &Desk| desk.ledger.effects().find(|(id, _)| id.as_str().starts_with("stop/")).map(|it| it.1.due_ms);
    assert!(due(&desk) > Some(desk.now_ms), "it has its grace");
    let idle = desk.runner(&runner, RunnerInput::StopIdle { by: "ada".into() });
    assert_eq!(idle, Outcome::Refused("it is ending already: job 1 completed".into()));
    desk.runner(&runner, RunnerInput::Stop { by: "ada".into() });
    assert_eq!(due(&desk), Some(desk.now_ms));
}

#[test]
fn a_recalled_runner_is_not_held_against_its_pool() {
    let mut desk = Desk::new(1);
    for id in 1..=4 {
        desk.tell(&[job(id, JobInput::Queued)]);
        let runner = desk.idle();
        desk.runner(&runner, RunnerInput::StopIdle { by: "ada".into() });
        desk.runner(&runner, RunnerInput::Ended { ran_job: false, reason: EndReason::Idle });
        desk.runner(&runner, RunnerInput::TaskGone { why: "exit 0".into() });
    }
    assert!(desk.ledger.pools().all(|pool| pool.flags.fruitless == 0));
    assert_eq!(desk.live().len(), 1);
}

#[test]
fn a_wait_for_the_inventory_is_decided_again_if_that_came_meanwhile() {
    let mut desk = Desk { ledger: Ledger::new(false), ..Desk::new(1) };
    let waits = desk.decide(&[job(1, JobInput::Queued)]);
    assert!(waits.records[0].text.contains("are being counted first"), "{:?}", waits.records);
    desk.tell(&[Event::Inventory]);
    desk.ledger.commit(&waits, desk.now_ms).unwrap_err();
}
