//! Places for connections. There are only so many, and who does nothing with one does not keep it from others: where
//! all are taken, the connection that has waited longest for something from its other side is cut off.
//!
//! So a thousand idle connections do no harm: a delivery always gets a place, unless all of them are being answered.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::http::Extensions;
use rustix::process::{Resource, getrlimit};
use tokio::sync::Notify;

/// Most connections at once, if the limit of open files allows it.
const SEATS_MAX: u64 = 1_024;

/// The part of the open files that connections may take: one of so many. Store, engine and calls to GitHub need others.
const FILES_SHARE: u64 = 2;

/// Its request is complete: it is not cut off before it is answered.
const ANSWERING: u64 = u64::MAX;

/// All places.
#[derive(Debug)]
pub(super) struct Seats {
    max: usize,
    begun: Instant,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    last: u64,
    seats: BTreeMap<u64, Arc<Seat>>,
}

/// A connection's place.
#[derive(Debug)]
pub(super) struct Seat {
    /// Since when it waits for its other side, milliseconds since the seats were made; or [`ANSWERING`].
    since_ms: AtomicU64,
    cut: Notify,
}

/// A place that is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Taking {
    number: u64,
    seats: Arc<Seats>,
    seat: Arc<Seat>,
}

impl Seats {
    /// So many.
    pub(super) fn new(max: usize) -> Self {
        Self { max, begun: Instant::now(), taken: Mutex::default() }
    }

    /// As many as the limit of open files allows.
    pub(super) fn within_limits() -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::new(usize::try_from((files / FILES_SHARE).clamp(1, SEATS_MAX)).unwrap_or(1))
    }

    /// A place for a new connection, if need be an idle one's. `None` if all are being answered.
    pub(super) fn take(self: &Arc<Self>) -> Option<Taking> {
        let seat = Arc::new(Seat { since_ms: AtomicU64::new(self.now_ms()), cut: Notify::new() });
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.seats.len() >= self.max && !taken.cut_idlest() {
            return None;
        }
        taken.last += 1;
        let number = taken.last;
        taken.seats.insert(number, seat.clone());
        Some(Taking { number, seats: self.clone(), seat })
    }

    /// Cuts off the connection that has waited longest; whether there was one.
    pub(super) fn cut_idlest(&self) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).cut_idlest()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(ANSWERING - 1)
    }
}

impl Taken {
    fn cut_idlest(&mut self) -> bool {
        let since = |seat: &Seat| seat.since_ms.load(Ordering::Relaxed);
        let waiting = self.seats.iter().filter(|(_, seat)| since(seat) != ANSWERING);
        let Some(number) = waiting.min_by_key(|(_, seat)| since(seat)).map(|(number, _)| *number) else {
            return false;
        };
        if let Some(seat) = self.seats.remove(&number) {
            seat.cut.notify_one();
        }
        true
    }
}

impl Taking {
    /// What a request carries of it.
    pub(super) fn seat(&self) -> Arc<Seat> {
        self.seat.clone()
    }

    /// Something came or went: it waits anew.
    pub(super) fn moved(&self) {
        self.seat.since_ms.store(self.seats.now_ms(), Ordering::Relaxed);
    }

    /// Comes when the place is needed by another.
    pub(super) async fn cut(&self) {
        self.seat.cut.notified().await;
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner).seats.remove(&self.number);
    }
}

/// The request is complete: its connection keeps its place until it is answered.
pub(super) fn keep(extensions: &Extensions) {
    if let Some(seat) = extensions.get::<Arc<Seat>>() {
        seat.since_ms.store(ANSWERING, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_cut(taking: &Taking) -> bool {
        let mut cut = std::pin::pin!(taking.cut());
        cut.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn the_one_that_waits_longest_makes_room_and_one_that_is_answered_stays() {
        let seats = Arc::new(Seats::new(3));
        let [first, second, third] = [(), (), ()].map(|()| seats.take().unwrap());
        first.seat.since_ms.store(ANSWERING, Ordering::Relaxed);
        second.seat.since_ms.store(2, Ordering::Relaxed);
        third.seat.since_ms.store(1, Ordering::Relaxed);
        let fourth = seats.take().unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(is_cut), [false, false, true, false]);
        fourth.seat.since_ms.store(ANSWERING, Ordering::Relaxed);
        let fifth = seats.take().unwrap();
        assert!(is_cut(&second));
        fifth.seat.since_ms.store(ANSWERING, Ordering::Relaxed);
        assert!(seats.take().is_none(), "all are being answered");
        first.moved();
        assert!(seats.take().is_some());
    }

    #[test]
    fn a_place_is_given_back() {
        let seats = Arc::new(Seats::new(1));
        let taking = seats.take().unwrap();
        taking.seat.since_ms.store(ANSWERING, Ordering::Relaxed);
        assert!(seats.take().is_none());
        drop(taking);
        assert!(seats.take().is_some());
        assert_eq!(seats.taken.lock().unwrap().seats.len(), 0);
    }
}
