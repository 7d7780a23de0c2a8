//! GitHub, both ways: the webhooks that it sends ([`webhook`]) and the REST calls that it answers ([`client`]).
//!
//! An adapter: it knows the core's types and the ports, no other adapter, and decides nothing. What is asked of GitHub
//! stands in one table, [`contract`]; a request that is not in it cannot be made.

pub mod app;
pub mod client;
pub mod contract;
mod fields;
mod job;
pub mod manifest;
pub mod release;
mod settings;
mod time;
mod tls;
pub mod token;
pub mod webhook;
mod wire;

pub use app::{App, AppKey, AppTokens, KeySource};
pub use client::{Checked, Client, HookSet, HookState, RunnerGroup, RunnerToken};
pub use fields::FieldError;
pub use settings::{GITHUB_COM, Settings, TIMEOUT_MS, check_base_url};
pub use token::{StaticToken, TokenSource};
