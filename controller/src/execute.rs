//! The outbox: does what decisions want done, under leases, budgets and retries.
//!
//! Each effect is idempotent under its stored parameters. A crash at any point leaves it in the outbox; its lease runs
//! out and somebody does it (again).

use std::{sync::Arc, time::Duration};

use fleet::{
    budget::{Bucket, Grant},
    effect::{Effect, LaunchSpec, Notice, NoticeKind, Pending},
    event::Event,
    ids::{EffectId, JobId, RegistrationId, Repo, RunnerName, Scope, TaskId},
    runner::RunnerInput,
    view::{Decision, Keys},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, warn};

use crate::{
    backoff::Backoff,
    outfit::Outfit,
    ports::{ErrorKind, PortError, PortResult},
    service::Controller,
    settings::{
        DEREGISTER_TRIES, EFFECT_LEASE_MS, EFFECT_TIMEOUT_MS, EFFECTS_AT_ONCE, GITHUB_POINTS, NAMES_LOOKED_UP,
        READ_POINTS, RETRY_FIRST_MS, RETRY_MAX_MS, TRIES_BEFORE_NOTICE, WRITE_POINTS,
    },
};

/// Longest sleep of the executor: a store shared with others may get effects that nobody here was told of.
const LONGEST_SLEEP_MS: u64 = 5_000;

/// How an effect went.
enum Done {
    /// It is done, or no longer wanted.
    Yes,
    /// Not before this time, milliseconds; a budget is empty.
    NotBefore(u64),
}

impl Controller {
    /// Does effects as they fall due, until [`Controller::end`]. Dropping the future is a crash: what was in hand is done again.
    pub async fn run_executor(self: Arc<Self>) {
        let mut at_work = JoinSet::new();
        while !self.is_ending() {
            let room = EFFECTS_AT_ONCE - at_work.len();
            let taken = self.lease(room).await;
            for (id, pending) in taken {
                let this = self.clone();
                at_work.spawn(async move { this.execute(id, pending).await });
            }
            let sleep_ms = if at_work.len() < EFFECTS_AT_ONCE { self.sleep_ms().await } else { LONGEST_SLEEP_MS };
            tokio::select! {
                Some(_) = at_work.join_next() => {}
                () = self.effects_added.notified(), if at_work.len() < EFFECTS_AT_ONCE => {}
                () = tokio::time::sleep(Duration::from_millis(sleep_ms)) => {}
            }
        }
        while at_work.join_next().await.is_some() {}
    }

    /// Does what is due, and what falls due meanwhile. For who is called and not kept running, as functions are: nothing
    /// new is begun from `last_start` on, and what is in hand then is finished.
    ///
    /// Answers when to come again, milliseconds since 1970; `None` if nothing waits. What others lease counts: they may die.
    ///
    /// # Errors
    /// The store does not say when to come again: soon, then.
    pub async fn run_due(self: Arc<Self>, last_start: Instant) -> PortResult<Option<u64>> {
        let mut at_work = JoinSet::new();
        loop {
            let room = if Instant::now() < last_start { EFFECTS_AT_ONCE - at_work.len() } else { 0 };
            for (id, pending) in self.lease(room).await {
                let this = self.clone();
                at_work.spawn(async move { this.execute(id, pending).await });
            }
            if at_work.join_next().await.is_none() {
                return self.ports.store.next_due_ms().await;
            }
        }
    }

    /// Waits until a decision of this controller wants something done.
    pub async fn effects_added(&self) {
        self.effects_added.notified().await;
    }

    async fn lease(&self, room: usize) -> Vec<(EffectId, Pending)> {
        if room == 0 {
            return Vec::new();
        }
        let now_ms = self.ports.clock.now_ms();
        let until_ms = now_ms + EFFECT_LEASE_MS;
        self.ports.store.lease_due(&self.owner, now_ms, until_ms, room).await.unwrap_or_else(|error| {
            warn!(%error, "the outbox cannot be read; tried again");
            Vec::new()
        })
    }

    async fn sleep_ms(&self) -> u64 {
        let now_ms = self.ports.clock.now_ms();
        match self.ports.store.next_due_ms().await {
            Ok(Some(due_ms)) => due_ms.saturating_sub(now_ms).clamp(1, LONGEST_SLEEP_MS),
            Ok(None) | Err(_) => LONGEST_SLEEP_MS,
        }
    }

