//! Reads: rows by their keys, parts by their order, all at once.

use aws_sdk_dynamodb::{
    error::SdkError,
    types::{ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity},
};
use controller::ports::{PortError, PortResult};
use futures_util::future::{try_join, try_join_all};

use super::{
    Dynamo,
    item::{self, Item},
};
use crate::{
    rows::{Answer, Ask, At, Found, Part},
    stack::PARTITION_KEY,
};

/// Most keys of one batch (DynamoDB's limit).
const KEYS_PER_BATCH: usize = 100;

/// How often the rest of a batch is asked for again that DynamoDB did not come to.
const BATCH_TRIES: u32 = 8;

/// What all calls cost together.
pub(super) fn units<'a>(consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) -> f64 {
    consumed.into_iter().filter_map(ConsumedCapacity::capacity_units).sum()
}

impl Dynamo {
    pub(super) async fn read_all(&self, ask: &Ask) -> PortResult<Answer> {
        let mut keys: Vec<Item> = ask.keys.iter().map(item::key).collect();
        keys.extend(ask.totals.then(item::totals_key));
        let rows = try_join_all(keys.chunks(KEYS_PER_BATCH).map(|some| self.batch(some.to_vec())));
        let whole = ask.lists.iter().map(|part| (part, None));
        let parts = whole.chain(ask.firsts.iter().map(|(part, count)| (part, Some(*count))));
        let lists = try_join_all(parts.map(|(part, count)| self.list(part, count)));
        let (rows, lists) = try_join(rows, lists).await?;
        let mut answer = Answer { lists: lists.into_iter().collect(), ..Answer::default() };
        for item in rows.into_iter().flatten() {
            self.tally.read(1);
            match item::totals(&item) {
                Some(fields) => answer.totals = fields,
                None => self.keep(&item, ask, &mut answer)?,
            }
        }
        Ok(answer)
    }

    fn keep(&self, item: &Item, ask: &Ask, answer: &mut Answer) -> PortResult<()> {
        let found = self.row(item)?;
        let (part, sort) = item::place(item).unwrap_or_default();
        let at = ask.keys.iter().find(|at| at.sort == sort && at.part.name() == part);
        answer.rows.extend(at.map(|at: &At| (at.clone(), found)));
        Ok(())
    }

    fn row(&self, item: &Item) -> PortResult<Found> {
        item::found(item).map_err(|error| self.words.unreadable(&error))
    }

    /// The items of these keys that exist.
    async fn batch(&self, keys: Vec<Item>) -> PortResult<Vec<Item>> {
        let (mut keys, mut items) = (keys, Vec::new());
        for round in 0..BATCH_TRIES {
            if keys.is_empty() {
                return Ok(items);
            }
            let asked_keys = keys.len() as f64;
            let wanted = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(keys)).build();
            let wanted = wanted.map_err(|error| self.words.not_built(&error))?;
            let asked = self.client.batch_get_item().request_items(&self.table, wanted);
            let told = asked.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            let told = told.map_err(|error| self.words.failed("read", &error))?;
            // A local AWS does not tell what a batch costs. DynamoDB takes a unit for each key, and rows are small.
            self.tally.called(units(told.consumed_capacity()).max(asked_keys), 0.0);
            let mut rest = told.unprocessed_keys.unwrap_or_default();
            items.extend(told.responses.and_then(|mut all| all.remove(&self.table)).unwrap_or_default());
            keys = rest.remove(&self.table).map(|rest| rest.keys).unwrap_or_default();
            if !keys.is_empty() {
                crate::tables::wait(round).await;
            }
        }
        Err(self.words.too_busy())
    }

    /// The rows of a part in their order; all, or the first.
    async fn list(&self, part: &Part, count: Option<usize>) -> PortResult<(Part, Vec<(String, Found)>)> {
        let items = self.query(part, true, count).await?;
        self.tally.read(items.len());
        let row = |item: &Item| Ok((item::place(item).unwrap_or_default().1, self.row(item)?));
        Ok((part.clone(), items.iter().map(row).collect::<PortResult<_>>()?))
    }

    async fn query(&self, part: &Part, forward: bool, count: Option<usize>) -> PortResult<Vec<Item>> {
        let (mut items, mut from) = (Vec::new(), None);
        loop {
            let left = count.map(|count| count.saturating_sub(items.len()));
            let asked = self.client.query().table_name(&self.table).consistent_read(true).scan_index_forward(forward);
            let asked = asked.key_condition_expression("#pk = :pk").expression_attribute_names("#pk", PARTITION_KEY);
            let asked = asked.expression_attribute_values(":pk", item::text(part.name()));
            let asked = asked.set_exclusive_start_key(from).set_limit(left.and_then(page));
            let told = asked.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            let told = told.map_err(|error| self.words.failed("read", &error))?;
            self.tally.called(units(told.consumed_capacity()), 0.0);
            items.extend(told.items.unwrap_or_default());
            from = told.last_evaluated_key;
            if from.is_none() || count.is_some_and(|count| items.len() >= count) {
                return Ok(items);
            }
        }
    }

    /// The newest rows of a part of the log.
    pub(super) async fn newest(&self, part: &Part, limit: usize) -> PortResult<Vec<(String, String)>> {
        let items = self.query(part, false, Some(limit)).await?;
        self.tally.read(items.len());
        self.log_rows(&items)
    }

    fn log_rows(&self, items: &[Item]) -> PortResult<Vec<(String, String)>> {
        let row = |item: &Item| Ok((item::place(item).unwrap_or_default().1, self.row(item)?.body));
        items.iter().map(row).collect()
    }

    /// The whole log: a scan of the table, so only for a person who asks for all of it.
    pub(super) async fn whole_log(&self, limit: usize) -> PortResult<Vec<(String, String)>> {
        let (mut items, mut from) = (Vec::new(), None);
        loop {
            let asked = self.client.scan().table_name(&self.table).consistent_read(true);
            let asked = asked.filter_expression("begins_with(#pk, :log)");
            let asked = asked.expression_attribute_names("#pk", PARTITION_KEY);
            let asked = asked.expression_attribute_values(":log", item::text(Part::LOG)).set_exclusive_start_key(from);
            let told = asked.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            let told = told.map_err(|error: SdkError<_>| self.words.failed("read", &error))?;
            self.tally.called(units(told.consumed_capacity()), 0.0);
            items.extend(told.items.unwrap_or_default());
            from = told.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        self.tally.read(items.len());
        let mut rows = self.log_rows(&items)?;
        rows.sort_unstable_by(|a, b| b.cmp(a));
        // An entry about a job and a runner is there twice.
        rows.truncate(limit.saturating_mul(2));
        Ok::<_, PortError>(rows)
    }
}

/// A page of so many; `None`: as many as fit.
fn page(count: usize) -> Option<i32> {
    i32::try_from(count).ok().filter(|count| *count > 0)
}
