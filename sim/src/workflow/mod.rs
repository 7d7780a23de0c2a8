//! GitHub workflow files: parsed, expanded into jobs, and decided upon as GitHub would.
//!
//! Pure but for [`Workflow::load`](plan::Workflow::load). It must not execute anything: that is the worker's.

pub mod spec;
