//! A request with its values filled in: a row of the contract, the owner whom it is about, path, query and body.

use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::ids::{Repo, Scope};
use reqwest::Url;
use serde_json::Value;

use crate::contract::Call;

/// A request to be made.
#[derive(Debug, Clone)]
pub(crate) struct Ask<'a> {
    /// The row of the contract.
    pub(crate) call: &'static Call,
    /// Whose token to use.
    pub(crate) owner: &'a str,
    /// JSON body.
    pub(crate) body: Option<Value>,
    path: Vec<(&'static str, String)>,
    query: Vec<(&'static str, String)>,
}

impl<'a> Ask<'a> {
    /// A request about an owner.
    pub(crate) fn of(call: &'static Call, owner: &'a str) -> Self {
        Self { call, owner, body: None, path: Vec::new(), query: Vec::new() }
    }

    /// A request about a repository.
    pub(crate) fn repo(call: &'static Call, repo: &'a Repo) -> Self {
        Self::of(call, repo.owner()).at("owner", repo.owner()).at("repo", repo.name())
    }

    /// A request about a scope.
    pub(crate) fn scope(call: &'static Call, scope: &'a Scope) -> Self {
        match scope {
            Scope::Repo(repo) => Self::repo(call, repo),
            Scope::Org(org) => Self::of(call, org).at("org", org),
        }
    }

    /// With this value in the path.
    pub(crate) fn at(mut self, name: &'static str, value: impl ToString) -> Self {
        self.path.push((name, value.to_string()));
        self
    }

    /// With this query parameter.
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// With this body.
    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Where to send it. Values are escaped, so that none can lead elsewhere.
    pub(crate) fn url(&self, base: &Url) -> PortResult<Url> {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            for part in self.call.path.split('/').filter(|part| !part.is_empty()) {
                segments.push(self.segment(part)?);
            }
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }

    fn segment<'b>(&'b self, part: &'b str) -> PortResult<&'b str> {
        let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else { return Ok(part) };
        let value = self.path.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str());
        // `Url` drops these two from a path, which would then be another one.
        value.filter(|value| !matches!(*value, "" | "." | "..")).ok_or_else(|| {
            PortError::new(ErrorKind::Invalid, format!("{}: `{name}` is not a name on GitHub", self.call.operation))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    #[test]
    fn values_are_escaped_and_a_base_path_stays() {
        let scope = Scope::Org("a/b?c".into());
        let ask = Ask::scope(&contract::LIST_RUNNERS.org, &scope).with("name", "x&y");
        for (base, expected) in [
            ("https://api.github.com", "https://api.github.com/orgs/a%2Fb%3Fc/actions/runners?name=x%26y"),
            ("https://ghe.test/api/v3/", "https://ghe.test/api/v3/orgs/a%2Fb%3Fc/actions/runners?name=x%26y"),
        ] {
            assert_eq!(ask.url(&Url::parse(base).unwrap()).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn a_name_that_would_change_the_path_is_refused() {
        let base = Url::parse("https://api.github.com").unwrap();
        for org in ["", ".", ".."] {
            let scope = Scope::Org(org.into());
            assert!(Ask::scope(&contract::LIST_RUNNERS.org, &scope).url(&base).is_err(), "{org:?}");
        }
    }
}
