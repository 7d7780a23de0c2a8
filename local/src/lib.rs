//! Adapters for one machine: a store in one SQLite file, and two engines: runners as processes, or as containers of a
//! Docker engine.
//!
//! They stand here because none needs the network or a cloud's library. They know nothing of GitHub and nothing of
//! each other; what the rows mean is `fleet`'s business, what an agent does on its machine is the agent's.

pub mod docker;
pub mod process;
pub mod programs;
pub mod sqlite;
pub mod word;

mod disk;
mod names;
