//! Writes: a transaction, or one write where one row is all.

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        CancellationReason, ConditionCheck, ConsumedCapacity, Delete, Put, PutRequest, ReturnConsumedCapacity,
        TransactWriteItem, Update, WriteRequest,
    },
};
use controller::ports::PortResult;

use super::{
    Dynamo,
    expression::Expression,
    item::{self, Item, VERSION},
    read::units,
};
use crate::{
    rows::{Change, Expect, Plan, TotalsChange},
    tables::{Applied, wait},
};

/// Most items of one transaction (DynamoDB's limit).
const TRANSACTION_MAX: usize = 100;

/// Most items of one batch (DynamoDB's limit).
const PUTS_PER_BATCH: usize = 25;

/// How often the rest of a batch is written again that DynamoDB did not come to.
const BATCH_TRIES: u32 = 8;

/// What a condition was found not to hold of.
const CHECK_FAILED: &str = "ConditionalCheckFailed";
const CONFLICT: &str = "TransactionConflict";
const REFUSED: &str = "a limit, a drain or the inventory is no longer as it was read";

impl Dynamo {
    pub(super) async fn write_plan(&self, plan: &Plan) -> PortResult<Applied> {
        let rows = plan.changes.len() + usize::from(!plan.totals.is_empty());
        if rows > TRANSACTION_MAX {
            return Err(self.words.too_many(rows, TRANSACTION_MAX));
        }
        let fits = rows + plan.log.len() <= TRANSACTION_MAX;
        let log: &[Change] = if fits { &plan.log } else { &[] };
        let all: Vec<&Change> = plan.changes.iter().chain(log).collect();
        let applied = match all.as_slice() {
            [] if plan.totals.is_empty() => Applied::Done,
            [] if !plan.totals.changes_nothing() => self.update(&plan.totals).await?,
            [Change::Put { at, row, expect, lasts_ms }] if plan.totals.is_empty() => {
                self.put(item::item(at, row, *lasts_ms), *expect).await?
            }
            [Change::Delete { at, expect }] if plan.totals.is_empty() => self.delete(item::key(at), *expect).await?,
            _ => self.transact(&all, &plan.totals).await?,
        };
        // The words of a decision that is too large for one transaction follow it. If we die in between they are lost,
        // and what was decided is not.
        if applied == Applied::Done && !fits {
            self.write_log(&plan.log).await?;
        }
        Ok(applied)
    }

    async fn transact(&self, changes: &[&Change], totals: &TotalsChange) -> PortResult<Applied> {
        let mut items = Vec::with_capacity(changes.len() + 1);
        if !totals.is_empty() {
            items.push(self.of_totals(totals));
        }
        items.extend(changes.iter().map(|change| self.of(change)));
        let items: Vec<TransactWriteItem> =
            items.into_iter().collect::<Result<_, _>>().map_err(|error| self.words.not_built(&error))?;
        let count = items.len();
        let asked = self.client.transact_write_items().set_transact_items(Some(items));
        let told = asked.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        self.tally.written(count);
        match told {
            Ok(told) => {
                self.tally.called(0.0, units(told.consumed_capacity()));
                Ok(Applied::Done)
            }
            Err(error) => {
                self.tally.called(0.0, 0.0);
                self.cancelled(&error, !totals.is_empty())
            }
        }
    }

