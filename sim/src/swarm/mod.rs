//! The swarm: the real controller and core in random worlds, under virtual time.
//!
//! | module | what it holds |
//! |---|---|
//! | [`profile`] | what can go wrong |
//! | `world`, `scenario`, `noise` | one world, what people do in it, what is said that must change nothing |
//! | `cloud`, `machine` | the engine, and what happens on a machine |
//! | `process`, `ports` | controllers that are killed and started again; their ports |
//! | [`mod@run`], `check` | one world from beginning to end; what is looked at |
//! | [`many`] | many worlds, counted together |
//! | [`beside`] | a second store that is held against the world's own |
//! | [`story`], [`scene`] | fixed little worlds for `tests/it`: what is set up, and what happens in them |
//! | [`wrong`] | wrong cores that the checks must catch |

pub mod beside;
mod check;
mod cloud;
mod machine;
pub mod many;
mod noise;
mod ports;
mod process;
pub mod profile;
pub mod run;
mod scenario;
pub mod scene;
pub mod story;
mod world;
pub mod wrong;
