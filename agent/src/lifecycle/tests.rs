//! Each transition of the state machine, told as a small story.

use fleet::wire::{ClaimAnswer, Credentials, EndReason, Report, ReportAnswer};

use super::Lifecycle;
use super::claiming::CLAIM_DEADLINE_MS;
use super::types::{Action, Input, Launch, Look};
use crate::claim::{Outcome, Refusal};
use crate::exit::code;
use crate::lines::Sign;

const BOOT: u64 = 60_000;
const IDLE: u64 = 30_000;
const BEAT: u64 = 10_000;

/// A life and its clock.
struct Story {
    life: Lifecycle,
    now: u64,
}

impl Story {
    fn new() -> Self {
        Self { life: Lifecycle::new(1), now: 0 }
    }

    /// A runner that was started with a just-in-time configuration.
    fn booting() -> Self {
        let mut story = Self::new();
        assert_eq!(story.tick(), [Action::Claim]);
        assert_eq!(story.take(run(jit())), [launched()]);
        story
    }

    fn idle() -> Self {
        let mut story = Self::booting();
        assert_eq!(story.take(Input::Line(Sign::Listening)), [Action::Report(Report::Registered)]);
        story
    }

    fn busy() -> Self {
        let mut story = Self::idle();
        assert_eq!(story.take(Input::Worker(true)), [Action::Report(Report::JobStarted)]);
        story
    }

    fn take(&mut self, input: Input) -> Vec<Action> {
        self.life.step(self.now, input)
    }

    fn tick(&mut self) -> Vec<Action> {
        self.take(Input::Tick)
    }

    /// Goes to the next deadline and ticks there; just before it nothing may happen.
    fn next(&mut self) -> Vec<Action> {
        let at = self.life.deadline().unwrap();
        if at > self.now {
            assert_eq!(self.life.step(at - 1, Input::Tick), []);
        }
        self.now = at;
        self.tick()
    }

    /// From a dead runner to the exit, with nothing left behind.
    fn ends(&mut self, ran_job: bool, exit_code: Option<i32>, why: EndReason, code: u8) {
        let ended = Action::Report(Report::Ended { ran_job, exit_code, why });
        assert_eq!(self.take(Input::Left(0)), [ended]);
        assert_eq!(self.take(Input::Delivered), [Action::Exit(code)]);
        assert_eq!(self.life.deadline(), None);
    }
}

fn jit() -> Credentials {
    Credentials::Jit("secret".into())
}

fn token() -> Credentials {
    let url = "https://github.com/acme".to_owned();
    Credentials::Token { url, token: "secret".into(), labels: vec!["a".into()], group: None }
}

fn run(credentials: Credentials) -> Input {
    Input::Claimed(Outcome::Answer(ClaimAnswer::Run {
        name: "sr-a-1".into(),
        credentials,
        boot_timeout_ms: BOOT,
        idle_timeout_ms: IDLE,
        heartbeat_ms: BEAT,
    }))
}

fn launched() -> Action {
    Action::Launch(Launch::Jit { name: "sr-a-1".into(), config: "secret".into() })
}

fn failed() -> Input {
    Input::Claimed(Outcome::Retry { after_ms: None })
}

// --- claiming ---

#[test]
fn a_failed_claim_is_made_again() {
    let mut story = Story::new();
    assert_eq!(story.next(), [Action::Claim]);
    assert_eq!(story.tick(), [], "one call at a time");
    assert_eq!(story.take(failed()), []);
    assert_eq!(story.next(), [Action::Claim]);
    assert_eq!(story.take(run(jit())), [launched()]);
}

#[test]
fn claims_end_at_their_deadline() {
    let mut story = Story::new();
    let report = loop {
        let actions = story.next();
        if actions != [Action::Claim] {
            break actions;
        }
        story.take(failed());
    };
    assert_eq!(story.now, CLAIM_DEADLINE_MS);
    let why = EndReason::NotConnected;
    assert_eq!(report, [Action::Report(Report::Ended { ran_job: false, exit_code: None, why })]);
    assert_eq!(story.take(Input::Delivered), [Action::Exit(code::UNREACHABLE)]);
}

