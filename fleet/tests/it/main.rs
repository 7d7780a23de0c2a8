//! The core's tests that need more than one module: the tables, decisions by example, random sequences of events.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod decisions;
mod properties;
mod sweeps;
mod tables;
