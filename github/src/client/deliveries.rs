//! Deliveries of our webhook that failed, and delivering them again. GitHub keeps them for three days and repeats none
//! by itself (FACTS §1).

use std::collections::BTreeMap;

use controller::ports::{ErrorKind, FailedDelivery, PortError, PortResult};
use fleet::ids::Scope;

use super::{Client, pages::PAGE_ITEMS};
use crate::{
    contract,
    fields::{FieldError, Fields},
    time,
    wire::{ask::Ask, refusal::unreadable},
};

/// Webhooks of a scope that are looked through for ours (GitHub allows 20 an event).
pub(super) const HOOK_PAGES_MAX: u32 = 5;

/// Deliveries that are looked through in one pass: 10 000.
const DELIVERY_PAGES_MAX: u32 = 100;

/// The event whose deliveries matter.
pub(super) const JOB_EVENT: &str = "workflow_job";

/// Lowest status that is worth another try: below, we refused it knowingly.
const STATUS_TRY_AGAIN: u64 = 500;

/// A delivery, or one of the attempts at it.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    id: u64,
    guid: String,
    pub(super) at_ms: u64,
    status_code: u64,
    job: bool,
    /// The App's installation, and the repository, that it is about.
    pub(super) installation: Option<u64>,
    pub(super) repository: Option<u64>,
}

/// Whose webhook ours is.
enum Hook {
    /// The App's.
    App,
    /// The scope's own, with its id.
    Own(u64),
}

impl Delivery {
    /// A time-out has the status code 0.
    fn failed(&self) -> bool {
        self.status_code == 0 || self.status_code >= STATUS_TRY_AGAIN
    }

    /// Whether it told of a job.
    pub(super) fn is_job(&self) -> bool {
        self.job
    }

    /// Status of the answer; 0: there was none.
    pub(super) fn status_code(&self) -> u64 {
        self.status_code
    }

    fn succeeded(&self) -> bool {
        (200..300).contains(&self.status_code)
    }
}

impl Client {
    /// The deliveries since a time that failed and have not succeeded since, oldest first.
    pub(super) async fn list_failed(&self, scope: &Scope, since_ms: u64) -> PortResult<Vec<FailedDelivery>> {
        let Hook::Own(hook) = self.hook(scope).await? else {
            return Ok(unanswered(self.app_deliveries(scope, since_ms).await?));
        };
        let ask = Ask::scope(contract::LIST_DELIVERIES.of(scope), scope).at("hook_id", hook);
        let listed = self.deliveries(&ask, since_ms).await;
        self.forget_hook_if_gone(scope, &listed);
        Ok(unanswered(listed?))
    }

    /// Delivers one again.
    pub(super) async fn deliver_again(&self, scope: &Scope, id: u64) -> PortResult<()> {
        let Hook::Own(hook) = self.hook(scope).await? else { return self.deliver_app_again(id).await };
        let ask = Ask::scope(contract::REDELIVER.of(scope), scope).at("hook_id", hook).at("delivery_id", id);
        let done = self.transport.send(&ask).await.map(drop);
        self.forget_hook_if_gone(scope, &done);
        done
    }

    /// Newest first, so that the first one before `since_ms` ends the reading.
    pub(super) async fn deliveries(&self, ask: &Ask<'_>, since_ms: u64) -> PortResult<Vec<Delivery>> {
        let mut all = Vec::new();
        let mut page = ask.clone().with("per_page", PAGE_ITEMS);
        for _ in 0..DELIVERY_PAGES_MAX {
            let answer = self.transport.send(&page).await?;
            let rows = Fields::elements(&answer.body, None);
            let rows = rows.and_then(|rows| rows.iter().map(delivery).collect::<Result<Vec<_>, _>>());
            let rows = rows.map_err(|why| unreadable(ask.call, why))?;
            let old = rows.iter().any(|row| row.at_ms < since_ms);
            all.extend(rows.into_iter().filter(|row| row.at_ms >= since_ms));
            let next = answer.link().and_then(next_cursor);
            let Some(cursor) = next.filter(|_| !old) else { return Ok(all) };
            page = ask.clone().with("per_page", PAGE_ITEMS).with("cursor", cursor);
        }
        tracing::warn!(deliveries = all.len(), "there are more deliveries than are read; the sweep looks jobs up too");
        Ok(all)
    }

    /// An id that was given, else the App's if that is ours, else the scope's that points at us.
    async fn hook(&self, scope: &Scope) -> PortResult<Hook> {
        if let Some(id) = self.settings.hook_ids.get(scope).copied() {
            return Ok(Hook::Own(id));
        }
        if self.app_hook_is_ours().await? {
            return Ok(Hook::App);
        }
        self.hook_id(scope).await.map(Hook::Own)
    }

