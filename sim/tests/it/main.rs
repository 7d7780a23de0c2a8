//! Stories and wire tests of the simulation, in one binary. Read [`first_job`] first.
//!
//! A story is a fixed little world: the real controller and core under a paused clock, between a simulated GitHub and a
//! simulated engine. Each ends by itself with a look at what is left; see [`sim::swarm::story`].

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod approval;
mod boot;
mod burst;
mod cancelled;
mod clocks;
mod crashes;
mod deaths;
mod first_job;
mod group;
mod harness;
mod http_face;
mod limits;
mod listings;
mod many_hands;
mod no_route;
mod not_ours;
mod operator;
mod polling;
mod rest;
mod sizes;
mod spot;
mod stolen;
mod store_fails;
mod store_lost;
mod tokens;
mod webhooks;
