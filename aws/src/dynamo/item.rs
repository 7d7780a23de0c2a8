//! Rows as items, and back.

use std::{
    collections::{BTreeMap, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::types::AttributeValue;
use fleet::ledger::RowError;

use crate::{
    rows::{At, Found},
    stack::{PARTITION_KEY, SORT_KEY, TTL_KEY},
};

/// The version of a row.
pub(super) const VERSION: &str = "ver";

/// Its text.
const BODY: &str = "body";

/// Part and sort key of the totals.
const TOTALS: &str = "totals";

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The key of a row.
pub(super) fn key(at: &At) -> Item {
    named(&at.part.name(), &at.sort)
}

/// The key of the totals.
pub(super) fn totals_key() -> Item {
    named(TOTALS, TOTALS)
}

fn named(part: &str, sort: &str) -> Item {
    [(PARTITION_KEY.to_owned(), text(part)), (SORT_KEY.to_owned(), text(sort))].into()
}

/// A row as it is written.
pub(super) fn item(at: &At, row: &Found, lasts_ms: Option<u64>) -> Item {
    let mut item = key(at);
    item.insert(VERSION.into(), number(row.version));
    item.insert(BODY.into(), text(&row.body));
    item.extend(lasts_ms.map(|ms| (TTL_KEY.to_owned(), number(now_s() + ms.div_ceil(1_000)))));
    item
}

/// This machine's clock, which is the one that DynamoDB compares with.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn string(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

/// Part and sort key of an item.
pub(super) fn place(item: &Item) -> Option<(String, String)> {
    Some((string(item, PARTITION_KEY)?, string(item, SORT_KEY)?))
}

/// The row of an item.
pub(super) fn found(item: &Item) -> Result<Found, RowError> {
    let version = item.get(VERSION).and_then(|value| value.as_n().ok()?.parse().ok());
    match (version, string(item, BODY)) {
        (Some(version), Some(body)) => Ok(Found { version, body }),
        (None, _) | (_, None) => {
            let (part, sort) = place(item).unwrap_or_default();
            Err(RowError::new(format!("row {part}/{sort}: it has no `{VERSION}` or no `{BODY}`")))
        }
    }
}

/// The totals of an item; `None` if it is another one.
pub(super) fn totals(item: &Item) -> Option<BTreeMap<String, String>> {
    place(item).filter(|(part, _)| part == TOTALS)?;
    let field = |(name, value): (&String, &AttributeValue)| {
        let value = value.as_n().or_else(|_| value.as_s()).ok()?;
        (name != PARTITION_KEY && name != SORT_KEY).then(|| (name.clone(), value.clone()))
    };
    Some(item.iter().filter_map(field).collect())
}
