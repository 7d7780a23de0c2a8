//! The adapters of one machine against the contracts, real files, real processes and real kills.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod store;
mod store_crash;
mod store_file;
