//! Stories and wire tests of the simulation, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod http_face;
