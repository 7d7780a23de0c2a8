//! The totals: live runners in all and of each class, the drains, the marker of the inventory. One flat row of fields.
//!
//! Many commits change it at once, so none names its version: live runners are added to, and a decision's guards are
//! conditions on the fields' values.

use std::collections::BTreeMap;

use fleet::{
    drain::{Drains, Extent},
    ids::ClassName,
    ledger::{RowError, decode_row, encode_row},
    view::{Decision, Guard},
};

/// Live runners in all.
const LIVE: &str = "live";

/// Set when all that the engine runs has been adopted.
const INVENTORIED: &str = "inventoried";

/// Entries of the log from before this time are not shown, milliseconds.
pub(crate) const LOG_FROM: &str = "log_from_ms";

fn live_of(class: &ClassName) -> String {
    format!("{LIVE}#{class}")
}

const DRAIN: &str = "drain#";

fn drain_of(extent: &Extent) -> String {
    format!("{DRAIN}{}", extent.key())
}

/// The totals as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) live: u32,
    pub(crate) classes: BTreeMap<ClassName, u32>,
    pub(crate) drains: Drains,
    pub(crate) inventoried: bool,
    pub(crate) log_from_ms: u64,
}

impl Totals {
    /// Reads the fields.
    ///
    /// # Errors
    /// One is damaged.
    pub(crate) fn decode(fields: &BTreeMap<String, String>) -> Result<Self, RowError> {
        let mut totals = Self::default();
        for (field, value) in fields {
            totals.add(field, value).map_err(|error| RowError::new(format!("total `{field}`: {error}")))?;
        }
        Ok(totals)
    }

    fn add(&mut self, field: &str, value: &str) -> Result<(), RowError> {
        let number = || value.parse::<u64>().map_err(|_| RowError::new(format!("`{value}` is no number")));
        let count = || Ok(u32::try_from(number()?).unwrap_or(u32::MAX));
        if let Some(class) = field.strip_prefix(LIVE).and_then(|rest| rest.strip_prefix('#')) {
            self.classes.insert(class.into(), count()?);
        } else if let Some(key) = field.strip_prefix(DRAIN) {
            let extent = Extent::parse(key).ok_or_else(|| RowError::new("no drain has this key"))?;
            self.drains.set(extent, Some(decode_row(value)?.value));
        } else if field == LIVE {
            self.live = count()?;
        } else if field == INVENTORIED {
            self.inventoried = true;
        } else if field == LOG_FROM {
            self.log_from_ms = number()?;
        }
        Ok(())
    }
}

/// What of the totals are rows of the core's tables: table, key and text of each.
///
/// # Errors
/// None of today's can fail.
pub(crate) fn totals_rows(fields: &BTreeMap<String, String>) -> Result<Vec<(&'static str, String, String)>, RowError> {
    let mut rows = Vec::new();
    for (field, value) in fields {
        if let Some(key) = field.strip_prefix(DRAIN) {
            rows.push(("drain", key.to_owned(), value.clone()));
        } else if field == INVENTORIED {
            rows.push(("marker", INVENTORIED.to_owned(), encode_row(0, &true)?));
        }
    }
    Ok(rows)
}

/// A condition on the totals' fields. A field that is not there counts as 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Its value is at most so large.
    AtMost(String, u32),
    /// Its value is at least so large, and not 0.
    AtLeast(String, u32),
    /// None of them is there.
    None(Vec<String>),
    /// One of them is there.
    Any(Vec<String>),
}

/// What a commit changes in the totals, and under which conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TotalsChange {
    /// Fields to add to.
    pub add: BTreeMap<String, i64>,
    /// Fields to set, or to take out.
    pub set: BTreeMap<String, Option<String>>,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

impl TotalsChange {
    /// What a decision sets and requires; what its runners add comes from [`TotalsChange::live`].
    pub(crate) fn of(decision: &Decision) -> Result<Self, RowError> {
        let mut change = Self::default();
        for (extent, drain) in &decision.drains {
            let text = drain.as_ref().map(|drain| encode_row(0, drain)).transpose()?;
            change.set.insert(drain_of(extent), text);
        }
        if decision.inventoried {
            change.set.insert(INVENTORIED.into(), Some("1".into()));
        }
        change.conditions = decision.guards.iter().filter_map(condition).collect();
        Ok(change)
    }

    /// Counts a runner in or out.
    pub(crate) fn live(&mut self, class: &ClassName, by: i64) {
        for field in [LIVE.to_owned(), live_of(class)] {
            *self.add.entry(field).or_default() += by;
        }
        self.add.retain(|_, by| *by != 0);
    }

    /// Whether it changes nothing.
    pub(crate) fn changes_nothing(&self) -> bool {
        self.add.is_empty() && self.set.is_empty()
    }

    /// Whether there is nothing to do for it.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes_nothing() && self.conditions.is_empty()
    }
}

/// A guard as a condition on the totals; `None` if it always holds or is one of a pool.
fn condition(guard: &Guard) -> Option<Condition> {
    let at_least = |field, n: u32| (n > 0).then_some(Condition::AtLeast(field, n));
    match guard {
        Guard::FleetAtMost(n) => Some(Condition::AtMost(LIVE.into(), *n)),
        Guard::FleetAtLeast(n) => at_least(LIVE.into(), *n),
        Guard::ClassAtMost(class, n) => Some(Condition::AtMost(live_of(class), *n)),
        Guard::ClassAtLeast(class, n) => at_least(live_of(class), *n),
        Guard::Drained(class, drained) => {
            let fields = vec![drain_of(&Extent::Fleet), drain_of(&Extent::Class(class.clone()))];
            Some(if *drained { Condition::Any(fields) } else { Condition::None(fields) })
        }
        Guard::NotInventoried => Some(Condition::None(vec![INVENTORIED.into()])),
        Guard::DeficitAtMost(..) | Guard::DeficitAtLeast(..) => None,
    }
}
