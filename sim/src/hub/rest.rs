//! REST operations on runners and registrations (FACTS §2), with the lag and the lies that GitHub's reads have.
//!
//! What they say may be old or wrong; what they do is real. [`super::truth`] tells what really is.

use std::sync::Arc;

use fleet::event::Registration;
use fleet::ids::{RegistrationId, Repo, Scope};
use fleet::labels::LabelSet;

use super::Hub;
use super::faults::seen;
use super::limits::{READ_POINTS, RestError, RestResult, WRITE_POINTS};
use super::model::{Gone, Group, HubJob, NewRunner, Origin, Registered, Token};

/// Life of a registration token (FACTS §2: 1 h).
const TOKEN_MS: u64 = 3_600_000;
/// Most labels of a runner (FACTS §2: 1 to 100).
const LABELS_MAX: usize = 100;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// How many there are in all.
    pub total: usize,
    /// Those of this page.
    pub items: Vec<T>,
}

impl<T> Page<T> {
    /// Cuts page `page` (from 1) out of everything.
    pub(crate) fn cut(all: impl Iterator<Item = T>, page: usize, per_page: usize) -> Self {
        let (from, mut items, mut total) = (page.saturating_sub(1) * per_page, Vec::new(), 0);
        for item in all {
            if total >= from && items.len() < per_page {
                items.push(item);
            }
            total += 1;
        }
        Self { total, items }
    }
}

/// A runner as GitHub shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerView {
    /// Its number.
    pub id: RegistrationId,
    /// Its name.
    pub name: Arc<str>,
    /// Whether its listener is connected.
    pub online: bool,
    /// GitHub's flag.
    pub busy: bool,
    /// Whether it runs one job only.
    pub ephemeral: bool,
    /// Its group.
    pub group: u64,
    /// Its labels.
    pub labels: LabelSet,
}

impl RunnerView {
    /// How it looks to the core.
    pub fn registration(&self) -> Registration {
        Registration { id: self.id, name: self.name.clone(), online: self.online, busy: self.busy }
    }
}

/// A runner that was registered by `generate-jitconfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitGrant {
    /// Its number.
    pub id: RegistrationId,
    /// The answer is to get lost on its way.
    pub answer_lost: bool,
}

/// A token that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewToken {
    /// The token.
    pub token: u128,
    /// When it expires, milliseconds.
    pub expires_ms: u64,
}

