//! What can go wrong with the simulated ECS, by chance or at once.

use super::Refusal;

/// Chances between 0 and 1, and how late things are. All 0: nothing goes wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EcsFaults {
    /// A call fails with 500, and nothing was done.
    pub fails: f64,
    /// A call fails with 500, and everything was done.
    pub answer_lost: f64,
    /// A launch finds no capacity.
    pub no_capacity: f64,
    /// A task that was taken never starts.
    pub never_starts: f64,
    /// An event is never delivered.
    pub event_lost: f64,
    /// An event is delivered twice.
    pub event_twice: f64,
    /// Events are late by up to so many milliseconds, so they overtake each other.
    pub event_late_ms: u64,
    /// Lists show what was up to so many milliseconds ago.
    pub list_lag_ms: u64,
    /// Descriptions show what was up to so many milliseconds ago.
    pub describe_lag_ms: u64,
    /// Launches that are refused for want of capacity as long as these stand.
    pub shortages: Vec<Shortage>,
}

/// Where there is no capacity, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The capacity provider, `FARGATE` among them; all if absent.
    pub provider: Option<String>,
    /// The subnet; all if absent.
    pub subnet: Option<String>,
    /// The `reason` of the failure.
    pub reason: String,
}

impl Shortage {
    /// What AWS says where Fargate is full.
    pub const FULL: &str =
        "Capacity is unavailable at this time. Please try again later or in a different availability zone";

    /// No capacity of a provider, anywhere or in one subnet.
    pub fn of(provider: &str, subnet: Option<&str>) -> Self {
        Self { provider: Some(provider.to_owned()), subnet: subnet.map(str::to_owned), reason: Self::FULL.to_owned() }
    }
}

/// What one call meets.
#[derive(Debug, Clone, PartialEq)]
pub enum Trick {
    /// This refusal; nothing is done.
    Refuse(Refusal),
    /// 500; nothing is done.
    FailBefore,
    /// 500; everything is done.
    LoseAnswer,
    /// No answer at all; everything is done.
    Hang,
}
