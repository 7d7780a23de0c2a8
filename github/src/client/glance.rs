//! One cheap question to a repository: is one of its newest runs open? Unchanged answers come as 304.
//!
//! Of an answer only its ETag and that one bit are kept: with hundreds of repositories the bodies would be too many.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use controller::ports::{Look, PortResult};
use fleet::{
    ids::Repo,
    rota::{Cost, How},
};
use reqwest::header::ETAG;

use super::Client;
use crate::{
    contract,
    fields::{FieldError, Fields},
    wire::{ask::Ask, refusal::unreadable},
};

/// Newest runs that are looked at: GitHub's usual page. An older one that is run again is found by a listing.
const RUNS: usize = 30;

/// Most repositories whose last answer is known; beyond, all are asked anew.
const GLANCES_MAX: usize = 20_000;

/// Status of a run that has ended.
const ENDED: &str = "completed";

/// What was seen last.
#[derive(Debug, Clone)]
struct Glance {
    etag: String,
    open: bool,
}

/// The last glances by repository.
#[derive(Debug, Default)]
pub(super) struct Glances(Mutex<BTreeMap<Repo, Glance>>);

impl Glances {
    fn get(&self, repo: &Repo) -> Option<Glance> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(repo).cloned()
    }

    fn keep(&self, repo: &Repo, glance: Option<Glance>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= GLANCES_MAX {
            known.clear();
        }
        match glance {
            Some(glance) => known.insert(repo.clone(), glance),
            None => known.remove(repo),
        };
    }
}

impl Client {
    /// Looks at a repository's newest runs, and lists its open jobs if one of them is open or if told to.
    pub(super) async fn look_at(&self, repo: &Repo, how: How) -> PortResult<Look> {
        if how == How::List {
            return self.list_open_jobs(repo).await;
        }
        let (open, changed) = self.glance(repo).await?;
        let cost = Cost::of_request(!changed);
        if !open {
            return Ok(Look { jobs: None, unread: BTreeSet::new(), open, changed, cost });
        }
        let mut look = self.list_open_jobs(repo).await?;
        look.cost += cost;
        Ok(Look { changed, ..look })
    }

    /// Whether one of the newest runs is open, and whether they are others than the last time.
    async fn glance(&self, repo: &Repo) -> PortResult<(bool, bool)> {
        let known = self.glances.get(repo);
        let ask = Ask::repo(&contract::LIST_RUNS, repo).with("exclude_pull_requests", true).with("per_page", RUNS);
        let etag = known.as_ref().map(|known| known.etag.as_str());
        let answer = self.transport.send_if_changed(&ask, etag).await?;
        let Some(answer) = answer else { return Ok((known.is_none_or(|known| known.open), false)) };
        let runs = Fields::elements(&answer.body, Some("workflow_runs"));
        let open = runs.and_then(|runs| {
            let states: Result<Vec<bool>, FieldError> = runs.iter().map(is_open).collect();
            states.map(|states| states.contains(&true))
        });
        let open = open.map_err(|why| unreadable(ask.call, why))?;
        let etag = answer.header(ETAG).map(str::to_owned);
        self.glances.keep(repo, etag.map(|etag| Glance { etag, open }));
        Ok((open, true))
    }
}

fn is_open(run: &Fields<'_>) -> Result<bool, FieldError> {
    Ok(run.text("status")? != ENDED)
}
