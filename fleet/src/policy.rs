//! What the operator allows: owners, repositories, classes, limits. And where a job belongs under it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    class::{Class, Pool},
    ids::{ClassName, Repo, Scope},
    job::JobFacts,
    labels::LabelSet,
    wishes::Lack,
};

/// Most live runners of all classes together, as in the original system.
pub const FLEET_MAX_DEFAULT: u32 = 6;

/// The operator's rules. An argument of every decision; read from the configuration, never from a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Name of the stage (`production`, `qa`, `dev`): letters and digits.
    pub stage: String,
    /// Most live runners in all.
    pub max: u32,
    /// The classes, in the order of the file.
    pub classes: Vec<Class>,
    /// The owners that are served, by lower-case name.
    pub owners: BTreeMap<String, Owner>,
    /// Public repositories that are served all the same.
    pub public_allowed: BTreeSet<Repo>,
    /// A label that a job must ask for, so that GitHub's own runners are left alone. `None`: no such label.
    pub required_label: Option<String>,
    /// Ask GitHub once to run a job again whose runner died.
    pub rerun_interrupted: bool,
    /// A first suspicion of a sweep is acted on only when it still holds so many milliseconds later.
    pub confirm_after_ms: u64,
}

/// Longer than any lag of a listing that has been seen, shorter than the wait for two sweeps.
pub const CONFIRM_AFTER_MS: u64 = 45_000;

/// An owner that is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Whether its runners register with the organisation or with each repository. One or the other, never both.
    pub organization: bool,
    /// The repositories that are served; `None`: all of the owner's.
    pub repositories: Option<BTreeSet<Repo>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            stage: "dev".into(),
            max: FLEET_MAX_DEFAULT,
            classes: Vec::new(),
            owners: BTreeMap::new(),
            public_allowed: BTreeSet::new(),
            required_label: Some("self-hosted".into()),
            rerun_interrupted: false,
            confirm_after_ms: CONFIRM_AFTER_MS,
        }
    }
}

/// Where a job belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Runners of this pool may serve it.
    Pool(Pool),
    /// Only closed classes (`max = 0`) match: it waits.
    Closed(ClassName),
    /// No class matches, or it is not meant for us.
    Unmatched(String),
    /// Its owner or repository is not served.
    Forbidden(String),
}

impl Policy {
    /// What the base names of this stage's runners begin with.
    pub fn prefix(&self) -> String {
        format!("sr-{}-", self.stage)
    }

    /// The class of that name.
    pub fn class(&self, name: &ClassName) -> Option<&Class> {
        self.classes.iter().find(|class| class.name == *name)
    }

    /// What a runner for a job of `repo` registers with.
    pub fn scope(&self, repo: &Repo) -> Option<Scope> {
        let owner = self.owners.get(repo.owner())?;
        Some(if owner.organization { Scope::Org(repo.owner().into()) } else { Scope::Repo(repo.clone()) })
    }

    /// The pool that may serve a job, or why none does.
    pub fn place(&self, job: &JobFacts) -> Placement {
        if let Some(reason) = self.refusal(job) {
            return Placement::Forbidden(reason);
        }
        let labels = match LabelSet::parse(&job.labels) {
            Ok(labels) => labels,
            Err(bad) => return Placement::Unmatched(format!("ignored: {bad}")),
        };
        if let Some(required) = self.required_label.as_deref().filter(|label| !labels.contains(label)) {
            return Placement::Unmatched(format!(
                "ignored: it does not ask for `{required}`, so it is not meant for us"
            ));
        }
        if labels.is_empty() {
            return Placement::Unmatched("ignored: it asks for no label at all".into());
        }
        self.place_labels(job, &labels)
    }

    /// Why the owner or repository is not served.
    fn refusal(&self, job: &JobFacts) -> Option<String> {
        let repo = &job.repo;
        let Some(owner) = self.owners.get(repo.owner()) else {
            return Some(format!(
                "refused: owner {} is not allowed; add it to the configuration to serve it",
                repo.owner()
            ));
        };
        if owner.repositories.as_ref().is_some_and(|allowed| !allowed.contains(repo)) {
            return Some(format!("refused: repository {repo} is not on its owner's allow-list"));
        }
        if job.public == Some(true) && !self.public_allowed.contains(repo) {
            return Some(format!(
                "refused: {repo} is public, so anybody's pull request could run code here; allow it by name if that is meant"
            ));
        }
        None
    }

    fn place_labels(&self, job: &JobFacts, labels: &LabelSet) -> Placement {
        let offers = self.classes.iter().filter_map(|class| Some((class, class.offer(labels).ok()?)));
        let mut matching: Vec<(&Class, LabelSet)> = offers.collect();
        // The most specific class has the fewest labels beyond the job's; the sort is stable, so ties keep file order.
        matching.sort_by_key(|(class, _)| class.labels.len());
        let Some((open, offer)) = matching.iter().find(|(class, _)| class.max > 0) else {
            return match matching.first() {
                Some((closed, _)) => Placement::Closed(closed.name.clone()),
                None => Placement::Unmatched(self.closest(labels)),
            };
        };
        match self.scope(&job.repo) {
            Some(scope) => Placement::Pool(Pool::new(&open.name, &scope, offer)),
            None => Placement::Forbidden(format!("refused: owner {} is not allowed", job.repo.owner())),
        }
    }

