//! sim

pub mod standin;
pub mod workflow;
