//! Size labels: what a job may ask for beyond its class, as `cpu=8` or `timeout=90`, within the bounds of the class.
//!
//! They are labels like all others: the runner registers with them, so runners of different sizes are of different pools and
//! GitHub keeps them apart. A label that a class has itself is no wish, and rules out another one of its kind.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    class::{Arch, Class, Size},
    fargate::{Memory, processors},
    labels::LabelSet,
};

/// What jobs may ask for, each with its least and its most. What is not named may not be asked for.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Allow {
    /// `cpu=8`: processors, in thousandths here: `[1000, 8000]`.
    pub cpu_milli: Option<[u32; 2]>,
    /// `memory=32`: GiB; MiB here: `[2048, 32768]`.
    pub memory_mb: Option<[u32; 2]>,
    /// `disk=100`: GiB, here too.
    pub disk_gb: Option<[u32; 2]>,
    /// `timeout=90`: minutes that the machine lives at the most; milliseconds here.
    pub timeout_ms: Option<[u64; 2]>,
    /// `arch=arm64` or `arch=x86_64`, where the class is of that architecture: so a job chooses among classes.
    pub arch: bool,
    /// `spot=true` or `spot=false`: spare capacity first, or never.
    pub spot: bool,
    /// Memory goes with the processors as on Fargate: what is not asked for is made to fit. `deploy` sets it.
    pub fargate: bool,
}

/// A wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Cpu(u32),
    Memory(u32),
    Disk(u32),
    Timeout(u64),
    Arch(Arch),
    Spot(bool),
}

/// What labels ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wishes {
    cpu_milli: Option<u32>,
    memory_mb: Option<u32>,
    disk_gb: Option<u32>,
    timeout_ms: Option<u64>,
    arch: Option<Arch>,
    spot: Option<bool>,
}

/// Why a class does not take a job, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// It has no such label, and nothing of the kind may be asked of it.
    Foreign(String),
    /// It might be asked for something else of the kind.
    Near(String),
}

const MINUTE_MS: u64 = 60_000;

/// Most thousandths that a number of a label may have.
const THOUSANDTHS_MAX: u64 = 1_000_000_000;

/// Reads a label; `None`: it is none of these.
fn wish(label: &str) -> Option<Result<Wish, String>> {
    let (key, value) = label.split_once('=')?;
    let number = || thousandths(value).ok_or_else(|| format!("`{label}` is no number: write as `{key}=4`"));
    let whole =
        |times: u64| number().and_then(|milli| exact(milli, times).ok_or_else(|| format!("`{label}` is too fine")));
    Some(match key {
        "cpu" => whole(1_000).map(Wish::Cpu),
        "memory" => whole(1_024).map(Wish::Memory),
        "disk" => whole(1).map(Wish::Disk),
        "timeout" => whole(1).map(|minutes| Wish::Timeout(u64::from(minutes) * MINUTE_MS)),
        "arch" => match value {
            "arm64" => Ok(Wish::Arch(Arch::Arm64)),
            "x86_64" | "amd64" | "x64" => Ok(Wish::Arch(Arch::X86_64)),
            _ => Err(format!("`{label}` is no architecture: write `arch=arm64` or `arch=x86_64`")),
        },
        "spot" => value.parse().map(Wish::Spot).map_err(|_| format!("`{label}`: write `spot=true` or `spot=false`")),
        _ => return None,
    })
}

/// A decimal number in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    let milli = whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(part)?;
    (milli <= THOUSANDTHS_MAX).then_some(milli)
}

/// So many thousandths of a unit, in parts of which it has `times`; `None` if that is no whole number.
fn exact(milli: u64, times: u64) -> Option<u32> {
    let parts = milli.checked_mul(times)?;
    parts.is_multiple_of(1_000).then(|| u32::try_from(parts / 1_000).ok()).flatten()
}

impl Wishes {
    /// Takes one more; the reason if there was one of its kind.
    fn take(&mut self, wish: Wish, label: &str) -> Result<(), String> {
        let double = match wish {
            Wish::Cpu(value) => self.cpu_milli.replace(value).is_some(),
            Wish::Memory(value) => self.memory_mb.replace(value).is_some(),
            Wish::Disk(value) => self.disk_gb.replace(value).is_some(),
            Wish::Timeout(value) => self.timeout_ms.replace(value).is_some(),
            Wish::Arch(value) => self.arch.replace(value).is_some(),
            Wish::Spot(value) => self.spot.replace(value).is_some(),
        };
        if double { Err(format!("`{label}` is one of two of its kind")) } else { Ok(()) }
    }
}

