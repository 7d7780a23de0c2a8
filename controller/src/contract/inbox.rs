//! What every inbox must do: a letter comes to one taker, again after a restart, and never after it was acknowledged.

use std::{collections::BTreeSet, future::Future, sync::Arc};

use fleet::event::Event;
use tokio::task::JoinSet;

use super::{Checked, ensure, facts, run_each, same};
use crate::ports::{Inbox, Letter, PortResult};

const LETTERS: usize = 40;
const TAKERS: usize = 5;

/// Runs all checks of an inbox, each on a fresh, empty one.
///
/// # Errors
/// The first promise that is not kept.
pub async fn all<S, F>(make: impl Fn() -> F) -> Checked
where
    S: Inbox + 'static,
    F: Future<Output = Arc<S>>,
{
    run_each!(make, a_letter_comes_once, many_takers_share_the_letters, acknowledging_twice_is_fine)
}

/// Checks that letters that were not acknowledged come again after a restart, and others do not.
///
/// # Errors
/// What was lost or came again.
pub async fn durable<S, F, G>(make: impl Fn() -> F, reopen: impl Fn(Arc<S>) -> G) -> Checked
where
    S: Inbox + 'static,
    F: Future<Output = Arc<S>>,
    G: Future<Output = Arc<S>>,
{
    let inbox = make().await;
    inbox.append(&events(0..4)).await?;
    let letters = inbox.take(3).await?;
    let done: Vec<u64> = letters.iter().take(1).map(|letter| letter.receipt).collect();
    inbox.acknowledge(&done).await?;
    let inbox = reopen(inbox).await;
    let again = inbox.take(LETTERS).await?;
    same("letters after a restart", &again.len(), &3)?;
    ensure(again.iter().all(|letter| !done.contains(&letter.receipt)), "an acknowledged letter came again")?;
    inbox.acknowledge(&receipts(&again)).await?;
    let inbox = reopen(inbox).await;
    same("after all were acknowledged", &inbox.take(LETTERS).await?, &vec![])?;
    // A number that was used up before must not hide a new letter.
    inbox.append(&events(9..10)).await?;
    same("a new letter", &inbox.take(LETTERS).await?.len(), &1)
}

async fn a_letter_comes_once<S: Inbox>(inbox: Arc<S>) -> Checked {
    same("an empty inbox", &inbox.take(9).await?, &vec![])?;
    inbox.append(&[]).await?;
    inbox.append(&events(0..3)).await?;
    let (first, second) = (inbox.take(2).await?, inbox.take(9).await?);
    same("letters", &(first.len(), second.len()), &(2, 1))?;
    same("held letters", &inbox.take(9).await?, &vec![])?;
    let got: BTreeSet<String> = first.iter().chain(&second).map(|letter| format!("{:?}", letter.event)).collect();
    same("events", &got, &events(0..3).iter().map(|event| format!("{event:?}")).collect())
}

async fn many_takers_share_the_letters<S: Inbox + 'static>(inbox: Arc<S>) -> Checked {
    inbox.append(&events(0..LETTERS as u64)).await?;
    let mut takers = JoinSet::new();
    for _ in 0..TAKERS {
        let inbox = inbox.clone();
        takers.spawn(async move {
            let mut mine: Vec<Letter> = Vec::new();
            loop {
                let letters = inbox.take(3).await?;
                if letters.is_empty() {
                    return PortResult::Ok(mine);
                }
                inbox.acknowledge(&receipts(&letters)).await?;
                mine.extend(letters);
            }
        });
    }
    let mut all = Vec::new();
    while let Some(mine) = takers.join_next().await {
        all.extend(receipts(&mine??));
    }
    same("taken in all", &all.len(), &LETTERS)?;
    same("distinct", &all.iter().collect::<BTreeSet<_>>().len(), &LETTERS)
}

async fn acknowledging_twice_is_fine<S: Inbox>(inbox: Arc<S>) -> Checked {
    inbox.append(&events(0..2)).await?;
    let letters = inbox.take(1).await?;
    inbox.acknowledge(&receipts(&letters)).await?;
    inbox.acknowledge(&receipts(&letters)).await?;
    same("the other one", &inbox.take(9).await?.len(), &1)
}

fn events(ids: std::ops::Range<u64>) -> Vec<Event> {
    ids.flat_map(facts::queued).collect()
}

fn receipts(letters: &[Letter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.receipt).collect()
}