    async fn hook_id(&self, scope: &Scope) -> PortResult<u64> {
        if let Some(id) = self.hooks.get(scope) {
            return Ok(id);
        }
        let none = |message: String| Err(PortError::new(ErrorKind::NotFound, message));
        let Some(url) = self.settings.hook_url.as_deref() else {
            return none(format!("which webhook of {scope} is ours is not known: give its URL or its id"));
        };
        let ask = Ask::scope(contract::LIST_HOOKS.of(scope), scope);
        let hooks = self.transport.list(&ask, None, HOOK_PAGES_MAX, hook).await?.read_so_far(&ask);
        let Some((id, _)) = hooks.into_iter().find(|(_, given)| given.as_deref().is_some_and(|given| same(given, url)))
        else {
            return none(format!("no webhook of {scope} points at {url}: create it, or give its id"));
        };
        self.hooks.keep(scope.clone(), id);
        Ok(id)
    }

    /// The webhook was deleted and perhaps made again: look it up next time.
    fn forget_hook_if_gone<T>(&self, scope: &Scope, result: &PortResult<T>) {
        if result.as_ref().is_err_and(|error| error.kind == ErrorKind::NotFound) {
            self.hooks.forget(scope);
        }
    }
}

/// One entry a GUID: its last failure, unless an attempt succeeded after it.
fn unanswered(all: Vec<Delivery>) -> Vec<FailedDelivery> {
    let mut last: BTreeMap<String, Delivery> = BTreeMap::new();
    for delivery in all.into_iter().filter(|delivery| delivery.job && (delivery.failed() || delivery.succeeded())) {
        let newest = last.entry(delivery.guid.clone()).or_insert_with(|| delivery.clone());
        if (delivery.at_ms, delivery.id) > (newest.at_ms, newest.id) {
            *newest = delivery;
        }
    }
    let mut failed: Vec<_> = last.into_values().filter(Delivery::failed).collect();
    failed.sort_by_key(|delivery| (delivery.at_ms, delivery.id));
    failed.into_iter().map(|one| FailedDelivery { id: one.id, guid: one.guid, at_ms: one.at_ms }).collect()
}

pub(super) fn delivery(row: &Fields<'_>) -> Result<Delivery, FieldError> {
    let at_ms = time::parse_ms(row.text("delivered_at")?).ok_or_else(|| row.wrong("delivered_at", "a time"))?;
    Ok(Delivery {
        id: row.number("id")?,
        guid: row.text("guid")?.to_owned(),
        at_ms,
        status_code: row.optional_number("status_code")?.unwrap_or(0),
        job: row.optional_text("event")?.is_none_or(|event| event == JOB_EVENT),
        installation: row.optional_number("installation_id")?,
        repository: row.optional_number("repository_id")?,
    })
}

fn hook(row: &Fields<'_>) -> Result<(u64, Option<String>), FieldError> {
    let config = row.optional_object("config")?;
    let url = config.and_then(|config| config.optional_text("url").transpose()).transpose()?;
    Ok((row.number("id")?, url.map(str::to_owned)))
}

/// Whether two addresses are the same but for case and a slash at the end.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/').eq_ignore_ascii_case(other.trim_end_matches('/'))
}

/// The cursor of the next page in a `Link` header. Only the cursor is taken: the address behind it, which our token
/// would go to, stays ours.
fn next_cursor(link: &str) -> Option<String> {
    let next = link.split(',').find(|entry| entry.split(';').skip(1).any(|part| part.trim() == "rel=\"next\""))?;
    let url = next.trim().strip_prefix('<')?.split('>').next()?;
    let url = reqwest::Url::parse(url).ok()?;
    url.query_pairs().find(|(name, _)| name == "cursor").map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(id: u64, guid: &str, at_ms: u64, status_code: u64) -> Delivery {
        Delivery { id, guid: guid.into(), at_ms, status_code, job: true, installation: None, repository: None }
    }

    #[test]
    fn only_the_last_failure_of_a_guid_counts_and_a_later_success_ends_it() {
        let other = Delivery { job: false, ..delivery(9, "issues", 9, 500) };
        let all = vec![
            delivery(7, "again", 70, 0),
            delivery(6, "well-then-not", 60, 502),
            delivery(5, "mended", 50, 200),
            delivery(4, "well-then-not", 40, 204),
            delivery(3, "refused", 30, 401),
            delivery(2, "mended", 20, 500),
            delivery(1, "again", 10, 503),
            other,
        ];
        let ids: Vec<u64> = unanswered(all).iter().map(|one| one.id).collect();
        assert_eq!(ids, [6, 7]);
    }

    #[test]
    fn only_the_cursor_of_the_next_page_is_taken() {
        let link =
            "<https://evil.test/x?cursor=no>; rel=\"prev\", <https://a.test/h?per_page=2&cursor=v1_5>; rel=\"next\"";
        assert_eq!(next_cursor(link).as_deref(), Some("v1_5"));
        assert_eq!(next_cursor("<https://a.test/h?page=2>; rel=\"next\""), None);
        assert_eq!(next_cursor("nonsense"), None);
    }
}
