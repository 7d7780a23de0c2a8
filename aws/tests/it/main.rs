//! The adapters against servers on this machine.