    /// Why a transaction was not made.
    fn cancelled(&self, error: &SdkError<TransactWriteItemsError>, has_totals: bool) -> PortResult<Applied> {
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
            // One that two writers of an item get who come at the same time.
            let conflict = error.code().is_some_and(|code| code.starts_with(CONFLICT));
            return if conflict { Ok(Applied::Changed) } else { Err(self.words.failed("write", error)) };
        };
        let reasons = cancelled.cancellation_reasons();
        let is = |reason: &CancellationReason, code| reason.code() == Some(code);
        if has_totals && reasons.first().is_some_and(|reason| is(reason, CHECK_FAILED)) {
            return Ok(Applied::Refused(REFUSED.into()));
        }
        let mut codes = reasons.iter().filter_map(CancellationReason::code).filter(|code| *code != "None");
        match codes.find(|code| ![CHECK_FAILED, CONFLICT].contains(code)) {
            Some(other) => Err(self.words.not_written(other)),
            None => Ok(Applied::Changed),
        }
    }

    fn of(&self, change: &Change) -> Result<TransactWriteItem, BuildError> {
        let item = TransactWriteItem::builder();
        Ok(match change {
            Change::Put { at, row, expect, lasts_ms } => {
                let put = Put::builder().table_name(&self.table).set_item(Some(item::item(at, row, *lasts_ms)));
                let (condition, values) = expected(*expect);
                item.put(put.set_condition_expression(condition).set_expression_attribute_values(values).build()?)
            }
            Change::Delete { at, expect } => {
                let delete = Delete::builder().table_name(&self.table).set_key(Some(item::key(at)));
                let (condition, values) = expected(*expect);
                item.delete(delete.set_condition_expression(condition).set_expression_attribute_values(values).build()?)
            }
            Change::Check { at, expect } => {
                let check = ConditionCheck::builder().table_name(&self.table).set_key(Some(item::key(at)));
                let (condition, values) = expected(Some(*expect));
                let check = check.set_condition_expression(condition).set_expression_attribute_values(values);
                item.condition_check(check.build()?)
            }
        }
        .build())
    }

    fn of_totals(&self, totals: &TotalsChange) -> Result<TransactWriteItem, BuildError> {
        let Expression { update, condition, names, values } = Expression::of(totals);
        let (names, values) = (Some(names), Some(values).filter(|values| !values.is_empty()));
        let item = TransactWriteItem::builder();
        let Some(update) = update else {
            let check = ConditionCheck::builder().table_name(&self.table).set_key(Some(item::totals_key()));
            let check = check.set_condition_expression(condition).set_expression_attribute_names(names);
            return Ok(item.condition_check(check.set_expression_attribute_values(values).build()?).build());
        };
        let change = Update::builder().table_name(&self.table).set_key(Some(item::totals_key()));
        let change = change.update_expression(update).set_condition_expression(condition);
        let change = change.set_expression_attribute_names(names).set_expression_attribute_values(values);
        Ok(item.update(change.build()?).build())
    }

    async fn put(&self, row: Item, expect: Option<Expect>) -> PortResult<Applied> {
        let (condition, values) = expected(expect);
        let asked = self.client.put_item().table_name(&self.table).set_item(Some(row));
        let asked = asked.set_condition_expression(condition).set_expression_attribute_values(values);
        let told = asked.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        self.one(told.map(|told| told.consumed_capacity))
    }

    async fn delete(&self, key: Item, expect: Option<Expect>) -> PortResult<Applied> {
        let (condition, values) = expected(expect);
        let asked = self.client.delete_item().table_name(&self.table).set_key(Some(key));
        let asked = asked.set_condition_expression(condition).set_expression_attribute_values(values);
        let told = asked.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        self.one(told.map(|told| told.consumed_capacity))
    }

    async fn update(&self, totals: &TotalsChange) -> PortResult<Applied> {
        let Expression { update, condition, names, values } = Expression::of(totals);
        let values = Some(values).filter(|values| !values.is_empty());
        let asked = self.client.update_item().table_name(&self.table).set_key(Some(item::totals_key()));
        let asked = asked.set_update_expression(update).set_condition_expression(condition);
        let asked = asked.set_expression_attribute_names(Some(names)).set_expression_attribute_values(values);
        let told = asked.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let applied = self.one(told.map(|told| told.consumed_capacity))?;
        let refused = applied == Applied::Changed && !totals.conditions.is_empty();
        Ok(if refused { Applied::Refused(REFUSED.into()) } else { applied })
    }

    /// What became of the write of one row.
    fn one<E>(&self, told: Result<Option<ConsumedCapacity>, SdkError<E>>) -> PortResult<Applied>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.tally.written(1);
        self.tally.called(0.0, units(told.as_ref().ok().and_then(Option::as_ref)));
        match told {
            Ok(_) => Ok(Applied::Done),
            Err(error)
                if error.code().is_some_and(|code| [CHECK_FAILED, CONFLICT].iter().any(|c| code.starts_with(c))) =>
            {
                Ok(Applied::Changed)
            }
            Err(error) => Err(self.words.failed("write", &error)),
        }
    }

    async fn write_log(&self, log: &[Change]) -> PortResult<()> {
        for some in log.chunks(PUTS_PER_BATCH) {
            let rows = some.iter().filter_map(|change| match change {
                Change::Put { at, row, lasts_ms, .. } => Some(item::item(at, row, *lasts_ms)),
                Change::Delete { .. } | Change::Check { .. } => None,
            });
            let put = |row| PutRequest::builder().set_item(Some(row)).build();
            let puts: Result<Vec<PutRequest>, BuildError> = rows.map(put).collect();
            let puts = puts.map_err(|error| self.words.not_built(&error))?;
            self.batch_put(puts.into_iter().map(|put| WriteRequest::builder().put_request(put).build()).collect())
                .await?;
        }
        Ok(())
    }

    async fn batch_put(&self, puts: Vec<WriteRequest>) -> PortResult<()> {
        let mut puts = puts;
        for round in 0..BATCH_TRIES {
            self.tally.written(puts.len());
            let asked = self.client.batch_write_item().request_items(&self.table, puts);
            let told = asked.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            let told = told.map_err(|error| self.words.failed("write", &error))?;
            self.tally.called(0.0, units(told.consumed_capacity()));
            puts = told.unprocessed_items.and_then(|mut rest| rest.remove(&self.table)).unwrap_or_default();
            if puts.is_empty() {
                return Ok(());
            }
            wait(round).await;
        }
        Err(self.words.too_busy())
    }
}

/// What must be there, as a condition with its values.
fn expected(expect: Option<Expect>) -> (Option<String>, Option<Item>) {
    match expect {
        None => (None, None),
        Some(Expect::Absent) => (Some(format!("attribute_not_exists({VERSION})")), None),
        Some(Expect::Version(version)) => {
            (Some(format!("{VERSION} = :ver")), Some([(":ver".to_owned(), item::number(version))].into()))
        }
    }
}
