//! Reading a list page by page: a hundred items each, a bound on the pages, and whether the list moved meanwhile.

use controller::ports::{PortError, PortResult};
use fleet::rota::Cost;
use serde_json::Value;

use super::transport::Transport;
use crate::{
    fields::{FieldError, Fields},
    wire::{ask::Ask, refusal::unreadable},
};

/// Items of a page, the most that GitHub gives.
pub(super) const PAGE_ITEMS: usize = 100;

/// A list as it was read.
#[derive(Debug)]
pub(super) struct Listing<T> {
    /// Its items.
    pub(super) items: Vec<T>,
    /// False if the list goes on behind the last page that may be read.
    pub(super) whole: bool,
    /// False if its length changed while it was read: an item may have slipped from one page to another unseen.
    pub(super) steady: bool,
    /// What it cost to read it.
    pub(super) cost: Cost,
}

impl<T> Listing<T> {
    /// The items, or an error if some may be missing (lesson 15: what is missing from a page is taken for gone).
    pub(super) fn complete(self, ask: &Ask<'_>) -> PortResult<Vec<T>> {
        match (self.whole, self.steady) {
            (true, true) => Ok(self.items),
            (true, false) => {
                Err(PortError::retry(format!("the list of {} changed while it was read", ask.call.operation)))
            }
            (false, _) => Err(unreadable(ask.call, format!("it has more than {} items", self.items.len()))),
        }
    }

    /// The items, and a line in the log if there are more.
    pub(super) fn read_so_far(self, ask: &Ask<'_>) -> Vec<T> {
        if !self.whole {
            tracing::warn!(operation = ask.call.operation, items = self.items.len(), "a list is longer than is read");
        }
        self.items
    }
}

impl Transport {
    /// Reads up to `pages_max` pages; `name` is the field with the items, or the answer itself is the list.
    pub(super) async fn list<T: Send>(
        &self,
        ask: &Ask<'_>,
        name: Option<&'static str>,
        pages_max: u32,
        read: impl Fn(&Fields<'_>) -> Result<T, FieldError> + Send + Sync,
    ) -> PortResult<Listing<T>> {
        let mut listing = Listing { items: Vec::new(), whole: false, steady: true, cost: Cost::default() };
        let mut total = None;
        for page in 1..=pages_max {
            let page = ask.clone().with("per_page", PAGE_ITEMS).with("page", page);
            let answer = self.send(&page).await?;
            listing.cost += Cost::of_request(answer.unchanged);
            let body = answer.body;
            let count = take(&body, name, &mut listing.items, &read).map_err(|why| unreadable(ask.call, why))?;
            let now = body.get("total_count").and_then(Value::as_u64);
            listing.steady &= total.is_none() || total == now;
            total = now;
            if count < PAGE_ITEMS {
                listing.whole = true;
                break;
            }
        }
        Ok(listing)
    }
}

/// Reads the items of a page; how many there were.
fn take<T>(
    body: &Value,
    name: Option<&'static str>,
    items: &mut Vec<T>,
    read: impl Fn(&Fields<'_>) -> Result<T, FieldError>,
) -> Result<usize, FieldError> {
    let page = Fields::elements(body, name)?;
    for item in &page {
        items.push(read(item)?);
    }
    Ok(page.len())
}
