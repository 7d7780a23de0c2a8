//! The real program against a fake control plane and fake runner programs. Read `first_job` in `jobs` first.
//!
//! Nothing here waits for a fixed time: tests wait for what they want to see, with a deadline.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so and fails")]

mod bench;
mod claims;
mod ends;
mod jobs;
mod plane;
mod secrets;
mod tasks;
