//! Parts of AWS that no local engine plays truly enough, after their documentation (FACTS §4).
//!
//! They know neither the SDK nor our adapters: the real client talks to them over HTTP.

pub mod ecs;
