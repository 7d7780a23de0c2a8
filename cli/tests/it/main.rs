//! Whole commands: arguments in; exit code and both outputs out. Read `usage` first, then `daemon`.
//!
//! Nothing here waits for a fixed time: tests wait for what they want to see, with a deadline.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod cloud;
mod commands;
mod configuration;
#[cfg(feature = "aws")]
mod cost;
mod credentials;
mod daemon;
mod deliveries;
mod demo;
#[cfg(feature = "aws")]
mod deploys;
mod intake;
mod no_file;
mod practice;
mod robust;
#[cfg(feature = "aws")]
mod scripted;
mod secrets;
mod send;
mod setup;
mod usage;
#[cfg(feature = "aws")]
mod way;