impl Lack {
    /// The same, said of a label.
    fn of(self, label: &str) -> Self {
        match self {
            Self::Foreign(why) => Self::Foreign(format!("`{label}`: {why}")),
            Self::Near(why) => Self::Near(format!("`{label}`: {why}")),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(why) | Self::Near(why) => f.write_str(why),
        }
    }
}

impl Allow {
    /// Why a class of this architecture does not give it.
    fn refusal(&self, wish: Wish, arch: Arch) -> Option<Lack> {
        let within = |bounds: Option<[u32; 2]>, value: u32, unit: u32| {
            let bounds = bounds.map(|bounds| bounds.map(u64::from));
            outside(bounds, u64::from(value), u64::from(unit))
        };
        match wish {
            Wish::Cpu(value) => within(self.cpu_milli, value, 1_000),
            Wish::Memory(value) => within(self.memory_mb, value, 1_024),
            Wish::Disk(value) => within(self.disk_gb, value, 1),
            Wish::Timeout(value) => outside(self.timeout_ms, value, MINUTE_MS),
            Wish::Arch(_) if !self.arch => Some(not_allowed()),
            Wish::Arch(value) => (value != arch).then(|| Lack::Near("it is of the other architecture".into())),
            Wish::Spot(_) => (!self.spot).then(not_allowed),
        }
    }
}

fn not_allowed() -> Lack {
    Lack::Foreign("that may not be asked of it".into())
}

fn outside(bounds: Option<[u64; 2]>, value: u64, unit: u64) -> Option<Lack> {
    let Some([least, most]) = bounds else { return Some(not_allowed()) };
    let told = |value: u64| value as f64 / unit as f64;
    (!(least..=most).contains(&value)).then(|| Lack::Near(format!("{} to {} are allowed", told(least), told(most))))
}

impl Class {
    /// The labels that a runner for this job registers with, if it may be one of this class: the class's own and the wishes.
    ///
    /// # Errors
    /// What it lacks, and what it does not give with the reason.
    pub fn offer(&self, job: &LabelSet) -> Result<LabelSet, Vec<Lack>> {
        let (wishes, mut lacks) = self.read(job);
        if lacks.is_empty() && self.allow.fargate {
            lacks.extend(self.unfit(&wishes));
        }
        if lacks.is_empty() { Ok(self.labels.with(job)) } else { Err(lacks) }
    }

    /// The size of a machine whose runner has these labels.
    #[must_use]
    pub fn size_of(&self, labels: &LabelSet) -> Size {
        self.with(&self.read(labels).0)
    }

    /// Milliseconds that such a machine lives at the most.
    #[must_use]
    pub fn lifetime_ms(&self, labels: &LabelSet) -> u64 {
        self.read(labels).0.timeout_ms.unwrap_or(self.max_lifetime_ms)
    }

    /// Whether spare capacity is asked for; `None`: it is left to the class.
    #[must_use]
    pub fn spot_of(&self, labels: &LabelSet) -> Option<bool> {
        self.read(labels).0.spot
    }

    /// The wishes among labels, and what is not given.
    fn read(&self, labels: &LabelSet) -> (Wishes, Vec<Lack>) {
        let (mut wishes, mut lacks) = (Wishes::default(), Vec::new());
        for label in labels.iter().filter(|label| !self.labels.contains(label)) {
            lacks.extend(self.grant(label, &mut wishes).err());
        }
        (wishes, lacks)
    }

    /// Adds what a label asks for.
    fn grant(&self, label: &str, wishes: &mut Wishes) -> Result<(), Lack> {
        let wish = wish(label).ok_or_else(|| Lack::Foreign(format!("it lacks {label}")))?.map_err(Lack::Near)?;
        // A runner with both labels would also be given jobs that ask for the class's own size.
        if let Some(own) = self.labels.iter().find(|own| kind(own) == kind(label)) {
            return Err(Lack::Foreign(format!("its runners have `{own}`")).of(label));
        }
        match self.allow.refusal(wish, self.size.arch) {
            Some(lack) => Err(lack.of(label)),
            None => wishes.take(wish, label).map_err(Lack::Near),
        }
    }

