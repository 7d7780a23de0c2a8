//! How a pool's waiting jobs stand: what keeps a runner from them, in words.
//!
//! One place for both: what a decision records about a job, and what `why` and `status` say of it now.

use crate::{
    ids::ClassName,
    policy::Policy,
    view::{PoolView, View},
};

/// Why a pool with a deficit gets no runner now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The engine's machines are not known yet.
    NotInventoried,
    /// An operator drains its class.
    Drained,
    /// Its launches failed, or its runners get no jobs: it is tried again later.
    Held,
    /// The fleet's limit is reached.
    Fleet,
    /// The class's limit is reached.
    Class,
}

/// What a pool is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The operator's rules.
    pub policy: &'a Policy,
    /// Totals and drains.
    pub view: &'a View,
    /// Now, milliseconds.
    pub now_ms: u64,
}

impl Standing<'_> {
    /// What keeps the pool from a runner.
    pub fn obstacle(&self, pool: &PoolView) -> Option<Obstacle> {
        let class = &pool.pool.class;
        if !self.view.inventoried {
            Some(Obstacle::NotInventoried)
        } else if self.view.drains.holds(class) {
            Some(Obstacle::Drained)
        } else if pool.flags.held_until_ms > self.now_ms {
            Some(Obstacle::Held)
        } else if self.view.fleet_live >= self.policy.max {
            Some(Obstacle::Fleet)
        } else if self.class_live(class) >= self.class_max(class) {
            Some(Obstacle::Class)
        } else {
            None
        }
    }

    /// The same in words; `None`: launches follow at once.
    pub fn words(&self, pool: &PoolView) -> Option<String> {
        let class = &pool.pool.class;
        self.obstacle(pool).map(|obstacle| match obstacle {
            Obstacle::NotInventoried => "the engine's machines are being counted first".into(),
            Obstacle::Drained => self.view.drains.words(class).unwrap_or_default(),
            Obstacle::Held => pool.flags.held_why.clone(),
            Obstacle::Fleet => format!("{} of {} runners live", self.view.fleet_live, self.policy.max),
            Obstacle::Class => {
                format!("{} of {} runners of class `{class}` live", self.class_live(class), self.class_max(class))
            }
        })
    }

    fn class_live(&self, class: &ClassName) -> u32 {
        self.view.class_live.get(class).copied().unwrap_or(0)
    }

    fn class_max(&self, class: &ClassName) -> u32 {
        self.policy.class(class).map_or(0, |class| class.max)
    }
}
