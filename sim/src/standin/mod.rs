//! A stand-in for the official `actions/runner` program, for places where that one cannot be downloaded.

pub mod wire;