    fn with(&self, wishes: &Wishes) -> Size {
        let cpu_milli = wishes.cpu_milli.unwrap_or(self.size.cpu_milli);
        let usual = match Memory::with(cpu_milli) {
            Some(memory) if self.allow.fargate => memory.fit(self.size.memory_mb),
            Some(_) | None => self.size.memory_mb,
        };
        Size {
            cpu_milli,
            memory_mb: wishes.memory_mb.unwrap_or(usual),
            disk_gb: wishes.disk_gb.unwrap_or(self.size.disk_gb),
            arch: self.size.arch,
        }
    }
    /// Why Fargate has no machine of what is asked for, with the nearest that may be.
    fn unfit(&self, wishes: &Wishes) -> Option<Lack> {
        let size = self.with(wishes);
        match Memory::with(size.cpu_milli) {
            None => Some(self.no_processors(size.cpu_milli)),
            Some(memory) => (!memory.has(size.memory_mb)).then(|| self.no_memory(memory, &size)),
        }
    }

    fn no_processors(&self, cpu_milli: u32) -> Lack {
        let near = nearest(CPU, processors(), self.allow.cpu_milli, cpu_milli);
        Lack::Near(format!("{}: Fargate has no such machine; {near}", CPU.label(cpu_milli)))
    }

    fn no_memory(&self, memory: Memory, size: &Size) -> Lack {
        let near = nearest(MEMORY, memory.sizes(), self.allow.memory_mb, size.memory_mb);
        let [least, most] = [memory.least, memory.most].map(|memory_mb| MEMORY.told(memory_mb));
        let (asked, cpus) = (MEMORY.label(size.memory_mb), CPU.told(size.cpu_milli));
        Lack::Near(format!("{asked} does not go with {cpus} processors ({least} to {most} do); {near}"))
    }
}

/// How a number is written in a label: its key, and how many parts its unit has.
#[derive(Clone, Copy)]
struct Measure {
    key: &'static str,
    parts: u32,
}

const CPU: Measure = Measure { key: "cpu", parts: 1_000 };
const MEMORY: Measure = Measure { key: "memory", parts: 1_024 };

impl Measure {
    fn told(self, value: u32) -> f64 {
        f64::from(value) / f64::from(self.parts)
    }

    fn label(self, value: u32) -> String {
        format!("`{}={}`", self.key, self.told(value))
    }
}

/// The labels next below and above of sizes from the least, as far as they may be asked for: what would be refused as well
/// helps nobody.
fn nearest(of: Measure, sizes: impl Iterator<Item = u32>, bounds: Option<[u32; 2]>, asked: u32) -> String {
    let may = |size: &u32| bounds.is_some_and(|[least, most]| (least..=most).contains(size));
    let (below, above): (Vec<u32>, Vec<u32>) = sizes.filter(may).partition(|size| *size < asked);
    match (below.last(), above.first()) {
        (Some(below), Some(above)) => format!("the nearest are {} and {}", of.label(*below), of.label(*above)),
        (Some(one), None) | (None, Some(one)) => format!("the nearest is {}", of.label(*one)),
        (None, None) => "no other may be asked for".into(),
    }
}

