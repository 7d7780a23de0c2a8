//! The controller: the loop around the core. Load → decide → commit → execute, over ports that adapters implement.
pub mod mem;
pub mod ports;
