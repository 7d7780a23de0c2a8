//! The control socket: what needs the living daemon. A small HTTP interface on a Unix socket in the data folder, so the
//! file's mode says who may use it: the user that runs the daemon, and root.
//!
//! | request | body | 200 |
//! |---|---|---|
//! | `GET /v1/live` | | [`wire::Live`]: facts that no row holds, and the rules in force |
//! | `POST /v1/stop` | [`wire::StopRequest`] | [`wire::Said`] |
//! | `POST /v1/drain` | [`wire::DrainRequest`] | [`wire::Said`] |
//! | `POST /v1/drain/end` | [`wire::DrainRequest`] | [`wire::Said`] |
//!
//! A wish that is not carried out is a 409 with the reason, an unknown runner a 404, a store that fails a 503.
//! What only reads the store does not come here: it reads the file, with or without a daemon.

mod client;
mod server;
pub(crate) mod wire;

use std::path::{Path, PathBuf};

pub(crate) use self::{
    client::{Client, NotDone, Unreachable},
    server::{Control, Server},
};

/// Where the socket is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}