/// What a label is about, if it may be a wish.
fn kind(label: &str) -> Option<&str> {
    label.split_once('=').map(|(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[&str]) -> LabelSet {
        LabelSet::parse(labels).unwrap()
    }

    fn class() -> Class {
        let allow = Allow {
            cpu_milli: Some([500, 8_000]),
            memory_mb: Some([1_024, 65_536]),
            disk_gb: Some([21, 200]),
            timeout_ms: Some([300_000, 7_200_000]),
            arch: true,
            spot: true,
            fargate: false,
        };
        Class { labels: labels(&["self-hosted", "linux"]), allow, ..Class::default() }
    }

    fn why(class: &Class, wishes: &[&str]) -> String {
        let lacks = class.offer(&labels(&[&["linux"][..], wishes].concat())).unwrap_err();
        lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn wishes_are_given_within_their_bounds_and_are_labels_of_the_runner() {
        let class = class();
        let job = labels(&["linux", "cpu=0.5", "memory=1.5", "disk=100", "timeout=90", "arch=arm64", "spot=false"]);
        let all = class.offer(&job).unwrap();
        assert!(all.contains("self-hosted") && all.contains("cpu=0.5"), "{all:?}");
        let size = class.size_of(&all);
        assert_eq!((size.cpu_milli, size.memory_mb, size.disk_gb), (500, 1_536, 100));
        assert_eq!((class.lifetime_ms(&all), class.spot_of(&all)), (5_400_000, Some(false)));
        let plain = class.offer(&labels(&["linux"])).unwrap();
        assert_eq!((class.size_of(&plain), class.spot_of(&plain)), (class.size, None));
        assert_eq!(class.lifetime_ms(&plain), class.max_lifetime_ms);
    }

    #[test]
    fn what_is_not_given_is_told_with_the_bounds() {
        let class = class();
        assert_eq!(why(&class, &["cpu=64"]), "`cpu=64`: 0.5 to 8 are allowed");
        assert_eq!(why(&class, &["timeout=1"]), "`timeout=1`: 5 to 120 are allowed");
        assert_eq!(why(&class, &["arch=x64"]), "`arch=x64`: it is of the other architecture");
        assert_eq!(why(&class, &["cpu=2", "cpu=4"]), "`cpu=4` is one of two of its kind");
        assert_eq!(why(&class, &["gpu", "size=2"]), "it lacks gpu | it lacks size=2");
        for bad in
            ["cpu=", "cpu=-1", "cpu=1e3", "cpu=1.2345", "cpu=x", "disk=1.5", "memory=.5", "cpu=99999999999999999999"]
        {
            assert!(why(&class, &[bad]).contains(bad), "{bad}");
        }
        assert!(why(&class, &["arch=mips"]).contains("write `arch=arm64`"));
        assert!(why(&class, &["spot=yes"]).contains("write `spot=true`"));
        let closed = Class { allow: Allow::default(), ..class };
        for wish in ["cpu=2", "memory=2", "disk=50", "timeout=60", "arch=arm64", "spot=true"] {
            assert!(why(&closed, &[wish]).contains("may not be asked"), "{wish}");
        }
    }

    #[test]
    fn a_label_of_the_class_is_no_wish() {
        let class = Class { labels: labels(&["linux", "cpu=64"]), allow: Allow::default(), ..Class::default() };
        let all = class.offer(&labels(&["linux", "cpu=64"])).unwrap();
        assert_eq!(class.size_of(&all), class.size);
    }

    /// Else its runner had both labels, and GitHub could give it a job that asks for the other size.
    #[test]
    fn a_wish_beside_a_label_of_its_kind_that_the_class_has_is_refused() {
        let class = Class { labels: labels(&["linux", "cpu=8"]), ..class() };
        assert_eq!(why(&class, &["cpu=2"]), "`cpu=2`: its runners have `cpu=8`");
        assert_eq!(why(&class, &["cpu=8", "cpu=2"]), "`cpu=2`: its runners have `cpu=8`");
        assert!(class.offer(&labels(&["linux", "cpu=8", "memory=2"])).is_ok());
    }

    #[test]
    fn on_fargate_memory_goes_with_the_processors() {
        let mut class = class();
        class.allow.fargate = true;
        let sized = |wishes: &[&str]| class.size_of(&class.offer(&labels(wishes)).unwrap());
        assert_eq!(sized(&["cpu=8"]).memory_mb, 16_384);
        assert_eq!(sized(&["cpu=0.5"]).memory_mb, 4_096);
    }

    #[test]
    fn what_fargate_does_not_have_is_told_with_the_nearest_that_may_be_asked_for() {
        let mut class = class();
        class.allow.fargate = true;
        assert_eq!(
            why(&class, &["cpu=3"]),
            "`cpu=3`: Fargate has no such machine; the nearest are `cpu=2` and `cpu=4`"
        );
        assert_eq!(
            why(&class, &["cpu=8", "memory=17"]),
            "`memory=17` does not go with 8 processors (16 to 60 do); the nearest are `memory=16` and `memory=20`"
        );
        assert!(why(&class, &["memory=32"]).ends_with("with 4 processors (8 to 30 do); the nearest is `memory=30`"));
        class.allow.cpu_milli = Some([1_500, 3_500]);
        assert!(why(&class, &["cpu=3"]).ends_with("the nearest is `cpu=2`"));
        class.allow.memory_mb = Some([1_024, 3_072]);
        assert!(why(&class, &["cpu=2", "memory=3"]).ends_with("(4 to 16 do); no other may be asked for"));
    }
}