#[test]
fn wait_does_not_count() {
    let mut story = Story::new();
    for _ in 0..100 {
        assert_eq!(story.next(), [Action::Claim]);
        story.take(Input::Claimed(Outcome::Answer(ClaimAnswer::Wait { retry_after_ms: 60_000 })));
    }
    assert!(story.now > 2 * CLAIM_DEADLINE_MS);
    assert_eq!(story.next(), [Action::Claim]);
    story.take(run(jit()));
    assert_eq!(story.life.deadline(), Some(story.now + BOOT));
}

#[test]
fn go_ends_at_once() {
    let mut story = Story::new();
    story.tick();
    assert_eq!(story.take(Input::Claimed(Outcome::Answer(ClaimAnswer::Go))), [Action::Exit(code::OK)]);
}

#[test]
fn a_refusal_ends_with_its_own_code() {
    for refusal in [Refusal::Token, Refusal::Registered, Refusal::Protocol] {
        let mut story = Story::new();
        story.tick();
        assert_eq!(story.take(Input::Claimed(Outcome::Refused(refusal))), [Action::Exit(refusal.code())]);
    }
}

#[test]
fn sigterm_while_claiming_makes_the_answer_void() {
    let mut story = Story::new();
    story.tick();
    let why = EndReason::Terminated;
    let ended = Action::Report(Report::Ended { ran_job: false, exit_code: None, why });
    assert_eq!(story.take(Input::Terminate), [ended]);
    assert_eq!(story.take(run(jit())), []);
    assert_eq!(story.take(Input::Delivered), [Action::Exit(code::TERMINATED)]);
}

// --- booting ---

#[test]
fn a_token_is_configured_first() {
    let mut story = Story::new();
    story.tick();
    assert!(matches!(story.take(run(token()))[..], [Action::Launch(Launch::Configure { .. })]));
    assert_eq!(story.take(Input::Line(Sign::Listening)), [], "not said by the listener");
    assert_eq!(story.take(Input::Exited(Some(0))), [Action::Launch(Launch::Configured)]);
    assert_eq!(story.take(Input::Line(Sign::Listening)), [Action::Report(Report::Registered)]);
}

#[test]
fn a_failed_configuration_ends() {
    let mut story = Story::new();
    story.tick();
    story.take(run(token()));
    assert_eq!(story.take(Input::Exited(Some(1))), [Action::TerminateRest]);
    story.ends(false, Some(1), EndReason::Exited, code::RUNNER_FAILED);
}

#[test]
fn a_configuration_that_hangs_is_killed_without_a_look() {
    let mut story = Story::new();
    story.tick();
    story.take(run(token()));
    assert_eq!(story.next(), [Action::KillRest]);
    assert_eq!(story.take(Input::Exited(Some(137))), [Action::TerminateRest]);
    story.ends(false, None, EndReason::NotConnected, code::NOT_CONNECTED);
}

#[test]
fn a_runner_that_cannot_be_started_ends() {
    let mut story = Story::booting();
    let why = EndReason::Exited;
    let ended = Action::Report(Report::Ended { ran_job: false, exit_code: None, why });
    assert_eq!(story.take(Input::NotStarted), [ended]);
    assert_eq!(story.take(Input::Delivered), [Action::Exit(code::NO_RUNNER)]);
}

#[test]
fn the_boot_deadline_freezes_looks_and_kills() {
    let mut story = Story::booting();
    assert_eq!(story.next(), [Action::FreezeAndLook]);
    assert_eq!(story.now, BOOT);
    assert_eq!(story.take(Input::Looked(Look::Nothing)), [Action::KillRest]);
    assert_eq!(story.take(Input::Exited(Some(137))), [Action::TerminateRest]);
    story.ends(false, None, EndReason::NotConnected, code::NOT_CONNECTED);
}

#[test]
fn connected_at_the_boot_deadline_is_connected() {
    let mut story = Story::booting();
    story.next();
    let actions = story.take(Input::Looked(Look::Connected));
    assert_eq!(actions, [Action::Thaw, Action::Report(Report::Registered)]);
    assert_eq!(story.next(), [Action::Report(Report::Idle)]);
}

#[test]
fn a_job_at_the_boot_deadline_goes_on() {
    let mut story = Story::booting();
    story.next();
    let actions = story.take(Input::Looked(Look::Job));
    assert_eq!(actions, [Action::Thaw, Action::Report(Report::JobStarted)]);
}

