//! The store in Valkey (or Redis): a hash a part, a sorted set where the order counts, all under one hash tag a stage, so
//! that one script may write all of a commit, on one server, on a cluster and on ElastiCache Serverless.
//!
//! It is as durable as the server is made to be. After a loss everything is gone at once, and the sweep builds it again.
//! The URL's user and password are never shown.

mod link;
mod script;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use controller::ports::{PortError, PortResult, Secret};
use fleet::ledger::RowError;
use redis::{Pipeline, Value, from_redis_value};

use self::{link::Server, script::Commit, words::Words};
use crate::{
    rows::{Answer, Ask, Found, Part, Plan},
    tables::{Applied, Backend, Tables, Tally},
};

/// What separates a version from a row's text, and a sort key from it.
const VERSION_END: char = ':';
const SORT_END: char = '|';

/// Where the server's URL is from.
#[async_trait]
pub trait ServerUrl: std::fmt::Debug + Send + Sync {
    /// The URL with user and password.
    async fn current(&self) -> PortResult<Secret>;

    /// The same, because the server refuses it; `None`: there is no other.
    async fn again(&self) -> PortResult<Option<Secret>>;
}

/// One that stays.
#[async_trait]
impl ServerUrl for Secret {
    async fn current(&self) -> PortResult<Secret> {
        Ok(self.clone())
    }

    async fn again(&self) -> PortResult<Option<Secret>> {
        Ok(None)
    }
}

/// The store in Valkey.
pub type ValkeyStore = Tables<Valkey>;

/// A Valkey server, or a cluster of them.
#[derive(Debug)]
pub struct Valkey {
    server: Server,
    names: Names,
    commit: Commit,
    tally: Tally,
}

impl ValkeyStore {
    /// Connects. `url` is `valkey://` or `redis://`, with TLS `valkeys://` or `rediss://`: `//user:password@host:port`.
    ///
    /// # Errors
    /// `Invalid`: that is no such URL. `Denied`: the server refuses user and password. `Retry`: it does not answer.
    pub async fn open(url: &str, stage: &str) -> PortResult<Self> {
        Self::open_by(Arc::new(Secret::new(url)), stage).await
    }

    /// The same, with a user or a password that may be changed while this lives.
    ///
    /// # Errors
    /// As [`ValkeyStore::open`], and the source's.
    pub async fn open_by(url: Arc<dyn ServerUrl>, stage: &str) -> PortResult<Self> {
        let server = Server::open(url).await?;
        let names = Names { tag: format!("{{self-runners:{stage}}}") };
        Ok(Self::over(Valkey { server, names, commit: Commit::new(), tally: Tally::default() }))
    }
}

/// The keys of a stage.
#[derive(Debug)]
struct Names {
    tag: String,
}

impl Names {
    fn part(&self, part: &Part) -> String {
        format!("{}:{}", self.tag, part.name())
    }

    fn totals(&self) -> String {
        format!("{}:totals", self.tag)
    }

    /// All parts of the log in one order.
    fn whole_log(&self) -> String {
        format!("{}:{}#all", self.tag, Part::LOG)
    }
}

#[async_trait]
impl Backend for Valkey {
    async fn read(&self, ask: &Ask) -> PortResult<Answer> {
        let (pipe, wanted) = self.question(ask);
        let values = self.server.ask(&pipe).await?;
        self.tally.called(0.0, 0.0);
        let mut answer = Answer::default();
        for (wanted, value) in wanted.into_iter().zip(values) {
            self.take(wanted, value, &mut answer)?;
        }
        self.tally.read(answer.rows.len() + answer.lists.values().map(Vec::len).sum::<usize>());
        self.tally.read(usize::from(ask.totals));
        Ok(answer)
    }

    async fn apply(&self, plan: &Plan) -> PortResult<Applied> {
        let call = self.commit.call(&self.names, plan)?;
        let answer: (u8, usize) = self.server.run(&call).await?;
        self.tally.called(0.0, 0.0);
        self.tally.written(plan.changes.len() + plan.log.len() + usize::from(!plan.totals.is_empty()));
        match answer {
            (0, _) => Ok(Applied::Done),
            (1, n) => {
                let condition = plan.totals.conditions.get(n.saturating_sub(1));
                Ok(Applied::Refused(format!("{condition:?} does not hold")))
            }
            (_, _) => Ok(Applied::Changed),
        }
    }

    async fn log(&self, part: Option<&Part>, limit: usize) -> PortResult<Vec<(String, String)>> {
        let key = part.map_or_else(|| self.names.whole_log(), |part| self.names.part(part));
        // An entry about a job and a runner is in the whole log twice.
        let most = i64::try_from(limit.saturating_mul(2)).unwrap_or(i64::MAX);
        let mut pipe = Pipeline::new();
        pipe.cmd("ZREVRANGEBYLEX").arg(&key).arg("+").arg("-").arg("LIMIT").arg(0).arg(most);
        let value = self.server.ask(&pipe).await?.pop().unwrap_or(Value::Nil);
        self.tally.called(0.0, 0.0);
        let rows: Vec<(String, String)> =
            self.members(value)?.into_iter().map(|(sort, found)| (sort, found.body)).collect();
        self.tally.read(rows.len());
        Ok(rows)
    }

