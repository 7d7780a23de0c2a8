//! sim

pub mod http;
pub mod hub;
pub mod standin;
pub mod workflow;