#[test]
fn exit_7_is_deprecated() {
    let mut story = Story::booting();
    assert_eq!(story.take(Input::Exited(Some(7))), [Action::TerminateRest]);
    story.ends(false, Some(7), EndReason::Deprecated, code::DEPRECATED);
}

#[test]
fn exit_0_without_a_job_is_no_job() {
    let mut story = Story::idle();
    story.take(Input::Exited(Some(0)));
    story.ends(false, Some(0), EndReason::Exited, code::OK);
}

// --- idle ---

#[test]
fn heartbeats_then_the_idle_end() {
    let mut story = Story::idle();
    assert_eq!(story.next(), [Action::Report(Report::Idle)]);
    assert_eq!(story.next(), [Action::Report(Report::Idle)]);
    assert_eq!(story.next(), [Action::FreezeAndLook]);
    assert_eq!(story.now, IDLE);
    assert_eq!(story.take(Input::Looked(Look::Nothing)), [Action::KillRest]);
    assert_eq!(story.take(Input::Exited(None)), [Action::TerminateRest]);
    story.ends(false, None, EndReason::Idle, code::OK);
}

#[test]
fn end_if_idle_ends_an_idle_runner() {
    let mut story = Story::idle();
    assert_eq!(story.take(Input::Answered(ReportAnswer::Ok)), []);
    assert_eq!(story.take(Input::Answered(ReportAnswer::EndIfIdle)), [Action::FreezeAndLook]);
    assert_eq!(story.take(Input::Looked(Look::Connected)), [Action::KillRest], "connected is not busy");
}

#[test]
fn end_if_idle_leaves_a_job_alone() {
    let mut story = Story::busy();
    assert_eq!(story.take(Input::Answered(ReportAnswer::EndIfIdle)), []);
    story.take(Input::Worker(false));
    assert_eq!(story.take(Input::Answered(ReportAnswer::EndIfIdle)), [], "its listener still tells GitHub the result");
}

#[test]
fn a_job_seen_while_frozen_wins() {
    let mut story = Story::idle();
    story.take(Input::Answered(ReportAnswer::EndIfIdle));
    let actions = story.take(Input::Looked(Look::Job));
    assert_eq!(actions, [Action::Thaw, Action::Report(Report::JobStarted)]);
    assert_eq!(story.take(Input::Worker(true)), []);
    assert_eq!(story.life.deadline(), None, "a busy runner has no deadline");
}

#[test]
fn an_unclear_look_kills_nothing_and_comes_again() {
    let mut story = Story::idle();
    story.take(Input::Answered(ReportAnswer::EndIfIdle));
    assert_eq!(story.take(Input::Looked(Look::Unclear)), [Action::Thaw]);
    assert_eq!(story.next(), [Action::FreezeAndLook]);

    let mut story = Story::booting();
    story.next();
    assert_eq!(story.take(Input::Looked(Look::Unclear)), [Action::Thaw]);
    assert_eq!(story.next(), [Action::FreezeAndLook]);
}

// --- busy ---

#[test]
fn a_whole_job() {
    let mut story = Story::busy();
    assert_eq!(story.take(Input::Line(Sign::Listening)), []);
    assert_eq!(story.take(Input::Worker(false)), [Action::Report(Report::JobEnded)]);
    assert_eq!(story.take(Input::Exited(Some(0))), [Action::TerminateRest]);
    story.ends(true, Some(0), EndReason::Exited, code::OK);
}

#[test]
fn a_job_is_received_before_its_worker_is_seen() {
    let mut story = Story::idle();
    assert_eq!(story.take(Input::Line(Sign::JobReceived)), [Action::Report(Report::JobStarted)]);
    assert_eq!(story.take(Input::Worker(true)), [], "said once");
    assert_eq!(story.take(Input::Worker(false)), [Action::Report(Report::JobEnded)]);
}

#[test]
fn a_worker_may_be_seen_before_anything_was_said() {
    let mut story = Story::booting();
    assert_eq!(story.take(Input::Worker(true)), [Action::Report(Report::JobStarted)]);
}

#[test]
fn a_job_whose_worker_never_comes_is_over() {
    let mut story = Story::idle();
    story.take(Input::Line(Sign::JobReceived));
    assert_eq!(story.next(), [Action::Report(Report::JobEnded)]);
    assert_eq!(story.next(), [Action::FreezeAndLook]);
    assert_eq!(story.take(Input::Looked(Look::Nothing)), [Action::KillRest]);
    story.take(Input::Exited(None));
    story.ends(true, None, EndReason::Idle, code::OK);
}

