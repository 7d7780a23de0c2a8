//! Names and numbers of the things that the core talks about, each its own type so that they cannot be confused.
//!
//! Only shapes and their textual forms; no lookups, no rules.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A name that is cheap to copy around and compares by its text.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: AsRef<str>> From<T> for $type {
            fn from(text: T) -> Self {
                Self(text.as_ref().into())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A number that GitHub gives.
macro_rules! number {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub u64);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// GitHub's id of a workflow job; beyond 2^32. A job that is run again has a new one.
    JobId
}
number! {
    /// GitHub's id of a workflow run; beyond 2^32.
    RunId
}
number! {
    /// GitHub's id of a registered runner.
    RegistrationId
}
name! {
    /// Base name of a runner: `sr-<stage>-<unique>`. It registers with GitHub as `<base>-<n>`, n from 1.
    RunnerName
}
name! {
    /// The engine's handle of a runner's machine: an ECS task ARN, a container id, a process folder's name.
    TaskId
}
name! {
    /// Name of a class, as the configuration gives it.
    ClassName
}
name! {
    /// Name of a pool: class, scope and labels in one text (see [`crate::class::Pool`]).
    PoolId
}
name! {
    /// Name of a stored effect: what it does and to whom. Two effects with one id are one effect.
    EffectId
}

impl RunnerName {
    /// The name under which the runner's `n`-th claim registers.
    pub fn registered(&self, n: u32) -> String {
        format!("{}-{n}", self.0)
    }

    /// The base name and n of a registered name of this stage, `None` for other people's runners.
    pub fn parse_registered(prefix: &str, name: &str) -> Option<(Self, u32)> {
        let (base, n) = name.rsplit_once('-')?;
        let unique = base.strip_prefix(prefix)?;
        let n = n.parse().ok()?;
        (!unique.is_empty() && !unique.contains('-')).then(|| (base.into(), n))
    }
}

/// GitHub's limit of a repository's name; owners' names are shorter.
const REPO_PART_MAX_CHARS: usize = 100;

/// A repository, `owner/name`, in lower case because GitHub does not distinguish.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repo(Arc<str>);

impl Repo {
    /// Reads `owner/name`; `None` if it is not of that form.
    pub fn parse(text: &str) -> Option<Self> {
        let (owner, name) = text.split_once('/')?;
        let fine = |part: &str| {
            (1..=REPO_PART_MAX_CHARS).contains(&part.len())
                && part != "."
                && part != ".."
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        (fine(owner) && fine(name)).then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// The part before the slash.
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part behind the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }

    /// `owner/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Repo {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is not a repository of the form owner/name"))
    }
}

impl From<Repo> for String {
    fn from(repo: Repo) -> Self {
        repo.0.to_string()
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a runner registers with: an organisation or one repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// All repositories of an organisation that its runner group may serve.
    Org(Arc<str>),
    /// One repository.
    Repo(Repo),
}

impl Scope {
    /// The owner's name.
    pub fn owner(&self) -> &str {
        match self {
            Self::Org(owner) => owner,
            Self::Repo(repo) => repo.owner(),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.contains('/') {
            return Repo::try_from(text).map(Self::Repo);
        }
        Ok(Self::Org(text.to_ascii_lowercase().into()))
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Org(owner) => f.write_str(owner),
            Self::Repo(repo) => f.write_str(repo.as_str()),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_compare_without_case_and_refuse_paths() {
        assert_eq!(Repo::parse("Acme/Web"), Repo::parse("acme/web"));
        for bad in ["acme", "acme/", "/web", "a/b/c", "acme/..", "acme/we b", "acme/w%2f"] {
            assert_eq!(Repo::parse(bad), None, "{bad}");
        }
        let of = |chars: usize| Repo::parse(&format!("acme/{}", "w".repeat(chars)));
        assert!(of(100).is_some() && of(101).is_none());
    }

    #[test]
    fn a_registered_name_gives_its_base_back_and_other_stages_do_not() {
        let base = RunnerName::from("sr-dev-0abc");
        assert_eq!(RunnerName::parse_registered("sr-dev-", &base.registered(12)), Some((base, 12)));
        for foreign in ["sr-dev-0abc", "sr-dev-qa-0abc-1", "sr-qa-0abc-1", "laptop", "sr-dev--1", "sr-dev-0abc-x"] {
            assert_eq!(RunnerName::parse_registered("sr-dev-", foreign), None, "{foreign}");
        }
    }
}
