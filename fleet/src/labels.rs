//! Labels: what a job asks for and what a runner offers.
//!
//! GitHub compares labels without case and gives a job to any idle runner that has **all** of the job's labels.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Longest label that is accepted; GitHub refuses longer ones.
const LABEL_MAX_CHARS: usize = 256;

/// Most labels that one job or runner can have (`generate-jitconfig` takes 1 to 100).
const LABELS_MAX: usize = 100;

/// A set of labels in lower case.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelSet(BTreeSet<Arc<str>>);

impl LabelSet {
    /// Reads labels.
    ///
    /// # Errors
    /// A label with a character that no runner can register with is named: a runner started without it would never
    /// match, and the job would hang beside an idle machine (lesson 13).
    pub fn parse<T: AsRef<str>>(labels: impl IntoIterator<Item = T>) -> Result<Self, BadLabel> {
        let mut set = BTreeSet::new();
        for label in labels {
            let label = label.as_ref().trim();
            if !is_registrable(label) {
                return Err(BadLabel(label.chars().take(LABEL_MAX_CHARS).collect()));
            }
            set.insert(label.to_ascii_lowercase().into());
        }
        if set.len() > LABELS_MAX {
            return Err(BadLabel(format!("{} labels, where {LABELS_MAX} are the most", set.len())));
        }
        Ok(Self(set))
    }

    /// Whether a runner with these labels may be given a job with `job`'s.
    pub fn serves(&self, job: &Self) -> bool {
        job.0.is_subset(&self.0)
    }

    /// The labels of `job` that are missing here.
    pub fn missing(&self, job: &Self) -> Vec<String> {
        job.0.difference(&self.0).map(ToString::to_string).collect()
    }

    /// These and `other`'s.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// Whether `label` (in lower case) is one of them.
    pub fn contains(&self, label: &str) -> bool {
        self.0.contains(label)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// Letters, digits and a few signs: what `config.sh`, JIT configs and engine tags all carry unchanged.
fn is_registrable(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= LABEL_MAX_CHARS
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:=+/@".contains(&b))
}

/// A label that no runner can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLabel(pub String);

impl fmt::Display for BadLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "label `{}` cannot be registered: use 1 to 256 letters, digits and - _ . : = + / @", self.0)
    }
}

impl std::error::Error for BadLabel {}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, label) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(label)?;
        }
        Ok(())
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_serves_jobs_whose_labels_it_has_all_whatever_their_case() {
        let runner = LabelSet::parse(["self-hosted", "Linux", "ARM64"]).unwrap();
        assert!(runner.serves(&LabelSet::parse(["Self-Hosted", "arm64"]).unwrap()));
        let job = LabelSet::parse(["self-hosted", "gpu"]).unwrap();
        assert!(!runner.serves(&job));
        assert_eq!(runner.missing(&job), ["gpu"]);
    }

    #[test]
    fn a_label_that_cannot_be_registered_is_refused_by_name() {
        for bad in ["", "a,b", "a b", "naïve", "x\n", &"l".repeat(257)] {
            assert!(LabelSet::parse(["ok", bad]).is_err() || bad.trim() != bad, "{bad:?}");
        }
        assert!(LabelSet::parse(["a,b"]).unwrap_err().to_string().contains("`a,b`"));
    }
}