    /// Which class came closest and what it lacks. Of those that lack as much it is the one that tells bounds: a job that
    /// asks for too much is helped by what it may ask for.
    fn closest(&self, labels: &LabelSet) -> String {
        let lacks = self.classes.iter().map(|class| (class, class.offer(labels).err().unwrap_or_default()));
        let foreign = |lacks: &[Lack]| lacks.iter().filter(|lack| matches!(lack, Lack::Foreign(_))).count();
        match lacks.min_by_key(|(_, lacks)| (lacks.len(), foreign(lacks))) {
            Some((class, lacks)) => {
                let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
                format!("ignored: no class has all its labels; the closest is `{}`: {}", class.name, lacks.join("; "))
            }
            None => "ignored: no class is configured".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn class(name: &str, labels: &[&str], max: u32) -> Class {
        Class { name: name.into(), labels: LabelSet::parse(labels).unwrap(), max, ..Class::default() }
    }

    fn policy() -> Policy {
        let owner = Owner { organization: false, repositories: None };
        Policy {
            classes: vec![
                class("big", &["self-hosted", "linux", "big"], 10),
                class("small", &["self-hosted", "linux"], 10),
                class("twin", &["self-hosted", "linux"], 10),
                class("gpu", &["self-hosted", "gpu"], 0),
            ],
            owners: BTreeMap::from([("acme".to_owned(), owner)]),
            ..Policy::default()
        }
    }

    fn job(repo: &str, labels: &[&str]) -> JobFacts {
        JobFacts {
            id: crate::ids::JobId(1),
            run_id: crate::ids::RunId(1),
            run_attempt: 1,
            repo: Repo::parse(repo).unwrap(),
            public: Some(false),
            name: "build".into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            created_ms: 0,
        }
    }

    fn placed(policy: &Policy, job: &JobFacts) -> String {
        match policy.place(job) {
            Placement::Pool(pool) => pool.id.to_string(),
            Placement::Closed(class) => format!("closed {class}"),
            Placement::Unmatched(why) | Placement::Forbidden(why) => why,
        }
    }

    #[test]
    fn the_most_specific_open_class_takes_the_job_and_ties_go_by_order() {
        let policy = policy();
        assert_eq!(placed(&policy, &job("Acme/web", &["Self-Hosted", "LINUX"])), "small@acme/web[linux,self-hosted]");
        assert_eq!(placed(&policy, &job("acme/web", &["self-hosted", "big"])), "big@acme/web[big,linux,self-hosted]");
    }

    #[test]
    fn a_closed_class_holds_the_job_unless_another_takes_it() {
        let mut policy = policy();
        assert_eq!(placed(&policy, &job("acme/web", &["self-hosted", "gpu"])), "closed gpu");
        policy.classes.push(class("spare", &["self-hosted", "gpu", "spare"], 1));
        assert_eq!(placed(&policy, &job("acme/web", &["self-hosted", "gpu"])), "spare@acme/web[gpu,self-hosted,spare]");
    }

    #[test]
    fn a_size_is_set_aside_for_the_match_and_stays_a_label_of_the_pool() {
        let mut policy = policy();
        policy.classes[2].allow.cpu_milli = Some([1_000, 8_000]);
        let placed = |cpu: &str| placed(&policy, &job("acme/web", &["self-hosted", "linux", cpu]));
        assert_eq!(placed("cpu=2"), "twin@acme/web[cpu=2,linux,self-hosted]");
        assert_eq!(placed("CPU=4"), "twin@acme/web[cpu=4,linux,self-hosted]");
        // Two classes before it come as close, but no number would be right there.
        assert!(
            placed("cpu=64").ends_with("the closest is `twin`: `cpu=64`: 1 to 8 are allowed"),
            "{}",
            placed("cpu=64")
        );
    }

    #[test]
    fn a_job_chooses_the_class_of_its_architecture() {
        let mut policy = policy();
        policy.classes[1].allow.arch = true;
        policy.classes[2].allow.arch = true;
        policy.classes[2].size.arch = crate::class::Arch::X86_64;
        let placed = |arch: &str| placed(&policy, &job("acme/web", &["self-hosted", "linux", arch]));
        assert_eq!(placed("arch=arm64"), "small@acme/web[arch=arm64,linux,self-hosted]");
        assert_eq!(placed("arch=x64"), "twin@acme/web[arch=x64,linux,self-hosted]");
    }

    #[test]
    fn what_is_not_served_is_told_why() {
        let policy = policy();
        let why = |repo, labels: &[&str]| placed(&policy, &job(repo, labels));
        assert!(why("evil/web", &["self-hosted"]).contains("owner evil is not allowed"));
        assert!(why("acme/web", &["ubuntu-latest"]).contains("does not ask for `self-hosted`"));
        assert!(why("acme/web", &["self-hosted", "linux", "arm"]).contains("closest is `big`: it lacks arm"));
        assert!(why("acme/web", &["self-hosted", "a,b"]).contains("cannot be registered"));
        let public = JobFacts { public: Some(true), ..job("acme/web", &["self-hosted"]) };
        assert!(placed(&policy, &public).contains("is public"));
        let allowed = Policy { public_allowed: BTreeSet::from([Repo::parse("ACME/Web").unwrap()]), ..policy.clone() };
        assert!(matches!(allowed.place(&public), Placement::Pool(_)));
    }
}
