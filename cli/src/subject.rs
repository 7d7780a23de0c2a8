//! What `why` and `runners stop` are asked about: a job's id, a page at GitHub, a runner's name. Pure.

use fleet::ids::{JobId, Repo, RunId, RunnerName};

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A job, and where it comes from if that was told.
    Job(JobId, Option<Repo>),
    /// All jobs of a run.
    Run(RunId, Option<Repo>),
    /// A runner.
    Runner(RunnerName),
}

impl Subject {
    /// Reads a number, a URL or a name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(id) = text.parse() {
            return Some(Self::Job(JobId(id), None));
        }
        if text.contains('/') {
            return page(text);
        }
        base_name(text).map(Self::Runner)
    }
}

/// `…/owner/name/actions/runs/1/job/2`, `…/owner/name/runs/2` (its older form), `…/repos/owner/name/actions/jobs/2`.
fn page(text: &str) -> Option<Subject> {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let at = parts.iter().rposition(|part| ["actions", "runs"].contains(part) && !is_after_actions(&parts, part))?;
    let repo = at.checked_sub(2).and_then(|from| Repo::parse(&format!("{}/{}", parts[from], parts[from + 1])));
    let number = |name: &[&str]| {
        let found = parts.windows(2).find(|pair| name.contains(&pair[0])).map(|pair| pair[1].parse::<u64>());
        found.and_then(Result::ok)
    };
    if let Some(job) = number(&["job", "jobs"]) {
        return Some(Subject::Job(JobId(job), repo));
    }
    let run = number(&["runs"])?;
    Some(if parts[at] == "actions" { Subject::Run(RunId(run), repo) } else { Subject::Job(JobId(run), repo) })
}

/// `runs` in `actions/runs` belongs to `actions`.
fn is_after_actions(parts: &[&str], part: &str) -> bool {
    part == "runs" && parts.contains(&"actions")
}

/// The base name in a runner's base or registered name (`sr-<stage>-<unique>`, `sr-<stage>-<unique>-<n>`).
pub(crate) fn base_name(text: &str) -> Option<RunnerName> {
    text.strip_prefix("sr-")?;
    let registered =
        text.rsplit_once('-').filter(|(base, n)| base.matches('-').count() == 2 && n.parse::<u32>().is_ok());
    Some(registered.map_or(text, |(base, _)| base).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_runs_and_runners_are_told_apart() {
        let web = Repo::parse("acme/web");
        let job = |repo: &Option<Repo>| Some(Subject::Job(JobId(43_000_000_001), repo.clone()));
        assert_eq!(Subject::parse("43000000001"), job(&None));
        for url in [
            "https://github.com/acme/web/actions/runs/1/job/43000000001?pr=2",
            "https://github.com/acme/web/actions/runs/1/job/43000000001#step:2:1",
            "https://github.example.com/acme/web/runs/43000000001",
            "https://api.github.com/repos/acme/web/actions/jobs/43000000001",
            "acme/web/actions/runs/1/attempts/2/job/43000000001/",
        ] {
            assert_eq!(Subject::parse(url), job(&web), "{url}");
        }
        let run = Subject::parse("https://github.com/acme/web/actions/runs/12000000001/attempts/2");
        assert_eq!(run, Some(Subject::Run(RunId(12_000_000_001), web)));
        for (name, base) in
            [("sr-dev-0abc", "sr-dev-0abc"), ("sr-dev-0abc-2", "sr-dev-0abc"), ("sr-dev-0123", "sr-dev-0123")]
        {
            assert_eq!(Subject::parse(name), Some(Subject::Runner(base.into())));
        }
        for odd in ["web", "https://github.com/acme/web", "https://github.com/acme/web/actions/runs/x", "", "-1"] {
            assert_eq!(Subject::parse(odd), None, "{odd}");
        }
    }
}
