//! The adapters against servers on this machine, and the stack.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ecs;
mod queue;
mod small;
mod stack;
mod vault;
