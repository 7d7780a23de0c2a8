//! A GitHub that is not there, and machines that fail: the world against which the system is tried.
//!
//! - [`hub`]: a seeded GitHub in virtual time: repositories, runs, jobs, runners, deliveries, limits and its lies.
//! - [`http`]: an HTTP face before it, so that the real client and real webhooks run against it.
//! - [`workflow`] and [`standin`]: workflow files, and the program that executes their steps in the official runner's place.
//! - [`image`]: an image of agent and stand-in, for runners in containers.
//! - [`aws`]: an ECS with its rules, limits and lies, over HTTP, for the real client.
//! - [`payloads`] and [`hostile`]: deliveries as GitHub documents them, and bent ones.
//! - [`swarm`]: random worlds with faults on, then off, the checker that watches them, and wrong deciders that it must catch.
//!
//! Nothing here may be linked into what runs in a cloud: the crates that are deployed do not depend on this one.

pub mod aws;
pub mod hostile;
pub mod http;
pub mod hub;
pub mod image;
pub mod payloads;
pub mod standin;
pub mod swarm;
pub mod workflow;
