//! Whole commands: arguments in; exit code and both outputs out. Read `usage` first, then `daemon`.
//!
//! Nothing here waits for a fixed time: tests wait for what they want to see, with a deadline.

mod bench;
mod daemon;
mod intake;
mod usage;
