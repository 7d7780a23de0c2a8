//! The webhook's way in under libFuzzer: its bytes are the dice of the generator that `cargo xtask fuzz` throws.
//!
//! ```console
//! $ cargo install cargo-fuzz && rustup toolchain install nightly
//! $ cargo +nightly fuzz run intake --fuzz-dir fuzz
//! ```
#![no_main]

use std::sync::LazyLock;

use github::webhook::promises::{Receiver, Sent};
use libfuzzer_sys::fuzz_target;
use sim::hostile::{Bytes, Hostile, MARKER, SECRETS};

static HOSTILE: LazyLock<Hostile> = LazyLock::new(Hostile::default);
static RECEIVER: LazyLock<Receiver> = LazyLock::new(|| Receiver::new(&SECRETS));

fuzz_target!(|bytes: &[u8]| {
    let request = HOSTILE.request(&mut Bytes(bytes));
    let sent = Sent { headers: &request.headers, body: &request.body, signed: request.signed, marker: MARKER };
    if let Err(broken) = RECEIVER.look(sent) {
        panic!("{broken}");
    }
});