    /// The parts of single jobs and runners go by themselves when nothing is added for so long.
    async fn forget_log(&self, before: &str) -> PortResult<()> {
        let mut pipe = Pipeline::new();
        pipe.cmd("ZREMRANGEBYLEX").arg(self.names.whole_log()).arg("-").arg(format!("({before}"));
        self.server.ask(&pipe).await.map(drop)
    }

    fn unreadable(&self, error: &RowError) -> PortError {
        self.server.words().unreadable(&self.names.tag, error)
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// What a value of an answer is.
enum Wanted {
    Rows(Part, Vec<String>),
    Hash(Part),
    Ordered(Part),
    Totals,
}

impl Valkey {
    /// One round trip for all that is asked.
    fn question(&self, ask: &Ask) -> (Pipeline, Vec<Wanted>) {
        let mut keys: std::collections::BTreeMap<&Part, Vec<String>> = std::collections::BTreeMap::new();
        for at in &ask.keys {
            keys.entry(&at.part).or_default().push(at.sort.clone());
        }
        let (mut pipe, mut wanted) = (Pipeline::new(), Vec::new());
        for (part, sorts) in keys {
            pipe.cmd("HMGET").arg(self.names.part(part)).arg(&sorts);
            wanted.push(Wanted::Rows(part.clone(), sorts));
        }
        for part in &ask.lists {
            pipe.cmd("HGETALL").arg(self.names.part(part));
            wanted.push(Wanted::Hash(part.clone()));
        }
        for (part, count) in &ask.firsts {
            pipe.cmd("ZRANGEBYLEX").arg(self.names.part(part)).arg("-").arg("+").arg("LIMIT").arg(0).arg(*count);
            wanted.push(Wanted::Ordered(part.clone()));
        }
        if ask.totals {
            pipe.cmd("HGETALL").arg(self.names.totals());
            wanted.push(Wanted::Totals);
        }
        (pipe, wanted)
    }

    fn take(&self, wanted: Wanted, value: Value, answer: &mut Answer) -> PortResult<()> {
        match wanted {
            Wanted::Rows(part, sorts) => {
                let values: Vec<Option<String>> = self.typed(value)?;
                for (sort, text) in sorts.into_iter().zip(values) {
                    if let Some(text) = text {
                        let found = self.row(&part, &sort, &text)?;
                        answer.rows.insert(crate::rows::At { part: part.clone(), sort }, found);
                    }
                }
            }
            Wanted::Hash(part) => {
                let values: std::collections::BTreeMap<String, String> = self.typed(value)?;
                let rows: PortResult<Vec<(String, Found)>> = values
                    .into_iter()
                    .map(|(sort, text)| {
                        let found = self.row(&part, &sort, &text)?;
                        Ok((sort, found))
                    })
                    .collect();
                answer.lists.insert(part, rows?);
            }
            Wanted::Ordered(part) => drop(answer.lists.insert(part, self.members(value)?)),
            Wanted::Totals => answer.totals = self.typed(value)?,
        }
        Ok(())
    }

    fn row(&self, part: &Part, sort: &str, text: &str) -> PortResult<Found> {
        let found = text.split_once(VERSION_END).and_then(|(version, body)| Some((version.parse().ok()?, body)));
        let Some((version, body)) = found else {
            let error = RowError::new(format!("row {}/{sort}: it has no version", part.name()));
            return Err(self.unreadable(&error));
        };
        Ok(Found { version, body: body.to_owned() })
    }

    fn members(&self, value: Value) -> PortResult<Vec<(String, Found)>> {
        let members: Vec<String> = self.typed(value)?;
        let row = |member: String| {
            let (sort, body) = member.split_once(SORT_END).unwrap_or((member.as_str(), ""));
            (sort.to_owned(), Found { version: 0, body: body.to_owned() })
        };
        Ok(members.into_iter().map(row).collect())
    }

    fn typed<T: redis::FromRedisValue>(&self, value: Value) -> PortResult<T> {
        from_redis_value(value).map_err(|error| self.server.words().failed(&error.into()))
    }
}

/// A row's text with its version.
fn with_version(row: &Found) -> String {
    format!("{}{VERSION_END}{}", row.version, row.body)
}

/// A member of a sorted set.
fn member(sort: &str, row: &Found) -> String {
    format!("{sort}{SORT_END}{}", row.body)
}

impl Words {
    /// A row that holds something other than it should.
    fn unreadable(&self, tag: &str, error: &RowError) -> PortError {
        self.damaged(&format!(
            "{error}. Start the version that wrote it, or delete the keys that begin with {tag}: runners that live are \
             adopted from the engine, nothing stops them, and GitHub is asked for the queued jobs"
        ))
    }
}
