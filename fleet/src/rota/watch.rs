//! What the rota knows of one repository.

use super::{ACTIVE_FOR_MS, Cost, FAILED_WAIT_MAX_MS, How, LOOKS_PER_LISTING};

/// What listing nothing costs: one request for each open status of a run.
const LISTING_COST: Cost = Cost { requests: 4, charged: 0 };

/// What came of a look at a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// When it began, milliseconds.
    pub began_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// What it cost.
    pub cost: Cost,
    /// The newest runs are not what they were the last time.
    pub changed: bool,
    /// A run has not ended.
    pub open: bool,
    /// All open jobs were listed.
    pub listed: bool,
}

impl Looked {
    /// How long it took, milliseconds.
    pub fn took_ms(&self) -> u64 {
        self.ended_ms.saturating_sub(self.began_ms)
    }
}

/// What a look takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub(super) cost: Cost,
    pub(super) took_ms: u64,
}

/// How a repository is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has, or had of late, jobs.
    Active,
    /// Nothing happens there.
    Quiet,
    /// Its webhooks arrive.
    Covered,
}

/// One repository.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    /// When the last look began, milliseconds.
    pub(super) looked_ms: Option<u64>,
    /// When its open jobs were last listed.
    pub(super) listed_ms: Option<u64>,
    /// Not to be asked before this time.
    pub(super) closed_ms: u64,
    /// Looks in a row that failed.
    pub(super) failures: u32,
    /// A look found what no webhook had told.
    pub(super) missed: bool,
    /// What the last glance took.
    glance: Effort,
    /// What the last listing took.
    listing: Effort,
    open: bool,
    active_until_ms: u64,
    looks: u32,
}

impl Watch {
    /// One that was never looked at, as if this many looks had gone by since its jobs were listed.
    pub(super) fn new(looks: u32) -> Self {
        Self {
            looked_ms: None,
            listed_ms: None,
            closed_ms: 0,
            failures: 0,
            missed: false,
            glance: Effort { cost: Cost { requests: 1, charged: 0 }, took_ms: 0 },
            listing: Effort { cost: LISTING_COST, took_ms: 0 },
            open: false,
            active_until_ms: 0,
            looks,
        }
    }

    /// Where a run is open a job may begin without any change of its run, so its jobs are listed.
    pub(super) fn how(&self) -> How {
        if self.open || self.looks >= LOOKS_PER_LISTING { How::List } else { How::Glance }
    }

    pub(super) fn is_active(&self, now_ms: u64) -> bool {
        self.open || now_ms < self.active_until_ms
    }

    /// What its looks take, each in turn: listings only, or one among many glances.
    pub(super) fn efforts(&self) -> (Effort, Effort) {
        if self.open { (self.listing, self.listing) } else { (self.glance, self.listing) }
    }

    pub(super) fn looked(&mut self, looked: &Looked) {
        // What is seen for the first time is no sign of life.
        let sign = looked.open || (looked.changed && self.looked_ms.is_some());
        if sign {
            self.active_until_ms = looked.ended_ms + ACTIVE_FOR_MS;
        }
        self.looked_ms = Some(looked.began_ms);
        self.open = looked.open;
        *(if looked.listed { &mut self.listing } else { &mut self.glance }) =
            Effort { cost: looked.cost, took_ms: looked.took_ms() };
        (self.failures, self.closed_ms) = (0, 0);
        self.looks += 1;
        if looked.listed {
            self.listed_ms = Some(looked.began_ms);
            self.looks = 0;
        }
    }

    pub(super) fn failed(&mut self, now_ms: u64, first_ms: u64) {
        let wait_ms = (first_ms << self.failures.min(16)).min(FAILED_WAIT_MAX_MS);
        self.failures += 1;
        self.closed_ms = now_ms + wait_ms;
        self.looked_ms.get_or_insert(now_ms);
        // Behind the others, who would wait for a slow one again and again.
        self.listed_ms = Some(now_ms);
    }
}
