//! GitHub workflow files: parsed, expanded into jobs, and decided upon as GitHub would.
//!
//! [`Workflow::parse`] turns a text into [`JobPlan`]s, one for each job of each matrix; `ready` says which of them
//! may run now; [`spec::JobSpec`] is what a worker gets. Expressions are shared: jobs' conditions are decided here,
//! steps' conditions by the worker in `standin`.
//!
//! All of it is pure, but for [`Workflow::load`]. It must not execute anything, and a bad file never panics: it
//! becomes a [`WorkflowError`] with line, column and what to do.

pub mod expr;
pub mod limits;
pub mod spec;
pub mod template;

mod error;
mod jobs;
mod matrix;
mod plan;
mod ready;
mod scalars;
mod steps;
mod yaml;

#[cfg(test)]
mod tests;

pub use error::{ErrorKind, WorkflowError};
pub use plan::{JobPlan, Workflow};
pub use ready::{Decision, JobOutcome, JobProgress, needs_of, ready};
