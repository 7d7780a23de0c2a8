//! The adapters for AWS: the engine ECS, the stores DynamoDB and Valkey, what lies around them, and the stack that all of
//! it is deployed as.
//!
//! It decides nothing and knows no other adapter. No type of the SDK is in a public signature: callers see the ports of
//! `controller` and the types of this crate.

mod cloud;
pub mod cost;
pub mod deploy;
pub mod dynamo;
pub mod ecs;
pub mod environment;
mod heard;
pub mod images;
pub mod logs;
pub mod permissions;
pub mod queue;
pub mod quota;
mod reach;
mod rows;
pub mod secrets;
pub mod settings;
pub mod stack;
mod tables;
pub mod valkey;

pub use cloud::{AccessKey, Cloud, CloudSettings, Identity};
pub use rows::Keep;
pub use tables::{Backend, Tables, Usage};
