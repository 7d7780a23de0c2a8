//! fleet
pub mod wire;
