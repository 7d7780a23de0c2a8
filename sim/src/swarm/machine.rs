//! What happens on a machine: boot, claim, registration, one job, the end — the agent and the runner program as a
//! model. The real agent is the crate `agent`; this keeps the same protocol.

use std::sync::Arc;

use fleet::{
    effect::LaunchSpec,
    ids::{JobId, RegistrationId, TaskId},
    job::Conclusion,
    labels::LabelSet,
    runner::RunnerInput,
    wire::{ClaimAnswer, ClaimRequest, Credentials, EndReason, PROTOCOL, Report, ReportAnswer, ReportRequest},
};
use tokio::time::{Duration, Instant, timeout_at};

use super::{ports::SECRET_PREFIX, world::World};
use crate::hub::model::{DEFAULT_GROUP, NewRunner};
use controller::{
    agent_api::Refusal,
    ports::{ClaimEnv, Secret},
};

/// An agent whose claims are not answered gives up after this time.
const CLAIM_DEADLINE_MS: u64 = 10 * 60_000;

/// After SIGINT the runner program gives its worker 7.5 s (FACTS §3). A job with less than that to go ends by itself.
const INTERRUPT_MS: u64 = 7_500;

/// A job takes that long to be interrupted: ECS's word of the notice is heard before the job's end is.
const INTERRUPT_MIN_MS: u64 = 2_500;

/// What the machine knows of itself.
pub(crate) struct Machine {
    world: Arc<World>,
    spec: LaunchSpec,
    task: TaskId,
    told: ClaimEnv,
}

/// Credentials and times from a claim.
struct Claimed {
    registration: RegistrationId,
    boot_ms: u64,
    idle_ms: u64,
    heartbeat_ms: u64,
}

/// Starts the life of a machine.
pub(crate) fn start(world: &Arc<World>, spec: &LaunchSpec, task: &TaskId, told: ClaimEnv) {
    let machine = Machine { world: world.clone(), spec: spec.clone(), task: task.clone(), told };
    let life = tokio::spawn(async move { machine.live().await });
    if let Some(machine) = world.lock().cloud.get_mut(task) {
        machine.life = Some(life.abort_handle());
    }
}

impl Machine {
    async fn live(self) {
        let world = self.world.clone();
        let boot_max_ms = world.lock().profile.boot_max_ms;
        world.sleep(world.dice(1_000..=boot_max_ms)).await;
        if world.fault("machine dies at boot", |profile| profile.boot_dies) {
            return world.end_machine(&self.task, "exit 1 at boot");
        }
        if world.fault("machine hangs at boot", |profile| profile.boot_hangs) {
            std::future::pending::<()>().await;
        }
        let claimed = match &self.told {
            ClaimEnv::Ask { token, .. } => self.claim(token).await,
            ClaimEnv::Given(credentials) => self.given(credentials).await,
        };
        let why = match claimed {
            Ok(Some(claimed)) => self.run(&claimed).await,
            Ok(None) => "nothing to do",
            Err(why) => why,
        };
        world.end_machine(&self.task, why);
    }