    async fn execute(&self, id: EffectId, pending: Pending) {
        let limit = Duration::from_millis(EFFECT_TIMEOUT_MS);
        let result = timeout(limit, self.perform(&pending))
            .await
            .unwrap_or_else(|_| Err(PortError::retry(format!("no answer within {EFFECT_TIMEOUT_MS} ms"))));
        let due_ms = match result {
            Ok(Done::Yes) => None,
            Ok(Done::NotBefore(due_ms)) => Some(due_ms),
            Err(error) => Some(self.failed(&id, &pending, &error).await),
        };
        self.settle(&id, due_ms).await;
    }

    /// Takes an effect out, or puts it back to be tried from `due_ms` on.
    ///
    /// A store that fails (a full disk) is asked again: an effect that nobody gives back is held until its lease ends,
    /// long after the store has recovered.
    async fn settle(&self, id: &EffectId, due_ms: Option<u64>) {
        let (store, mut backoff) = (&self.ports.store, Backoff::default());
        let give_up = Instant::now() + Duration::from_millis(EFFECT_LEASE_MS - EFFECT_TIMEOUT_MS);
        loop {
            let settled = match due_ms {
                None => store.finish_effect(id, &self.owner).await,
                Some(due_ms) => store.retry_effect(id, &self.owner, due_ms).await,
            };
            let Err(error) = settled else { return };
            if Instant::now() >= give_up {
                debug!(effect = %id, %error, "the effect stays leased and is done again when that runs out");
                return;
            }
            sleep(Duration::from_millis(backoff.next_ms())).await;
        }
    }

    /// Tells of a failure; when the effect is to be tried again.
    async fn failed(&self, id: &EffectId, pending: &Pending, error: &PortError) -> u64 {
        warn!(effect = %id, tries = pending.tries, %error, "tried again");
        if pending.tries == TRIES_BEFORE_NOTICE && !matches!(pending.effect, Effect::Notify(_)) {
            let text = format!("{id} has failed {} times: {error}", pending.tries);
            self.notify(NoticeKind::EffectFailing, &text).await;
        }
        let moment = self.ports.clock.moment();
        match error.kind {
            ErrorKind::RateLimited { until_ms } => until_ms,
            ErrorKind::Retry
            | ErrorKind::Capacity
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Denied
            | ErrorKind::Invalid => moment.now_ms + backoff_ms(pending.tries, moment.nonce),
        }
    }

    async fn perform(&self, pending: &Pending) -> PortResult<Done> {
        match &pending.effect {
            Effect::Launch(spec) => self.launch(spec).await,
            Effect::Stop { runner, task, why } => self.stop(runner, task.as_ref(), why).await,
            Effect::Deregister { runner, scope, claims } => {
                self.deregister(runner, scope, *claims, pending.tries).await
            }
            Effect::ReadJob { job, repo } => self.read_job(*job, repo).await,
            Effect::Rerun { job, repo } => self.rerun(*job, repo).await,
            Effect::Redeliver { delivery, scope } => self.redeliver(*delivery, scope).await,
            Effect::WakePool { .. } => {
                self.handle(&[Event::Balance]).await?;
                Ok(Done::Yes)
            }
            Effect::Notify(notice) => {
                self.ports.notifier.notify(notice).await?;
                Ok(Done::Yes)
            }
        }
    }

