//! What runner programs do: register, connect, stay alive, go.

use std::sync::Arc;

use fleet::ids::{JobId, RegistrationId, Scope};

use super::Hub;
use super::clock::Timer;
use super::jobs::Refused;
use super::model::{Gone, NewRunner, Note, Offer, OwnerKind, Registered, Session, Status};

/// A ghost's registration vanishes within this time after its listener connected.
const GHOST_WITHIN_MS: u64 = 300_000;

impl Hub {
    /// Whether runners can be registered with a scope: an organisation's or a repository's.
    pub fn has_scope(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Org(org) => self.owners.get(org).is_some_and(|owner| owner.kind == OwnerKind::Organization),
            Scope::Repo(repo) => self.repos.contains_key(repo),
        }
    }

    /// Name of a runner group of a scope.
    pub(crate) fn group_name(&self, scope: &Scope, group: u64) -> Option<Arc<str>> {
        self.owners.get(scope.owner())?.group(group).map(|group| group.name.clone())
    }

    /// Registers a runner; `None` if the name is taken or there is no such scope or group.
    pub fn register(&mut self, now_ms: u64, new: NewRunner) -> Option<RegistrationId> {
        let group_name = self.group_name(&new.scope, new.group).filter(|_| self.has_scope(&new.scope))?;
        let registry = self.registries.entry(new.scope.clone()).or_default();
        if registry.names.contains_key(&new.name) {
            return None;
        }
        let id = RegistrationId(self.next.registration);
        self.next.registration += 1;
        registry.names.insert(new.name.clone(), id);
        registry.listed.insert(id);
        let registered = Registered {
            id,
            name: new.name,
            scope: new.scope,
            labels: new.labels,
            group: new.group,
            group_name,
            ephemeral: new.ephemeral,
            created_ms: now_ms,
            session: Session::Never,
            job: None,
            gone: None,
            shown: Vec::with_capacity(4),
            lie_ms: None,
        };
        let unconnected_ms = self.unconnected_ms(registered.ephemeral);
        self.registrations.insert(id, registered);
        self.timer(now_ms + unconnected_ms, Timer::Unconnected(id));
        self.note(now_ms, || Note::Registered(id));
        Some(id)
    }

    pub(crate) fn unconnected_ms(&self, ephemeral: bool) -> u64 {
        if ephemeral { self.times.unconnected_ephemeral_ms } else { self.times.unconnected_ms }
    }

    /// Whether a registration exists.
    pub(crate) fn live(&self, id: RegistrationId) -> Result<&Registered, Refused> {
        self.registrations.get(&id).filter(|runner| runner.is_live()).ok_or(Refused::Gone)
    }

    /// A listener opens its session.
    ///
    /// # Errors
    /// When the registration is gone, or another session of it lives.
    pub fn connect(&mut self, now_ms: u64, id: RegistrationId) -> Result<(), Refused> {
        if self.live(id)?.session.is_online() {
            return Err(Refused::Conflict);
        }
        if let Some(runner) = self.registrations.get_mut(&id) {
            runner.session = Session::Open { beat_ms: now_ms };
        }
        self.show(now_ms, id);
        self.watch_beats(now_ms, id);
        self.note(now_ms, || Note::Connected(id));
        self.rest_if_free(now_ms, id);
        if self.roll(now_ms, self.faults.ghost_permille) {
            let at_ms = now_ms + self.rng.u64(0..GHOST_WITHIN_MS);
            self.timer(at_ms, Timer::Ghost(id));
        }
        Ok(())
    }

    /// A connected runner says that it lives. A ghost is not told that it is one.
    ///
    /// # Errors
    /// When the registration is gone and the listener can learn it.
    pub fn heartbeat(&mut self, now_ms: u64, id: RegistrationId) -> Result<(), Refused> {
        if self.is_ghost(id) {
            return Ok(());
        }
        self.live(id)?;
        let Some(runner) = self.registrations.get_mut(&id) else { return Err(Refused::Gone) };
        match runner.session {
            Session::Open { .. } | Session::Silent { .. } => runner.session = Session::Open { beat_ms: now_ms },
            // GitHub gave it up for a while; a worker that renews its job brings it back.
            Session::Closed { .. } | Session::Never => {
                runner.session = Session::Open { beat_ms: now_ms };
                self.show(now_ms, id);
                self.watch_beats(now_ms, id);
                self.rest_if_free(now_ms, id);
            }
        }
        Ok(())
    }

    /// Whether a listener waits on a registration that vanished under it.
    pub fn is_ghost(&self, id: RegistrationId) -> bool {
        self.registrations.get(&id).is_some_and(|runner| matches!(runner.gone, Some((_, Gone::Ghost))))
    }

    /// A listener closes its session in order.
    pub fn disconnect(&mut self, now_ms: u64, id: RegistrationId) {
        let Some(runner) = self.registrations.get_mut(&id).filter(|runner| runner.session.is_online()) else { return };
        runner.session = Session::Closed { at_ms: now_ms };
        let (ephemeral, live) = (runner.ephemeral, runner.is_live());
        self.idle.remove(&id);
        if live {
            self.show(now_ms, id);
            let unconnected_ms = self.unconnected_ms(ephemeral);
            self.timer(now_ms + unconnected_ms, Timer::Unconnected(id));
            self.timer(now_ms + self.times.lost_after_ms, Timer::Quiet(id));
        }
        self.note(now_ms, || Note::Disconnected(id));
    }

    /// A runner's machine dies without a word. GitHub notices later, and may give it a job until then.
    pub fn lost(&mut self, now_ms: u64, id: RegistrationId) {
        let times = self.times;
        let Some(runner) = self.registrations.get_mut(&id) else { return };
        if let Session::Open { .. } = runner.session {
            runner.session = Session::Silent { beat_ms: now_ms };
            self.timer(now_ms + times.offline_after_ms, Timer::Quiet(id));
            self.timer(now_ms + times.lost_after_ms, Timer::Quiet(id));
        }
    }

    /// Starts to look after a runner's heartbeats.
    pub(crate) fn watch_beats(&mut self, now_ms: u64, id: RegistrationId) {
        if !self.times.assume_heartbeats {
            self.timer(now_ms + self.times.offline_after_ms.min(self.times.lost_after_ms), Timer::Quiet(id));
        }
    }

    /// The job that a runner was given and has not picked up, if the offer reaches it.
    pub fn assigned(&self, id: RegistrationId) -> Option<JobId> {
        let runner = self.live(id).ok().filter(|runner| matches!(runner.session, Session::Open { .. }))?;
        let job = runner.job?;
        match self.jobs.get(&job)?.status() {
            Status::Assigned { offer: Offer::Heard, .. } => Some(job),
            Status::Assigned { offer: Offer::Unheard | Offer::Announced, .. }
            | Status::Waiting
            | Status::Queued
            | Status::Running { .. }
            | Status::Done { .. } => None,
        }
    }

    /// Takes a runner's job away; it can be given another one if it is still there.
    pub(crate) fn release(&mut self, now_ms: u64, id: RegistrationId) {
        let Some(runner) = self.registrations.get_mut(&id) else { return };
        runner.job = None;
        runner.lie_ms = None;
        if runner.is_live() {
            self.show(now_ms, id);
            self.rest_if_free(now_ms, id);
        }
    }

    /// A connected runner without a job waits for one. An ephemeral one that has had its job does not.
    fn rest_if_free(&mut self, now_ms: u64, id: RegistrationId) {
        let free = |runner: &&Registered| runner.is_live() && runner.session.is_online() && runner.job.is_none();
        if self.registrations.get(&id).as_ref().is_some_and(free) {
            self.idle.insert(id);
            self.look_for_pairs(now_ms);
        }
    }

    /// Takes a registration out of GitHub. A job that it runs goes on until GitHub notices.
    pub(crate) fn remove(&mut self, now_ms: u64, id: RegistrationId, why: Gone) {
        let lag_ms = self.faults.read_lag_ms;
        let Some(runner) = self.registrations.get_mut(&id).filter(|runner| runner.is_live()) else { return };
        runner.gone = Some((now_ms, why));
        self.idle.remove(&id);
        if let Some(registry) = self.registries.get_mut(&runner.scope) {
            registry.names.remove(&runner.name);
            if lag_ms == 0 {
                registry.listed.remove(&id);
            } else {
                self.timers.insert((now_ms + lag_ms, Timer::Unlist(id)));
            }
        }
        let job = runner.job;
        self.note(now_ms, || Note::Gone(id, why));
        if let Some(job) = job {
            self.orphan(now_ms, job, id);
        }
    }

    /// What becomes of the job of a registration that is gone.
    fn orphan(&mut self, now_ms: u64, job: JobId, runner: RegistrationId) {
        match self.jobs.get(&job).map(super::model::HubJob::status) {
            Some(Status::Assigned { .. }) => self.requeue(now_ms, job, runner),
            Some(Status::Running { .. }) => self.timer(now_ms + self.times.lost_after_ms, Timer::Orphaned(job)),
            Some(Status::Waiting | Status::Queued | Status::Done { .. }) | None => {}
        }
    }

    /// Remembers what GitHub shows of a runner from now on.
    pub(crate) fn show(&mut self, now_ms: u64, id: RegistrationId) {
        let Some(runner) = self.registrations.get_mut(&id) else { return };
        let busy = runner.job.and_then(|job| self.jobs.get(&job)).is_some_and(super::model::HubJob::is_running);
        runner.shown.push((now_ms, runner.session.is_online(), busy));
    }
}
