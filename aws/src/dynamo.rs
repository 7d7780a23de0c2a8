//! The store in one DynamoDB table: on demand, a string key of part and sort key, one attribute by which ended rows go.
//!
//! A commit is one transaction; a change of one row is one write, which costs half. Reads are strongly consistent. What
//! DynamoDB charges for each call is counted.

mod expression;
mod item;
mod read;
mod words;
mod write;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::{Client, config};
use controller::ports::{PortError, PortResult};
use fleet::ledger::RowError;

use self::words::Words;
use crate::{
    Cloud,
    rows::{Answer, Ask, Part, Plan},
    tables::{Applied, Backend, Tables, Tally},
};

/// How long one try of a call may take: DynamoDB answers within tens of milliseconds, or something is wrong.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call may take with all its tries, well under the time that an effect is given.
const CALL_TIMEOUT: Duration = Duration::from_secs(12);

/// The store in DynamoDB.
pub type DynamoStore = Tables<Dynamo>;

/// A table of DynamoDB.
#[derive(Debug)]
pub struct Dynamo {
    client: Client,
    table: String,
    words: Words,
    tally: Tally,
}

impl DynamoStore {
    /// The store in this table. Asks nobody: the first call tells whether the table is there.
    #[must_use]
    pub fn open(cloud: &Cloud, table: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(TRY_TIMEOUT)
            .operation_attempt_timeout(TRY_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = config::Builder::from(cloud.config()).timeout_config(timeouts).build();
        let words = Words::new(table, cloud.region());
        let client = Client::from_conf(config);
        Self::over(Dynamo { client, table: table.into(), words, tally: Tally::default() })
    }
}

#[async_trait]
impl Backend for Dynamo {
    async fn read(&self, ask: &Ask) -> PortResult<Answer> {
        self.read_all(ask).await
    }

    async fn apply(&self, plan: &Plan) -> PortResult<Applied> {
        self.write_plan(plan).await
    }

    async fn log(&self, part: Option<&Part>, limit: usize) -> PortResult<Vec<(String, String)>> {
        match part {
            Some(part) => self.newest(part, limit).await,
            None => self.whole_log(limit).await,
        }
    }

    /// They go by DynamoDB's own time to live.
    async fn forget_log(&self, _before: &str) -> PortResult<()> {
        Ok(())
    }

    fn unreadable(&self, error: &RowError) -> PortError {
        self.words.unreadable(error)
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