    /// Whoever was told its credentials asks nobody.
    async fn given(&self, credentials: &Secret) -> Result<Option<Claimed>, &'static str> {
        match serde_json::from_str(credentials.expose()) {
            Ok(answer) => self.answered(answer).await,
            Err(_) => Err("its credentials are no JSON"),
        }
    }

    /// Registers as an answer says; `None`: there is nothing to do.
    async fn answered(&self, answer: ClaimAnswer) -> Result<Option<Claimed>, &'static str> {
        let ClaimAnswer::Run { name, credentials, boot_timeout_ms, idle_timeout_ms, heartbeat_ms } = answer else {
            return Ok(None);
        };
        let Some(registration) = self.register(&name, &credentials).await else {
            return Err(self.ended(false, EndReason::Exited).await);
        };
        Ok(Some(Claimed { registration, boot_ms: boot_timeout_ms, idle_ms: idle_timeout_ms, heartbeat_ms }))
    }

    async fn claim(&self, token: &Secret) -> Result<Option<Claimed>, &'static str> {
        let world = &self.world;
        let mut deadline_ms = world.now_ms() + CLAIM_DEADLINE_MS;
        while world.now_ms() < deadline_ms {
            let request =
                ClaimRequest { protocol: PROTOCOL, runner: self.spec.runner.to_string(), attempt: self.spec.attempt };
            let answer = world.fleet.claim(world, token, &request).await;
            world.trace(|| format!("{} claims: {answer:?}", self.spec.runner));
            let lost = world.fault("claim answer lost", |profile| profile.claim_lost);
            match answer.filter(|_| !lost) {
                Some(Ok(ClaimAnswer::Wait { retry_after_ms })) => {
                    world.sleep(retry_after_ms).await;
                    deadline_ms = world.now_ms() + CLAIM_DEADLINE_MS;
                }
                Some(Ok(answer @ (ClaimAnswer::Run { .. } | ClaimAnswer::Go))) => return self.answered(answer).await,
                Some(Err(Refusal::Token | Refusal::Registered | Refusal::Protocol)) => return Err("claim refused"),
                Some(Err(Refusal::Unavailable(_))) | None => world.sleep(world.dice(500..=5_000)).await,
            }
        }
        Err("no claim was answered")
    }

    /// The registration that these credentials are, or that they make; `None`: GitHub does not take them.
    async fn register(&self, name: &str, credentials: &Credentials) -> Option<RegistrationId> {
        match credentials {
            Credentials::Jit(text) => text.strip_prefix(SECRET_PREFIX)?.parse().ok().map(RegistrationId),
            Credentials::Token { token, labels, .. } => {
                // `config.sh` needs some seconds.
                self.world.sleep(self.world.dice(1_000..=5_000)).await;
                let (token, labels) = (token.strip_prefix(SECRET_PREFIX)?.parse().ok()?, LabelSet::parse(labels).ok()?);
                let (scope, name) = (self.spec.pool.scope.clone(), name.into());
                let runner = NewRunner { scope, name, labels, group: DEFAULT_GROUP, ephemeral: true };
                let now_ms = self.world.now_ms();
                self.world.lock().hub.register_with_token(now_ms, token, runner, false).ok()
            }
        }
    }

    async fn run(&self, claimed: &Claimed) -> &'static str {
        let world = &self.world;
        if let Some(machine) = world.lock().cloud.get_mut(&self.task) {
            machine.registration = Some(claimed.registration);
        }
        if world.fault("agent hangs after its claim", |profile| profile.boot_hangs) {
            std::future::pending::<()>().await;
        }
        if world.fault("listener never connects", |profile| profile.never_connects) {
            world.sleep(claimed.boot_ms).await;
            return self.ended(false, EndReason::NotConnected).await;
        }
        world.sleep(world.dice(500..=8_000)).await;
        if world.fault("spot notice before a job", |profile| profile.spot_early) {
            return self.ended(false, EndReason::Terminated).await;
        }
        let now_ms = world.now_ms();
        if world.lock().hub.connect(now_ms, claimed.registration).is_err() {
            return self.ended(false, EndReason::Exited).await;
        }
        world.changed.notify_one();
        self.report(Report::Registered).await;
        match self.wait_for_job(claimed).await {
            Some(job) => self.work(job, claimed.registration).await,
            None => self.ended(false, EndReason::Idle).await,
        }
    }

    /// Waits for a job; `None`: the idle runner was ended (freeze, look, kill).
    async fn wait_for_job(&self, claimed: &Claimed) -> Option<JobId> {
        let world = &self.world;
        let hangs = world.fault("agent hangs", |profile| profile.agent_hangs);
        if world.fault("machine dies idle", |profile| profile.dies_idle) {
            world.sleep(world.dice(0..=20_000)).await;
            world.end_machine(&self.task, "its host was lost");
            std::future::pending::<()>().await;
        }
        let idle_until = Instant::now() + Duration::from_millis(claimed.idle_ms);
        let mut beat = Instant::now() + Duration::from_millis(claimed.heartbeat_ms);
        loop {
            let changed = world.assigned.notified();
            if let Some(job) = self.assigned(claimed.registration) {
                // Between the assignment and the birth of the worker nothing is to be seen from the agent.
                world.sleep(world.dice(50..=1_500)).await;
                if self.start_job(job, claimed.registration) {
                    return Some(job);
                }
                continue;
            }
            let until = if hangs { Instant::now() + Duration::from_secs(3_600) } else { beat.min(idle_until) };
            if timeout_at(until, changed).await.is_ok() || hangs {
                continue;
            }
            if Instant::now() >= idle_until {
                return self.kill_idle(claimed.registration);
            }
            beat = Instant::now() + Duration::from_millis(claimed.heartbeat_ms);
            if self.report(Report::Idle).await == Some(ReportAnswer::EndIfIdle)
                && self.assigned(claimed.registration).is_none()
            {
                if world.fault("spot notice before a job", |profile| profile.spot_early) {
                    self.noticed().await;
                }
                return self.kill_idle(claimed.registration);
            }
        }
    }

    fn assigned(&self, id: RegistrationId) -> Option<JobId> {
        self.world.lock().hub.assigned(id)
    }

    fn start_job(&self, job: JobId, id: RegistrationId) -> bool {
        let now_ms = self.world.now_ms();
        let started = self.world.lock().hub.start(now_ms, job, id).is_ok();
        self.world.changed.notify_one();
        started
    }

    /// The window that remains: a job was assigned, its worker is not born. GitHub queues it again after 60 s.
    fn kill_idle(&self, id: RegistrationId) -> Option<JobId> {
        let now_ms = self.world.now_ms();
        let mut state = self.world.lock();
        if state.hub.assigned(id).is_some() {
            *state.faults.entry("idle end in the window").or_default() += 1;
        }
        state.hub.disconnect(now_ms, id);
        drop(state);
        self.world.changed.notify_one();
        None
    }

    async fn work(&self, job: JobId, id: RegistrationId) -> &'static str {
        let world = &self.world;
        self.report(Report::JobStarted).await;
        let length_ms = world.fleet.length_ms(job);
        if world.fault("machine dies at work", |profile| profile.dies_at_work) {
            world.sleep(length_ms / 2).await;
            world.end_machine(&self.task, "Spot: the host was taken back");
            std::future::pending::<()>().await;
        }
        if world.fault("spot notice at work", |profile| profile.spot_at_work) {
            world.sleep(length_ms / 2).await;
            return self.taken_back(job, id, length_ms - length_ms / 2).await;
        }
        world.sleep(length_ms).await;
        self.finish_job(job, id, Conclusion::Success);
        world.sleep(world.dice(200..=3_000)).await;
        self.ended(true, EndReason::Exited).await
    }

    /// SIGTERM while a job runs: that is told, and the runner program interrupts the job.
    async fn taken_back(&self, job: JobId, id: RegistrationId, left_ms: u64) -> &'static str {
        let world = &self.world;
        self.noticed().await;
        if left_ms <= INTERRUPT_MS {
            world.sleep(left_ms).await;
            self.finish_job(job, id, Conclusion::Success);
        } else {
            world.sleep(world.dice(INTERRUPT_MIN_MS..=INTERRUPT_MS)).await;
            world.lock().interrupted.insert(job);
            self.finish_job(job, id, Conclusion::Failure);
        }
        world.sleep(world.dice(200..=3_000)).await;
        self.ended(true, EndReason::Terminated).await
    }

    /// The agent tells it; where it has no way to, ECS's events do.
    async fn noticed(&self) {
        match self.told {
            ClaimEnv::Ask { .. } => drop(self.report(Report::SpotNotice).await),
            ClaimEnv::Given(_) => self.world.engine_says(self.spec.runner.clone(), RunnerInput::SpotNotice),
        }
    }

    fn finish_job(&self, job: JobId, id: RegistrationId, conclusion: Conclusion) {
        let now_ms = self.world.now_ms();
        let mut state = self.world.lock();
        let conclusion = if state.failing.contains(&job) { Conclusion::Failure } else { conclusion };
        let _late = state.hub.finish(now_ms, job, id, conclusion).is_err();
        drop(state);
        self.world.changed.notify_one();
    }

    async fn ended(&self, ran_job: bool, why: EndReason) -> &'static str {
        self.report(Report::Ended { ran_job, exit_code: Some(0), why }).await;
        "exit 0"
    }

    async fn report(&self, report: Report) -> Option<ReportAnswer> {
        let ClaimEnv::Ask { token, .. } = &self.told else { return None };
        if self.world.fault("report lost", |profile| profile.report_lost) {
            return None;
        }
        let request = ReportRequest {
            protocol: PROTOCOL,
            runner: self.spec.runner.to_string(),
            attempt: self.spec.attempt,
            report,
        };
        self.world.fleet.report(&self.world, token, &request).await
    }
}
