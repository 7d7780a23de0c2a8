//! The functions without AWS: the events that the API hands over, and what they answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod hello;
mod scaler;
mod webhook;
