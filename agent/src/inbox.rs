//! How signals and other threads reach the loop: a channel, a flag, and a socket that wakes it.
//!
//! It only carries; what a fact means is `lifecycle`'s.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use signal_hook::consts::signal::{SIGCHLD, SIGINT, SIGTERM};

use crate::claim::Outcome;
use crate::report::Settled;

/// What other threads tell the loop.
pub(crate) enum Event {
    /// A claim came back.
    Claimed(Outcome),
    /// A report came back.
    Settled(Settled),
}

/// The loop's end.
pub(crate) struct Inbox {
    events: Receiver<Event>,
    wake: UnixStream,
    term: Arc<AtomicBool>,
}

/// The other threads' end.
#[derive(Clone)]
pub(crate) struct Mail {
    events: Sender<Event>,
    waker: Arc<UnixStream>,
}

impl Mail {
    /// Tells the loop.
    pub(crate) fn send(&self, event: Event) {
        // The loop is gone only when the agent ends.
        let _ended = self.events.send(event);
        let _full_is_awake = (&*self.waker).write(&[0]);
    }
}

impl Inbox {
    /// Both ends; from here on signals are caught.
    pub(crate) fn open() -> io::Result<(Self, Mail)> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let term = listen_to_signals(&waker)?;
        let (sender, events) = channel();
        Ok((Self { events, wake, term }, Mail { events: sender, waker: Arc::new(waker) }))
    }

    /// What to poll.
    pub(crate) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Empties the wake-up socket. To be called before the facts are taken, so that none that comes meanwhile is slept
    /// over.
    pub(crate) fn quiet(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64];
        loop {
            match self.wake.read(&mut buffer) {
                Ok(length) if length > 0 => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a signal asked the agent to end since this was asked last.
    pub(crate) fn take_term(&self) -> bool {
        self.term.swap(false, Ordering::SeqCst)
    }

    /// The events that are there.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        self.events.try_iter()
    }
}

/// Catches the signals that matter; each wakes the loop.
///
/// SIGINT is caught and means the same as SIGTERM. That also keeps the runner interruptible: a program started with
/// SIGINT ignored (as shells do with background jobs) hands that on to its children, a caught signal it does not.
fn listen_to_signals(waker: &UnixStream) -> io::Result<Arc<AtomicBool>> {
    let term = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&term))?;
        signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
    }
    signal_hook::low_level::pipe::register(SIGCHLD, waker.try_clone()?)?;
    Ok(term)
}