#[test]
fn a_second_job_is_as_sacred_as_the_first() {
    let mut story = Story::busy();
    story.take(Input::Worker(false));
    assert_eq!(story.take(Input::Worker(true)), [Action::Report(Report::JobStarted)]);
    assert_eq!(story.life.deadline(), None);
}

// --- SIGTERM ---

#[test]
fn sigterm_on_an_idle_runner_looks_first() {
    let mut story = Story::idle();
    assert_eq!(story.take(Input::Terminate), [Action::FreezeAndLook]);
    assert_eq!(story.take(Input::Looked(Look::Nothing)), [Action::KillRest]);
    story.take(Input::Exited(Some(137)));
    story.ends(false, None, EndReason::Terminated, code::TERMINATED);
}

#[test]
fn sigterm_finds_a_job_while_looking() {
    for look in [Look::Job, Look::Unclear] {
        let mut story = Story::idle();
        story.take(Input::Terminate);
        let actions = story.take(Input::Looked(look));
        assert_eq!((actions.first(), actions.last()), (Some(&Action::Thaw), Some(&Action::Interrupt)));
    }
}

#[test]
fn sigterm_on_a_job_interrupts_it() {
    let mut story = Story::busy();
    assert_eq!(story.take(Input::Terminate), [Action::Report(Report::SpotNotice), Action::Interrupt]);
    assert_eq!(story.take(Input::Exited(Some(143))), [Action::TerminateRest]);
    story.ends(true, Some(143), EndReason::Terminated, code::TERMINATED);
}

#[test]
fn an_interrupted_job_that_stays_is_killed() {
    let mut story = Story::busy();
    story.take(Input::Terminate);
    assert_eq!(story.next(), [Action::KillRest]);
    assert_eq!(story.next(), [Action::KillRest], "again, until it is dead");
}

#[test]
fn a_second_sigterm_kills_at_once() {
    let mut story = Story::busy();
    story.take(Input::Terminate);
    story.now += 1_000;
    assert_eq!(story.take(Input::Terminate), [Action::KillRest]);

    let mut story = Story::busy();
    story.take(Input::Exited(Some(0)));
    assert_eq!(story.take(Input::Terminate), []);
    assert_eq!(story.next(), [Action::KillRest], "what is left gets no more time");
    story.now += 1_000;
    assert!(matches!(story.take(Input::Terminate)[..], [Action::KillRest, Action::Exit(_)]));
}

#[test]
fn one_sigterm_that_arrives_twice_is_one() {
    let mut story = Story::busy();
    assert_eq!(story.take(Input::Terminate), [Action::Report(Report::SpotNotice), Action::Interrupt]);
    story.now += 999;
    assert_eq!(story.take(Input::Terminate), []);
}

// --- ending ---

#[test]
fn what_the_job_left_behind_is_ended() {
    let mut story = Story::busy();
    assert_eq!(story.take(Input::Exited(Some(0))), [Action::TerminateRest]);
    assert_eq!(story.take(Input::Left(1)), []);
    assert_eq!(story.next(), [Action::CountRest]);
    while story.next() == [Action::CountRest] {
        assert_eq!(story.take(Input::Left(1)), []);
    }
    assert!((2_000..2_100).contains(&story.now), "killed after its grace");
    story.ends(true, Some(0), EndReason::Exited, code::OK);
}

#[test]
fn what_cannot_be_killed_holds_the_end_up_only_so_long() {
    let mut story = Story::busy();
    story.take(Input::Exited(Some(0)));
    while story.take(Input::Left(1)).is_empty() {
        story.next();
    }
    assert!((7_000..7_100).contains(&story.now));
    assert_eq!(story.take(Input::Delivered), [Action::Exit(code::OK)]);
}

#[test]
fn a_deaf_control_plane_holds_the_end_up_only_so_long() {
    let mut story = Story::busy();
    story.take(Input::Exited(Some(0)));
    story.take(Input::Left(0));
    assert_eq!(story.next(), [Action::Exit(code::OK)]);
    assert_eq!(story.now, 10_000);
}
