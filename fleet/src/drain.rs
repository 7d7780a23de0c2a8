//! Drains: an operator's word that nothing more is started, for one class or for all. Stored, so that a restart does not
//! forget it, and no part of the configuration, which says what is meant to be.
//!
//! While a class is drained its jobs keep their place and wait, idle runners are asked to end, one that boots is sent away
//! when it claims, and one at work finishes.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{ids::ClassName, utc::utc};

/// How far a drain goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// All classes.
    Fleet,
    /// One class.
    Class(ClassName),
}

/// A drain in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Who wants it, and why if that was said.
    pub by: Arc<str>,
    /// Since when, milliseconds.
    pub since_ms: u64,
}

/// The drains in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drains(BTreeMap<Extent, Drain>);

impl Extent {
    /// As the key of a row.
    pub fn key(&self) -> String {
        match self {
            Self::Fleet => "fleet".into(),
            Self::Class(name) => format!("class/{name}"),
        }
    }

    /// The way back from [`Extent::key`].
    pub fn parse(key: &str) -> Option<Self> {
        match key.strip_prefix("class/") {
            Some(name) => Some(Self::Class(name.into())),
            None => (key == "fleet").then_some(Self::Fleet),
        }
    }

    /// As the subject of a sentence, with its verb.
    pub fn words(&self) -> String {
        match self {
            Self::Fleet => "all classes are".into(),
            Self::Class(name) => format!("class `{name}` is"),
        }
    }
}

impl Drain {
    /// In words.
    pub fn words(&self, extent: &Extent) -> String {
        format!("{} drained by {} since {}", extent.words(), self.by, utc(self.since_ms))
    }
}

impl Drains {
    /// The drain of exactly this extent.
    pub fn get(&self, extent: &Extent) -> Option<&Drain> {
        self.0.get(extent)
    }

    /// Puts one in force, or lifts it.
    pub fn set(&mut self, extent: Extent, drain: Option<Drain>) {
        match drain {
            Some(drain) => drop(self.0.insert(extent, drain)),
            None => drop(self.0.remove(&extent)),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Extent, &Drain)> {
        self.0.iter()
    }

    /// What drains a class: its own drain before that of all classes.
    pub fn of(&self, class: &ClassName) -> Option<(Extent, &Drain)> {
        let own = Extent::Class(class.clone());
        let found = self.0.get(&own).map(|drain| (own, drain));
        found.or_else(|| self.0.get(&Extent::Fleet).map(|drain| (Extent::Fleet, drain)))
    }

    /// Whether nothing of a class may be started.
    pub fn holds(&self, class: &ClassName) -> bool {
        self.of(class).is_some()
    }

    /// Why nothing of a class may be started, in words.
    pub fn words(&self, class: &ClassName) -> Option<String> {
        self.of(class).map(|(extent, drain)| drain.words(&extent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_of_all_holds_every_class_and_its_own_is_named_first() {
        let drain = |by: &str| Some(Drain { by: by.into(), since_ms: 0 });
        let small = Extent::Class("small".into());
        let mut drains = Drains::default();
        drains.set(Extent::Fleet, drain("ada"));
        let words = drains.words(&"small".into()).unwrap();
        assert_eq!(words, "all classes are drained by ada since 1970-01-01T00:00:00Z");
        drains.set(small.clone(), drain("bob (new image)"));
        assert!(
            drains.words(&"small".into()).unwrap().starts_with("class `small` is drained by bob (new image) since")
        );
        drains.set(Extent::Fleet, None);
        assert!(drains.holds(&"small".into()) && !drains.holds(&"big".into()));
        drains.set(small, None);
        assert_eq!(drains, Drains::default());
    }

    #[test]
    fn an_extent_is_found_again_by_its_key() {
        for extent in [Extent::Fleet, Extent::Class("fleet".into()), Extent::Class("a/b".into())] {
            assert_eq!(Extent::parse(&extent.key()), Some(extent));
        }
        assert_eq!(Extent::parse("other"), None);
    }
}
