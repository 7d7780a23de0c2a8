//! Reading a request's body: so much of one, so long, and so much of all together.
//!
//! Whoever sends has not shown a signature yet. So memory follows what arrives and not what is announced, a small body
//! always has room, and large ones share a room that strangers cannot make larger.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    http::{StatusCode, header, request::Parts},
    response::Response,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{refuse, unavailable};

/// A body of so many bytes always has room: real `workflow_job` deliveries have 7 to 30 kB (FACTS §1).
const SMALL_BYTES: usize = 64 * 1_024;

/// What all larger bodies may hold together: two of the largest, and some.
const LARGE_BYTES: usize = 64 * 1_024 * 1_024;

/// The room is given out in pieces of so many bytes.
const PIECE_BYTES: usize = 1_024;

/// Of a body that is refused, so many bytes are taken off the wire and thrown away.
const UNSEEN_BYTES: usize = 64 * 1_024 * 1_024;

/// How long a body may take once its head is there: GitHub gives up after 10 s (FACTS §1).
const WITHIN: Duration = Duration::from_secs(10);

/// The room for large bodies.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE_BYTES / PIECE_BYTES)))
    }
}

/// A body that is all there. Its room is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Whole {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Whole {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// More than the limit.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// The other side closed, or broke the framing.
    CutOff,
    /// No room beside other large bodies.
    Crowded,
}

impl Fault {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::TooLarge => "the body is too large",
            Self::TooSlow => "the body took too long",
            Self::CutOff => "the body was cut off",
            Self::Crowded => "too many large bodies at once; try again",
        }
    }

    pub(super) fn answer(self) -> Response {
        match self {
            Self::TooLarge => refuse(StatusCode::PAYLOAD_TOO_LARGE, self.words()),
            Self::TooSlow => refuse(StatusCode::REQUEST_TIMEOUT, self.words()),
            Self::CutOff => refuse(StatusCode::BAD_REQUEST, self.words()),
            Self::Crowded => unavailable(self.words()),
        }
    }
}

/// Whether as much as is announced is within the limit.
pub(super) fn fits(body: &Body, limit: usize) -> bool {
    usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced <= limit)
}

/// Reads a body of at most `limit` bytes. `each` is shown every piece as it comes.
pub(super) async fn read(
    head: &Parts,
    mut body: Body,
    limit: usize,
    room: &Room,
    each: impl FnMut(&[u8]),
) -> Result<Whole, Fault> {
    let read = if fits(&body, limit) {
        timeout(WITHIN, gather(&mut body, limit, room, each)).await.unwrap_or(Err(Fault::TooSlow))
    } else {
        Err(Fault::TooLarge)
    };
    if matches!(read, Err(Fault::TooLarge | Fault::Crowded)) {
        discard(head, body).await;
    }
    read
}

/// Takes a body off the wire unseen: who is still sending when the connection ends may never read why.
pub(super) async fn discard(head: &Parts, mut body: Body) {
    // Such a sender waits for our word before it sends anything.
    if head.headers.contains_key(header::EXPECT) {
        return;
    }
    let rest = async {
        let mut seen = 0;
        while let Some(Ok(piece)) = next(&mut body).await {
            seen += piece.len();
            if seen > UNSEEN_BYTES {
                return;
            }
        }
    };
    // Whether it came or not, the answer is the same.
    let _late = timeout(WITHIN, rest).await;
}

async fn gather(body: &mut Body, limit: usize, room: &Room, mut each: impl FnMut(&[u8])) -> Result<Whole, Fault> {
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let mut growing = Growing { announced, ..Growing::default() };
    while let Some(piece) = next(body).await {
        let piece = piece?;
        if growing.len() + piece.len() > limit {
            return Err(Fault::TooLarge);
        }
        each(&piece);
        growing.add(piece, room)?;
    }
    Ok(growing.end())
}