impl Hub {
    /// `POST …/actions/runners/generate-jitconfig`: 404, 409 (the name exists), 422.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn jit_config(&mut self, now_ms: u64, runner: NewRunner) -> RestResult<JitGrant> {
        self.call(now_ms, WRITE_POINTS)?;
        let id = self.register_checked(now_ms, runner)?;
        let answer_lost = self.strikes(now_ms, self.faults.jit_lost_answer_permille, seen::JIT_ANSWER_LOST);
        Ok(JitGrant { id, answer_lost })
    }

    fn register_checked(&mut self, now_ms: u64, runner: NewRunner) -> RestResult<RegistrationId> {
        self.group_name(&runner.scope, runner.group)
            .filter(|_| self.has_scope(&runner.scope))
            .ok_or(RestError::not_found())?;
        if runner.labels.is_empty() || runner.labels.len() > LABELS_MAX || runner.name.is_empty() {
            return Err(RestError::new(422, "Validation Failed"));
        }
        self.register(now_ms, runner)
            .ok_or(RestError::new(409, "Already exists - A runner with the name already exists."))
    }

    /// `POST …/actions/runners/registration-token` and `…/remove-token`.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn runner_token(&mut self, now_ms: u64, scope: &Scope) -> RestResult<NewToken> {
        self.call(now_ms, WRITE_POINTS)?;
        if !self.has_scope(scope) {
            return Err(RestError::not_found());
        }
        let (token, expires_ms) = (self.rng.u128(..), now_ms + TOKEN_MS);
        self.tokens.retain(|_, token| token.expires_ms > now_ms);
        self.tokens.insert(token, Token { scope: scope.clone(), expires_ms });
        Ok(NewToken { token, expires_ms })
    }

    /// `config.sh` registers a runner; one token serves any number of them for an hour.
    ///
    /// # Errors
    /// 404 if the token is no good for that scope, 409 if the name exists and is not to be replaced, 422.
    pub fn register_with_token(
        &mut self,
        now_ms: u64,
        token: u128,
        runner: NewRunner,
        replace: bool,
    ) -> RestResult<RegistrationId> {
        let good = |token: &&Token| token.scope == runner.scope && now_ms < token.expires_ms;
        self.tokens.get(&token).filter(good).ok_or(RestError::not_found())?;
        let old = self.registries.get(&runner.scope).and_then(|registry| registry.names.get(&runner.name)).copied();
        if let Some(old) = old.filter(|_| replace) {
            self.remove(now_ms, old, Gone::Deleted);
        }
        self.register_checked(now_ms, runner)
    }

    /// `GET …/actions/runners?name=&per_page=&page=`.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn runners(
        &mut self,
        now_ms: u64,
        scope: &Scope,
        name: Option<&str>,
        page: usize,
        per_page: usize,
    ) -> RestResult<Page<RunnerView>> {
        self.call(now_ms, READ_POINTS)?;
        if !self.has_scope(scope) {
            return Err(RestError::not_found());
        }
        let at_ms = self.read_at(now_ms);
        let listed: Vec<RegistrationId> = match (self.registries.get(scope), name) {
            (None, _) => Vec::new(),
            // The index knows live names only; an old state is looked for one by one.
            (Some(registry), Some(name)) if at_ms == now_ms => registry.names.get(name).copied().into_iter().collect(),
            (Some(registry), _) => registry.listed.iter().copied().collect(),
        };
        let mut views = Vec::with_capacity(listed.len());
        for id in listed {
            views.extend(self.view(now_ms, at_ms, id).filter(|view| name.is_none_or(|name| *view.name == *name)));
        }
        let mut found = Page::cut(views.into_iter(), page, per_page);
        if self.faults.list_drop_permille > 0 && name.is_none() {
            found.items.retain(|_| !self.strikes(now_ms, self.faults.list_drop_permille, seen::LIST_DROPPED));
        }
        Ok(found)
    }

    /// `GET …/actions/runners/{id}`.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn runner(&mut self, now_ms: u64, scope: &Scope, id: RegistrationId) -> RestResult<RunnerView> {
        self.call(now_ms, READ_POINTS)?;
        let at_ms = self.read_at(now_ms);
        let mine = self.registrations.get(&id).is_some_and(|runner| runner.scope == *scope);
        self.view(now_ms, at_ms, id).filter(|_| mine).ok_or(RestError::not_found())
    }

    /// A runner as it was at `at_ms`, with the lie that holds now.
    fn view(&mut self, now_ms: u64, at_ms: u64, id: RegistrationId) -> Option<RunnerView> {
        let runner = self.registrations.get(&id)?;
        let (shown, fresh) = (runner.shown_at(at_ms), runner.shown_at(now_ms));
        let stale = runner.existed(at_ms) != runner.existed(now_ms) || shown != fresh;
        let lies = shown.1 && runner.lies(now_ms);
        let view = runner.existed(at_ms).then(|| RunnerView {
            id,
            name: runner.name.clone(),
            online: shown.0,
            busy: shown.1 && !lies,
            ephemeral: runner.ephemeral,
            group: runner.group,
            labels: runner.labels.clone(),
        });
        if stale {
            self.saw(seen::READ_STALE);
        }
        if lies && view.is_some() {
            self.saw(seen::BUSY_LIE);
        }
        view
    }

    /// `DELETE …/actions/runners/{id}`: 404, or 422 while it is busy — unless `busy` lies: then a working runner loses
    /// its registration and its job fails (FACTS §2).
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn delete_runner(&mut self, now_ms: u64, scope: &Scope, id: RegistrationId) -> RestResult<()> {
        self.call(now_ms, WRITE_POINTS)?;
        let mine = |runner: &&Registered| runner.is_live() && runner.scope == *scope;
        let runner = self.registrations.get(&id).filter(mine).ok_or(RestError::not_found())?;
        let busy = runner.job.and_then(|job| self.jobs.get(&job)).is_some_and(HubJob::is_running);
        if busy && !runner.lies(now_ms) {
            return Err(RestError::new(422, "Bad request - Runner is currently running a job and cannot be deleted."));
        }
        if busy {
            self.saw(seen::BUSY_LIE_DELETED);
        }
        self.remove(now_ms, id, Gone::Deleted);
        Ok(())
    }

    /// `GET /orgs/{org}/repos`, `GET /users/{user}/repos`.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn repositories(
        &mut self,
        now_ms: u64,
        owner: &str,
        page: usize,
        per_page: usize,
    ) -> RestResult<Page<Arc<Origin>>> {
        self.call(now_ms, READ_POINTS)?;
        if !self.owners.contains_key(owner) {
            return Err(RestError::not_found());
        }
        let repos = self.repos.values().filter(|origin| origin.repo.owner() == owner).cloned();
        Ok(Page::cut(repos, page, per_page))
    }

    /// `GET /orgs/{org}/actions/runner-groups?visible_to_repository=`.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn groups(&mut self, now_ms: u64, org: &str, visible_to: Option<&str>) -> RestResult<Vec<Group>> {
        self.call(now_ms, READ_POINTS)?;
        let refusing = self.faults.group_refuses && self.faulty(now_ms);
        let owner = self.owners.get(org).ok_or(RestError::not_found())?;
        let Some(name) = visible_to else { return Ok(owner.groups.clone()) };
        let repo = Repo::parse(&format!("{org}/{name}"));
        let origin = repo.and_then(|repo| self.repos.get(&repo)).ok_or(RestError::not_found())?;
        Ok(owner.groups.iter().filter(|group| !refusing && group.permits(origin)).cloned().collect())
    }
}

impl Registered {
    /// Whether `busy` lies of it.
    fn lies(&self, now_ms: u64) -> bool {
        self.lie_ms.is_some_and(|(from_ms, until_ms)| (from_ms..until_ms).contains(&now_ms))
    }
}
