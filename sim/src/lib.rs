//! sim

pub mod hub;
pub mod standin;
pub mod workflow;
