//! What holds where nobody says otherwise: a class for this machine, a data folder of this user.

use std::{env, fs, path::PathBuf};

use fleet::{
    class::{Arch, Class, Size},
    labels::LabelSet,
    policy::FLEET_MAX_DEFAULT,
};

/// The class of a configuration that has none: jobs for `self-hosted`, `linux` and this machine's architecture.
pub(crate) fn class() -> Class {
    let processors = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    let (arch, label) = match env::consts::ARCH {
        "aarch64" => (Arch::Arm64, "arm64"),
        _ => (Arch::X86_64, "x64"),
    };
    let usual = Size::default();
    Class {
        labels: LabelSet::parse(["self-hosted", "linux", label]).unwrap_or_default(),
        // One job for each processor, so that none starves the others.
        max: processors.min(FLEET_MAX_DEFAULT),
        size: Size {
            cpu_milli: processors.saturating_mul(1_000),
            memory_mb: memory_mb().unwrap_or(usual.memory_mb),
            arch,
            ..usual
        },
        ..Class::default()
    }
}

/// Memory of this machine.
fn memory_mb() -> Option<u32> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    u32::try_from(kilobytes / 1_024).ok()
}

/// The data folder where none is named: that for the state of this user's programs (XDG Base Directory Specification).
pub(crate) fn data_dir() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("self-runners"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_class_is_this_machines() {
        let class = class();
        assert!(class.labels.contains("self-hosted") && class.labels.contains("linux") && class.labels.len() == 3);
        assert!((1..=FLEET_MAX_DEFAULT).contains(&class.max), "{class:?}");
        assert!(class.size.cpu_milli >= 1_000 && class.size.memory_mb > 0, "{class:?}");
    }
}
