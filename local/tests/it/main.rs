//! The adapters of one machine against the contracts, real files, real processes and real kills.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod process;
mod process_bench;
mod process_crash;
mod programs;
mod store;
mod store_crash;
mod store_file;
