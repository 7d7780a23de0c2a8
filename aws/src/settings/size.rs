//! The sizes that Fargate has (FACTS §4): a pure table, so that a wrong size is told when the configuration is read and
//! not when the first job waits.

use fleet::class::Size;

/// Units of CPU, then memory in MiB: least, most, step.
const SIZES: [(u32, u32, u32, u32); 7] = [
    (256, 512, 2_048, 512),
    (512, 1_024, 4_096, 1_024),
    (1_024, 2_048, 8_192, 1_024),
    (2_048, 4_096, 16_384, 1_024),
    (4_096, 8_192, 30_720, 1_024),
    (8_192, 16_384, 61_440, 4_096),
    (16_384, 32_768, 122_880, 8_192),
];

/// Disk of every task, GiB; more must be asked for, and only from the next one on.
pub const DISK_GB_DEFAULT: u32 = 20;

/// Most disk of a task, GiB.
pub const DISK_GB_MAX: u32 = 200;

/// Units of CPU of a size: 1024 for each processor.
#[must_use]
pub fn cpu_units(size: &Size) -> u32 {
    size.cpu_milli.saturating_mul(1_024) / 1_000
}

/// Processors in thousandths must be one of Fargate's.
///
/// # Errors
/// What to write instead.
pub fn cpu(size: &Size) -> Result<(), String> {
    let exact = size.cpu_milli.saturating_mul(1_024).is_multiple_of(1_000);
    if exact && SIZES.iter().any(|row| row.0 == cpu_units(size)) {
        return Ok(());
    }
    let sizes: Vec<String> = SIZES.iter().map(|row| (row.0 * 1_000 / 1_024).to_string()).collect();
    Err(format!("Fargate has no machines with {} thousandths: write one of {}", size.cpu_milli, sizes.join(", ")))
}

/// Memory must go with the processors.
///
/// # Errors
/// What to write instead.
pub fn memory(size: &Size) -> Result<(), String> {
    let Some((_, least, most, step)) = SIZES.iter().find(|row| row.0 == cpu_units(size)) else { return Ok(()) };
    if (*least..=*most).contains(&size.memory_mb) && (size.memory_mb - least).is_multiple_of(*step) {
        return Ok(());
    }
    Err(format!(
        "Fargate has no machine of {} thousandths of a processor with {} MiB: write {least} to {most}, in steps of {step}",
        size.cpu_milli, size.memory_mb
    ))
}

/// Disk must be within Fargate's limits.
///
/// # Errors
/// What to write instead.
pub fn disk(size: &Size) -> Result<(), String> {
    if (DISK_GB_DEFAULT..=DISK_GB_MAX).contains(&size.disk_gb) {
        return Ok(());
    }
    Err(format!("Fargate has no disk of {} GiB: write {DISK_GB_DEFAULT} to {DISK_GB_MAX}", size.disk_gb))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(cpu_milli: u32, memory_mb: u32, disk_gb: u32) -> Size {
        Size { cpu_milli, memory_mb, disk_gb, ..Size::default() }
    }

    #[test]
    fn the_usual_size_exists() {
        let usual = Size::default();
        assert_eq!((cpu(&usual), memory(&usual), disk(&usual), cpu_units(&usual)), (Ok(()), Ok(()), Ok(()), 4_096));
    }

    #[test]
    fn sizes_that_do_not_exist_are_told_with_those_that_do() {
        assert!(cpu(&size(3_000, 8_192, 20)).unwrap_err().contains("250, 500, 1000, 2000, 4000, 8000, 16000"));
        assert!(memory(&size(4_000, 32_768, 20)).unwrap_err().contains("8192 to 30720, in steps of 1024"));
        assert!(memory(&size(8_000, 17_408, 20)).unwrap_err().contains("steps of 4096"));
        assert!(disk(&size(250, 512, 19)).is_err() && disk(&size(250, 512, 201)).is_err());
        assert_eq!((cpu(&size(250, 512, 20)), memory(&size(250, 512, 20))), (Ok(()), Ok(())));
    }
}