/// The next bytes; trailers are none.
async fn next(body: &mut Body) -> Option<Result<Bytes, Fault>> {
    loop {
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await? {
            Err(_) => return Some(Err(Fault::CutOff)),
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
        }
    }
}

/// What has arrived. One piece stays as it came; more are put together.
#[derive(Debug, Default)]
struct Growing {
    announced: Option<usize>,
    first: Bytes,
    together: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Growing {
    fn len(&self) -> usize {
        self.first.len() + self.together.len()
    }

    fn add(&mut self, piece: Bytes, room: &Room) -> Result<(), Fault> {
        if self.len() == 0 {
            self.first = piece;
            return Ok(());
        }
        let first = std::mem::take(&mut self.first);
        self.reserve(first.len() + self.together.len() + piece.len(), room)?;
        self.together.extend_from_slice(&first);
        self.together.extend_from_slice(&piece);
        Ok(())
    }

    /// Room for `needed` bytes in all, taken before they are. It doubles, so that few copies are made, but never goes
    /// beyond what was announced.
    fn reserve(&mut self, needed: usize, room: &Room) -> Result<(), Fault> {
        let has = self.together.capacity();
        if needed <= has {
            return Ok(());
        }
        let generous = needed.max(has * 2).max(SMALL_BYTES.min(self.announced.unwrap_or(0)));
        let wanted = self.announced.map_or(generous, |announced| generous.min(announced.max(needed)));
        let pieces = |bytes: usize| bytes.saturating_sub(SMALL_BYTES).div_ceil(PIECE_BYTES);
        let more = u32::try_from(pieces(wanted) - pieces(has)).map_err(|_| Fault::TooLarge)?;
        if more > 0 {
            let permit = room.0.clone().try_acquire_many_owned(more).map_err(|_| Fault::Crowded)?;
            match &mut self.room {
                Some(room) => room.merge(permit),
                None => self.room = Some(permit),
            }
        }
        self.together.reserve_exact(wanted - self.together.len());
        Ok(())
    }

    fn end(self) -> Whole {
        let bytes = if self.together.is_empty() { self.first } else { self.together.into() };
        Whole { bytes, _room: self.room }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(pieces: usize, bytes: usize, announced: Option<usize>, room: &Room) -> Result<Growing, Fault> {
        let mut growing = Growing { announced, ..Growing::default() };
        for _ in 0..pieces {
            growing.add(vec![b'x'; bytes].into(), room)?;
        }
        Ok(growing)
    }

    #[test]
    fn small_bodies_need_no_room_and_one_piece_is_not_copied() {
        let full = Room(Arc::new(Semaphore::new(0)));
        assert_eq!(growing(8, SMALL_BYTES / 8, None, &full).unwrap().end().bytes().len(), SMALL_BYTES);
        let one = growing(1, 7_000, Some(7_000), &full).unwrap();
        assert_eq!((one.together.capacity(), one.end().bytes().len()), (0, 7_000));
        assert_eq!(growing(2, SMALL_BYTES, None, &full).unwrap_err(), Fault::Crowded);
    }

    #[test]
    fn room_is_taken_for_what_arrives_and_given_back() {
        let room = Room::default();
        let all = room.0.available_permits();
        let taken = || all - room.0.available_permits();
        let announced_only = growing(1, 1_000, Some(25 << 20), &room).unwrap();
        assert_eq!(taken(), 0, "an announcement takes nothing");
        let large = growing(25, 1 << 20, Some(25 << 20), &room).unwrap();
        assert_eq!(large.together.capacity(), 25 << 20, "no more than was announced");
        assert!(taken() * PIECE_BYTES >= (25 << 20) - SMALL_BYTES, "{}", taken());
        let second = growing(25, 1 << 20, Some(25 << 20), &room).unwrap().end();
        assert_eq!(growing(25, 1 << 20, Some(25 << 20), &room).unwrap_err(), Fault::Crowded);
        drop((announced_only, large, second));
        assert_eq!(taken(), 0);
    }
}
