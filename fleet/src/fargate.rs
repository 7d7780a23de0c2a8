//! The sizes that Fargate has (FACTS §4): a pure table, so that a wrong size is told when the configuration is read, or when
//! a job asks for it, and not when it is launched.

/// Units of CPU, then memory in MiB: least, most, step.
const SIZES: [(u32, Memory); 7] = [
    (256, Memory { least: 512, most: 2_048, step: 512 }),
    (512, Memory { least: 1_024, most: 4_096, step: 1_024 }),
    (1_024, Memory { least: 2_048, most: 8_192, step: 1_024 }),
    (2_048, Memory { least: 4_096, most: 16_384, step: 1_024 }),
    (4_096, Memory { least: 8_192, most: 30_720, step: 1_024 }),
    (8_192, Memory { least: 16_384, most: 61_440, step: 4_096 }),
    (16_384, Memory { least: 32_768, most: 122_880, step: 8_192 }),
];

/// The memory that goes with some processors, MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The least.
    pub least: u32,
    /// The most.
    pub most: u32,
    /// From one size to the next.
    pub step: u32,
}

impl Memory {
    /// The memory that goes with so many processors, in thousandths; `None`: Fargate has no such machine.
    #[must_use]
    pub fn with(cpu_milli: u32) -> Option<Self> {
        let units = cpu_milli.saturating_mul(1_024);
        let row = SIZES.iter().find(|(size, _)| size.saturating_mul(1_000) == units);
        row.map(|(_, memory)| *memory)
    }

    /// Whether this much is one of them.
    #[must_use]
    pub fn has(&self, memory_mb: u32) -> bool {
        (self.least..=self.most).contains(&memory_mb) && (memory_mb - self.least).is_multiple_of(self.step)
    }

    /// All of them, from the least.
    pub fn sizes(self) -> impl Iterator<Item = u32> {
        (self.least..=self.most).step_by(usize::try_from(self.step).unwrap_or(usize::MAX))
    }

    /// The one of them that is nearest from above, or the most.
    #[must_use]
    pub fn fit(&self, memory_mb: u32) -> u32 {
        let above = memory_mb.saturating_sub(self.least).div_ceil(self.step).saturating_mul(self.step);
        self.least.saturating_add(above).min(self.most)
    }
}

/// The processors that there are, in thousandths.
pub fn processors() -> impl Iterator<Item = u32> {
    SIZES.iter().map(|(units, _)| units * 1_000 / 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_with_the_processors() {
        assert_eq!(processors().collect::<Vec<_>>(), [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000]);
        assert!(processors().all(|cpu| Memory::with(cpu).is_some()));
        assert_eq!(Memory::with(3_000), None);
        let four = Memory::with(4_000).unwrap();
        assert!(four.has(8_192) && four.has(30_720) && !four.has(8_193) && !four.has(31_744));
        assert!(four.sizes().all(|memory_mb| four.has(memory_mb)) && four.sizes().count() == 23);
        assert_eq!([1, 8_193, 99_999].map(|memory_mb| four.fit(memory_mb)), [8_192, 9_216, 30_720]);
    }
}