    async fn launch(&self, spec: &LaunchSpec) -> PortResult<Done> {
        if !self.is_wanted(spec).await? {
            return Ok(Done::Yes);
        }
        if let Some(limits) = self.ports.compute.launch_rate()
            && let Some(until_ms) = self.budget("launch", limits, 1).await?
        {
            return Ok(Done::NotBefore(until_ms));
        }
        let claim = match self.outfit(spec).await? {
            Outfit::Ready(claim) => claim,
            Outfit::NotBefore(until_ms) => return Ok(Done::NotBefore(until_ms)),
            Outfit::Unwanted => return Ok(Done::Yes),
        };
        let input = match self.ports.compute.launch(spec, &claim).await {
            Ok(task) => RunnerInput::Launched { attempt: spec.attempt, task },
            Err(error) => match error.kind {
                // Only these say for certain that nothing was started.
                ErrorKind::Capacity | ErrorKind::Denied | ErrorKind::Invalid => {
                    RunnerInput::Refused { attempt: spec.attempt, why: error.message.into() }
                }
                // Whether it was started is not known: the same attempt again, unchanged.
                ErrorKind::Retry | ErrorKind::RateLimited { .. } | ErrorKind::NotFound | ErrorKind::Conflict => {
                    return Err(error);
                }
            },
        };
        self.handle(&[Event::Runner { runner: spec.runner.clone(), input }]).await?;
        Ok(Done::Yes)
    }

    /// This occurs when a machine was started and ended while we were dead, before its launch was known as answered.
    async fn is_wanted(&self, spec: &LaunchSpec) -> PortResult<bool> {
        let keys = Keys { runners: [spec.runner.clone()].into(), ..Keys::default() };
        let view = self.ports.store.load(&keys, self.ports.clock.now_ms()).await?;
        Ok(view
            .runners
            .get(&spec.runner)
            .is_some_and(|row| row.value.state.is_live() && row.value.attempt == spec.attempt))
    }

