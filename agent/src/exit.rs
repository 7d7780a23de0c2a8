//! The agent's exit codes, in one place: engines record them and people look them up.

/// What the agent exits with.
pub mod code {
    /// The runner ended by itself with 0, an idle runner was ended, or there was nothing to do.
    pub const OK: u8 = 0;
    /// The runner program ended with another code, or by a signal that was not ours.
    pub const RUNNER_FAILED: u8 = 1;
    /// GitHub refuses this version of the runner program.
    pub const DEPRECATED: u8 = 7;
    /// Wrong configuration: a variable is missing, or arguments were given.
    pub const USAGE: u8 = 64;
    /// The control plane could not be reached, or did not answer a claim usefully, for ten minutes.
    pub const UNREACHABLE: u8 = 69;
    /// The operating system refused something that the agent cannot do without.
    pub const SYSTEM: u8 = 71;
    /// The runner program could not be started.
    pub const NO_RUNNER: u8 = 72;
    /// The listener did not connect to GitHub before the boot deadline.
    pub const NOT_CONNECTED: u8 = 73;
    /// This runner has registered already (409): its claim token is used up.
    pub const ALREADY_REGISTERED: u8 = 74;
    /// Another agent has, or had, this task folder.
    pub const ALREADY_STARTED: u8 = 75;
    /// The control plane does not serve this agent's protocol (426), or did not understand it (400).
    pub const PROTOCOL: u8 = 76;
    /// The control plane does not know this claim token (401).
    pub const REFUSED: u8 = 77;
    /// Ended by SIGTERM (128 + 15).
    pub const TERMINATED: u8 = 143;
}
