//! Whether Fargate has the size of a class, and what to write instead: told when the configuration is read and not when the
//! first job waits.

use fleet::{
    class::{Class, Size},
    fargate::{Memory, processors},
    wishes::Allow,
};

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
    if Memory::with(size.cpu_milli).is_some() {
        return Ok(());
    }
    let sizes: Vec<String> = processors().map(|milli| milli.to_string()).collect();
    Err(format!("Fargate has no machines with {} thousandths: write one of {}", size.cpu_milli, sizes.join(", ")))
}

/// Memory must go with the processors.
///
/// # Errors
/// What to write instead.
pub fn memory(size: &Size) -> Result<(), String> {
    let Some(memory) = Memory::with(size.cpu_milli) else { return Ok(()) };
    if memory.has(size.memory_mb) {
        return Ok(());
    }
    let Memory { least, most, step } = memory;
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

/// Jobs may ask for no more disk than there is.
///
/// # Errors
/// What to write instead.
pub fn allowed_disk(allow: &Allow) -> Result<(), String> {
    match allow.disk_gb {
        Some([least, most]) if least <= DISK_GB_DEFAULT || most > DISK_GB_MAX => {
            Err(format!("Fargate has disks of {} to {DISK_GB_MAX} GiB: write bounds within", DISK_GB_DEFAULT + 1))
        }
        Some(_) | None => Ok(()),
    }
}

/// Fargate has a machine within what jobs may ask for: of other bounds every number would be refused.
///
/// # Errors
/// What to write instead.
pub fn allowed_cpu(allow: &Allow) -> Result<(), String> {
    let Some(bounds) = allow.cpu_milli else { return Ok(()) };
    if let Some(largest) = processors().last().filter(|largest| bounds[1] > *largest) {
        return Err(format!("Fargate has machines of up to {largest} thousandths: write bounds within"));
    }
    if processors().any(|milli| within(bounds, milli)) {
        return Ok(());
    }
    let sizes: Vec<String> = processors().map(|milli| milli.to_string()).collect();
    Err(format!("Fargate has no machine within: write bounds around one of {}", sizes.join(", ")))
}

/// The same of memory, which must go with the processors of the class or with others that may be asked for.
///
/// # Errors
/// What to write instead.
pub fn allowed_memory(class: &Class) -> Result<(), String> {
    let Some(bounds) = class.allow.memory_mb else { return Ok(()) };
    let largest = processors().filter_map(Memory::with).map(|memory| memory.most).max();
    if let Some(largest) = largest.filter(|largest| bounds[1] > *largest) {
        return Err(format!("Fargate has machines of up to {largest} MiB: write bounds within"));
    }
    let asked = processors().filter(|milli| class.allow.cpu_milli.is_some_and(|bounds| within(bounds, *milli)));
    let machines = asked.chain([class.size.cpu_milli]).filter_map(Memory::with);
    if machines.flat_map(Memory::sizes).any(|memory_mb| within(bounds, memory_mb)) {
        return Ok(());
    }
    Err("Fargate has no such memory with any processors of this class: write other bounds, or allow more processors"
        .into())
}

fn within([least, most]: [u32; 2], value: u32) -> bool {
    (least..=most).contains(&value)
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

    fn allowing(cpu_milli: Option<[u32; 2]>, memory_mb: Option<[u32; 2]>) -> Class {
        Class { allow: Allow { cpu_milli, memory_mb, ..Allow::default() }, ..Class::default() }
    }

    #[test]
    fn bounds_without_any_size_are_told() {
        let cpu = |bounds| allowed_cpu(&allowing(Some(bounds), None).allow);
        assert_eq!((cpu([3_000, 4_000]), cpu([1_500, 3_500])), (Ok(()), Ok(())));
        assert!(cpu([2_500, 3_500]).unwrap_err().contains("250, 500, 1000, 2000, 4000, 8000, 16000"));
        assert!(cpu([1_000, 16_001]).unwrap_err().contains("up to 16000 thousandths"));
        let memory = |cpu, bounds| allowed_memory(&allowing(cpu, Some(bounds)));
        assert_eq!(memory(None, [8_192, 8_192]), Ok(()));
        assert!(memory(None, [31_744, 40_000]).unwrap_err().contains("with any processors"));
        assert_eq!(memory(Some([4_000, 8_000]), [31_744, 40_000]), Ok(()), "with eight");
        assert!(memory(Some([8_000, 8_000]), [61_441, 65_000]).is_err());
        assert!(memory(Some([16_000, 16_000]), [32_768, 122_881]).unwrap_err().contains("up to 122880 MiB"));
    }
}
