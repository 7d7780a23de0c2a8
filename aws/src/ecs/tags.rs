//! A machine's tags: what the inventory is rebuilt from, and what costs are allocated by.
//!
//! A tag's value takes 256 characters, and no commas. So labels are joined with spaces, and those that do not fit into one
//! tag go on in `…labels-2`, `…labels-3`; a set that needs more tags than a task can have is refused by name.

use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::{
    class::Pool,
    effect::LaunchSpec,
    ids::{Repo, Scope},
    labels::LabelSet,
};

const STAGE: &str = "self-runners.stage";
const RUNNER: &str = "self-runners.runner";
const ATTEMPT: &str = "self-runners.attempt";
const CLASS: &str = "self-runners.class";
const SCOPE: &str = "self-runners.scope";
const LABELS: &str = "self-runners.labels";
const REPO: &str = "self-runners.repo";
const JOB: &str = "self-runners.job";
const CREATED: &str = "self-runners.created-ms";

/// Characters of a value (FACTS §4).
const VALUE_MAX: usize = 256;

/// Tags of a task are 50. So many may hold labels: 8 are of our own, and some room is left for those of the stage and of the
/// account.
const LABEL_TAGS_MAX: usize = 30;

/// Key and value.
pub(super) type Tag = (String, String);

/// What the tags say beside who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tagged {
    pub(super) pool: Pool,
    pub(super) repo: Option<Repo>,
    pub(super) created_ms: u64,
}

/// The tags of a launch.
///
/// # Errors
/// `Invalid`: more labels than tags can hold.
pub(super) fn of(stage: &str, spec: &LaunchSpec) -> PortResult<Vec<Tag>> {
    let mut tags = vec![
        (STAGE.to_owned(), stage.to_owned()),
        (RUNNER.to_owned(), spec.runner.to_string()),
        (ATTEMPT.to_owned(), spec.attempt.to_string()),
        (CLASS.to_owned(), spec.pool.class.to_string()),
        (SCOPE.to_owned(), spec.pool.scope.to_string()),
        (CREATED.to_owned(), spec.created_ms.to_string()),
    ];
    tags.extend(spec.repo.as_ref().map(|repo| (REPO.to_owned(), repo.to_string())));
    // For people: which job it is given is GitHub's to say.
    tags.extend(spec.job.map(|job| (JOB.to_owned(), job.to_string())));
    let lines = lines(&spec.pool.labels);
    if lines.len() > LABEL_TAGS_MAX {
        let why = format!(
            "the {} labels of class {} do not fit into a task's tags ({} of {LABEL_TAGS_MAX}): give it fewer or shorter ones",
            spec.pool.labels.len(),
            spec.pool.class,
            lines.len()
        );
        return Err(PortError::new(ErrorKind::Invalid, why));
    }
    tags.extend((1..).zip(lines).map(|(n, line)| (key(n), line)));
    Ok(tags)
}

/// Key of the n-th tag with labels.
fn key(n: usize) -> String {
    if n == 1 { LABELS.to_owned() } else { format!("{LABELS}-{n}") }
}

/// Labels with spaces between them, in lines that fit. At least one, so that a set without labels is told from no tag.
fn lines(labels: &LabelSet) -> Vec<String> {
    let mut lines = vec![String::new()];
    for label in labels.iter() {
        let fits = lines.last().is_some_and(|line| line.is_empty() || line.len() + 1 + label.len() <= VALUE_MAX);
        if !fits {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(label);
        }
    }
    lines
}

/// What tags say; `None` if they are not ours, or not all there, or of a version that we do not understand.
pub(super) fn read<'a>(tags: impl Fn(&str) -> Option<&'a str>) -> Option<Tagged> {
    let mut labels = Vec::new();
    for n in 1..=LABEL_TAGS_MAX {
        match tags(&key(n)) {
            Some(line) => labels.extend(line.split(' ').filter(|label| !label.is_empty())),
            None if n == 1 => return None,
            None => break,
        }
    }
    let scope = Scope::try_from(tags(SCOPE)?.to_owned()).ok()?;
    let repo = match tags(REPO) {
        Some(repo) => Some(Repo::parse(repo)?),
        None => None,
    };
    let pool = Pool::new(&tags(CLASS)?.into(), &scope, &LabelSet::parse(labels).ok()?);
    Some(Tagged { pool, repo, created_ms: tags(CREATED)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use controller::contract::facts;

    use super::*;

    fn back(tags: &[Tag]) -> Option<Tagged> {
        read(|key| tags.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str()))
    }

    fn with_labels(labels: &[String]) -> LaunchSpec {
        let mut spec = facts::launch("sr-dev-a", 1);
        let labels = LabelSet::parse(labels).unwrap();
        spec.pool = Pool::new(&spec.pool.class, &spec.pool.scope, &labels);
        spec
    }

    #[test]
    fn a_launch_is_read_back_from_its_tags() {
        let spec = facts::launch("sr-dev-a", 3);
        let tags = of("dev", &spec).unwrap();
        assert!(tags.contains(&(JOB.to_owned(), "70".to_owned())), "{tags:?}");
        let expected = Tagged { pool: spec.pool, repo: spec.repo, created_ms: spec.created_ms };
        assert_eq!(back(&tags), Some(expected));
    }

    #[test]
    fn long_sets_of_labels_go_over_several_tags() {
        for (count, length) in [(0, 1), (1, 256), (30, 256), (100, 60), (2, 128), (2, 127)] {
            let labels: Vec<String> = (0..count).map(|n| format!("{n:0length$}")).collect();
            let spec = with_labels(&labels);
            let tags = of("dev", &spec).unwrap();
            assert!(tags.len() <= 50 && tags.iter().all(|(_, value)| value.len() <= VALUE_MAX), "{count} × {length}");
            assert_eq!(back(&tags).unwrap().pool, spec.pool, "{count} × {length}");
        }
    }

    #[test]
    fn what_no_tags_can_hold_is_refused_by_name() {
        let labels: Vec<String> = (0..39).map(|n| format!("{n:0256}")).collect();
        let error = of("dev", &with_labels(&labels)).unwrap_err();
        assert!(error.kind == ErrorKind::Invalid && error.message.contains("39 labels of class linux"), "{error}");
    }

    #[test]
    fn what_is_not_there_is_not_guessed() {
        let tags = of("dev", &facts::launch("sr-dev-a", 1)).unwrap();
        for missing in [CLASS, SCOPE, LABELS, CREATED] {
            let left: Vec<Tag> = tags.iter().filter(|(key, _)| key != missing).cloned().collect();
            assert_eq!(back(&left), None, "{missing}");
        }
    }
}
