//! The core's tests that need more than one module: the tables, decisions by example, random sequences of events.
mod decisions;
mod properties;
mod tables;
