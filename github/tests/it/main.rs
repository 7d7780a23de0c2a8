//! The crate as its users see it: the webhook's bytes in, and the client against a small HTTP server that checks each
//! request against the contract and answers what GitHub documents.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod app;
mod calls;
mod contract;
mod deliveries;
mod errors;
mod jobs;
mod mutations;
mod releases;
mod server;
mod simulated;
mod webhook;
