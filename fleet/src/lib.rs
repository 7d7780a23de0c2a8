//! The decision core of self-runners: facts in, decision out.
//!
//! Nothing here is async, does IO, reads a clock or rolls dice: `now` and a nonce are arguments, so every decision can
//! be replayed. Read it in this order:
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`], [`labels`] | names, numbers, label sets |
//! | [`class`], [`policy`] | kinds of runner, pools, the operator's rules; where a job belongs |
//! | [`wishes`], [`fargate`] | what a job may ask for beyond its class, `cpu=8`; the sizes that Fargate has |
//! | [`job`], [`runner`] | the two state machines: every (state × input) pair |
//! | [`event`] | what the core is told, what it answers |
//! | [`effect`] | what it wants done outside |
//! | [`drain`] | an operator's word that nothing more is started |
//! | [`view`] | what a decision reads and writes |
//! | [`mod@decide`], [`balance`] | the decision; demand against supply under the limits |
//! | [`standing`] | what keeps a runner from a waiting job, in words |
//! | [`mod@reconcile`] | engine × GitHub × our rows → what to repair |
//! | [`ledger`] | the store's tables in memory: totals, indexes, conditional commits |
//! | [`budget`], [`utc`] | rate budgets; moments as text |
//! | [`rota`] | which repository is asked for its jobs next, and when |
//! | [`table`] | both state machines as text |
//! | [`invariants`] | the promises, as functions that tests and the simulator share |
//! | [`wire`] | what the agent and the control plane say to each other |
//!
//! A job and a runner are not a pair: GitHub gives a job to any idle runner that has its labels. So demand (queued jobs
//! of a pool) is compared with supply (unbound runners of that pool), and only GitHub's word binds the two.

pub mod balance;
pub mod budget;
pub mod class;
pub mod decide;
pub mod drain;
pub mod effect;
pub mod event;
pub mod fargate;
pub mod ids;
pub mod invariants;
pub mod job;
pub mod labels;
pub mod ledger;
mod operator;
pub mod policy;
pub mod reconcile;
pub mod rota;
pub mod runner;
pub mod standing;
pub mod table;
pub mod utc;
pub mod view;
pub mod wire;
pub mod wishes;

pub use decide::decide;
pub use reconcile::reconcile;
