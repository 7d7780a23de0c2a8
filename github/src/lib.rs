//! GitHub, both ways: the webhooks that it sends ([`webhook`]) and the REST calls that it answers ([`client`]).
//!
//! An adapter: it knows the core's types and the ports, no other adapter, and decides nothing. What is asked of GitHub
//! stands in one table, [`contract`]; a request that is not in it cannot be made.

pub mod client;
pub mod contract;
mod fields;
mod job;
mod time;
mod tls;
pub mod token;
pub mod webhook;

pub use client::{Client, Settings};
pub use fields::FieldError;
pub use token::{StaticToken, TokenSource};
