//! Adapters for one machine: a store in one SQLite file, and an engine that runs each runner as a process.
//!
//! They stand here because neither needs the network or a cloud's library. They know nothing of GitHub and nothing of
//! each other; what the rows mean is `fleet`'s business, what an agent does in its folder is the agent's.

pub mod process;
pub mod sqlite;
pub mod word;

mod disk;
mod names;
