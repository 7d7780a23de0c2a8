//! The daemon, killed at its worst moments.
