//! What the functions on AWS do, each in a module that needs no AWS: it is given what it speaks to. The programs in
//! `bin/` put the parts together and hand over to the runtime.
//!
//! Nothing is decided here: the rules are `fleet`'s, the way in is `github`'s, the rest is `controller`'s.

pub mod agent;
pub mod claims;
pub mod clock;
mod credentials;
pub mod hello;
pub mod http;
pub mod notices;
pub mod parts;
pub mod scaler;
pub mod start;
pub mod sweep;
pub mod wake;
pub mod webhook;