    async fn stop(&self, runner: &RunnerName, task: Option<&TaskId>, why: &str) -> PortResult<Done> {
        let task = match task {
            Some(task) => Some(task.clone()),
            None => self.known_task(runner).await?,
        };
        // Without a handle the launch is still open: its answer brings one, and stores this effect anew.
        let Some(task) = task else { return Ok(Done::Yes) };
        match self.ports.compute.stop(&task, why).await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(Done::Yes),
        }
    }

    async fn known_task(&self, runner: &RunnerName) -> PortResult<Option<TaskId>> {
        let keys = Keys { runners: [runner.clone()].into(), ..Keys::default() };
        let view = self.ports.store.load(&keys, self.ports.clock.now_ms()).await?;
        Ok(view.runners.get(runner).and_then(|row| row.value.task.clone()))
    }

    async fn deregister(&self, runner: &RunnerName, scope: &Scope, claims: u32, tries: u32) -> PortResult<Done> {
        // All at once: many that take a part each and wait for the rest would keep each other from it for ever.
        let points = READ_POINTS * claims.min(NAMES_LOOKED_UP) + WRITE_POINTS;
        if let Some(until_ms) = self.github_budget(scope.owner(), points).await? {
            return Ok(Done::NotBefore(until_ms));
        }
        match self.delete_registered(runner, scope, claims).await {
            // GitHub still takes a dead runner for busy, and fails the job after a while; or it lets us do nothing here any
            // more. The sweep comes back to a registration that nothing stands behind.
            Err(error) if tries >= DEREGISTER_TRIES && is_of_a_kind_that_stays(error.kind) => {
                warn!(runner.name = %runner, %error, "left to the sweep");
                Ok(Done::Yes)
            }
            done => done.map(|()| Done::Yes),
        }
    }

    async fn delete_registered(&self, runner: &RunnerName, scope: &Scope, claims: u32) -> PortResult<()> {
        for id in self.registered(runner, scope, claims).await? {
            let deleted = self.ports.github.delete_runner(scope, id).await;
            self.heed(scope.owner(), deleted).await?;
        }
        Ok(())
    }

    /// What a runner may have registered: looked up by name if it claimed a few times, else found in the list.
    async fn registered(&self, runner: &RunnerName, scope: &Scope, claims: u32) -> PortResult<Vec<RegistrationId>> {
        let github = &self.ports.github;
        if claims > NAMES_LOOKED_UP {
            let all = self.heed(scope.owner(), github.runners(scope).await).await?;
            let prefix = format!("{runner}-");
            return Ok(all.iter().filter(|seen| seen.name.starts_with(&prefix)).map(|seen| seen.id).collect());
        }
        let mut found = Vec::new();
        for n in 1..=claims {
            let seen = github.runner_by_name(scope, &runner.registered(n)).await;
            found.extend(self.heed(scope.owner(), seen).await?.map(|seen| seen.id));
        }
        Ok(found)
    }

    async fn read_job(&self, job: JobId, repo: &Repo) -> PortResult<Done> {
        if let Some(until_ms) = self.github_budget(repo.owner(), READ_POINTS).await? {
            return Ok(Done::NotBefore(until_ms));
        }
        let read = self.ports.github.job(repo, job).await;
        if let Some(event) = self.heed(repo.owner(), read).await? {
            self.handle(&[event]).await?;
        }
        Ok(Done::Yes)
    }

    async fn rerun(&self, job: JobId, repo: &Repo) -> PortResult<Done> {
        if let Some(until_ms) = self.github_budget(repo.owner(), WRITE_POINTS).await? {
            return Ok(Done::NotBefore(until_ms));
        }
        let result = self.ports.github.rerun_job(repo, job).await;
        let result = self.heed(repo.owner(), result).await;
        self.once(result, &format!("job {job} could not be run again")).await
    }

    async fn redeliver(&self, delivery: u64, scope: &Scope) -> PortResult<Done> {
        if let Some(until_ms) = self.github_budget(scope.owner(), WRITE_POINTS).await? {
            return Ok(Done::NotBefore(until_ms));
        }
        let result = self.ports.github.redeliver(scope, delivery).await;
        let result = self.heed(scope.owner(), result).await;
        self.once(result, &format!("delivery {delivery} could not be asked for again")).await
    }

    /// A call whose refusal is final: a person is told, and it is not repeated for ever.
    async fn once(&self, result: PortResult<()>, what: &str) -> PortResult<Done> {
        match result {
            Ok(()) => Ok(Done::Yes),
            Err(error) if matches!(error.kind, ErrorKind::Retry | ErrorKind::RateLimited { .. }) => Err(error),
            Err(error) => {
                self.notify_denied(&format!("{what}: {error}")).await;
                Ok(Done::Yes)
            }
        }
    }

    /// Takes points of an owner's budget; when to come back if there are none.
    pub(crate) async fn github_budget(&self, owner: &str, points: u32) -> PortResult<Option<u64>> {
        self.budget(&format!("github/{owner}"), GITHUB_POINTS, points).await
    }

    async fn budget(&self, name: &str, limits: Bucket, points: u32) -> PortResult<Option<u64>> {
        let now_ms = self.ports.clock.now_ms();
        Ok(match self.ports.store.take_budget(name, limits, points, now_ms).await? {
            Grant::Granted => None,
            Grant::Until(until_ms) => Some(until_ms),
        })
    }

    /// What GitHub answered. When it says that an owner's limit is reached, the owner's budget is closed for all: who
    /// goes on asking is shut out for longer.
    pub(crate) async fn heed<T>(&self, owner: &str, answer: PortResult<T>) -> PortResult<T> {
        if let Err(PortError { kind: ErrorKind::RateLimited { until_ms }, .. }) = &answer {
            let name = format!("github/{owner}");
            if let Err(error) = self.ports.store.block_budget(&name, GITHUB_POINTS, *until_ms).await {
                warn!(owner, %error, "could not close the rate budget");
            }
        }
        answer
    }

    pub(crate) async fn notify_denied(&self, text: &str) {
        self.notify(NoticeKind::Denied, text).await;
    }

    /// Stores a notice; if even that fails, the log is what is left.
    pub(crate) async fn notify(&self, kind: NoticeKind, text: &str) {
        let mut decision = Decision::default();
        let now_ms = self.ports.clock.now_ms();
        decision.notify(Notice { kind, text: text.into() }, now_ms);
        match self.ports.store.commit(&decision, now_ms).await {
            Ok(()) => self.effects_added.notify_one(),
            Err(error) => error!(notice = kind.as_str(), text, %error, "a notice could not be stored"),
        }
    }
}

/// Doubles with each try; between half and all of it, so that many do not come back at once.
fn backoff_ms(tries: u32, nonce: u64) -> u64 {
    let full_ms = (RETRY_FIRST_MS << tries.min(16)).min(RETRY_MAX_MS);
    full_ms / 2 + nonce % (full_ms / 2 + 1)
}

/// Whether another try alone will not help.
fn is_of_a_kind_that_stays(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid)
}
