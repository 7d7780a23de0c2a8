//! The controller: the loop around the core. Load → decide → commit → execute, over ports that adapters implement.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ports`] | GitHub, engine, store, inbox, notifier, clock: the traits |
//! | [`service`] | `handle`: events in, one atomic write, answers out |
//! | [`letters`], [`backoff`] | the worker of the inbox, and its growing waits |
//! | [`execute`] | the outbox: effects under leases, budgets, retries |
//! | [`poll`] | looks for open jobs where no webhook tells of them |
//! | [`sweep`] | `sweep_once`: what events have missed |
//! | [`agent_api`], `registration` | claims and reports; the tokens that some claims are given |
//! | `outfit` | what a machine is told at its launch |
//! | [`token`] | the claim token |
//! | [`settings`] | limits and intervals, each a named constant |
//! | [`mem`], [`contract`] | a store in memory; the suites that every adapter passes |
//!
//! No decision is made here: that is `fleet`'s. No adapter is named here either.

pub mod agent_api;
pub mod backoff;
pub mod contract;
pub mod execute;
pub mod letters;
pub mod mem;
mod outfit;
pub mod poll;
pub mod ports;
mod registration;
pub mod service;
pub mod settings;
pub mod sweep;
pub mod token;
