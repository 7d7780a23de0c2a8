//! Environment variables. One rule: `SELF_RUNNERS_<SECTION>_<KEY>` sets a key. A text is taken as it stands, anything
//! else is written as in the file; a list of texts may also be written with commas.

use std::{collections::BTreeMap, env};

use toml::Value;

use super::{
    problems::Problems,
    shape::Shape,
    text,
    tree::{Node, Origin},
};
use crate::serve::secrets;

/// The variables that concern the program. Not printed: some are secrets.
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let short = |name: &str| SHORT.iter().any(|(_, short)| *short == name);
        let ours = |name: &str| {
            let others = [&secrets::VARIABLES[..], &REGIONS, &[DOCKER_HOST]].concat();
            name.starts_with(PREFIX) || short(name) || others.contains(&name)
        };
        Self::of(env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| ours(name))?;
            Some((name, value.into_string().ok()?))
        }))
    }

    /// These.
    pub(crate) fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The value of one; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    /// The Region that AWS's own command line would take.
    pub(crate) fn region(&self) -> Option<&str> {
        REGIONS.iter().find_map(|name| self.get(name))
    }

    /// Puts the values that are set over a tree.
    pub(super) fn put_over(&self, tree: &mut Node, shape: &Shape, problems: &mut Problems) {
        let mut known: Vec<String> = OTHERS.iter().map(ToString::to_string).collect();
        self.put_keys(&[], tree, shape, &mut known, problems);
        self.put_docker_host(tree);
        self.put_region(tree);
        for name in self.0.keys().filter(|name| name.starts_with(PREFIX) && !known.contains(name)) {
            problems.warn_at(Origin::Variable(name.clone()), "no key has this variable; it changes nothing");
        }
    }

    /// As Docker's own command line does, where nothing of ours names a host.
    fn put_docker_host(&self, tree: &mut Node) {
        let engine = tree.get("engine");
        let is_docker =
            engine.and_then(|engine| engine.get("kind")).is_some_and(|kind| kind.value() == "docker".into());
        if let Some(host) =
            self.get(DOCKER_HOST).filter(|_| is_docker && engine.is_some_and(|it| it.get("host").is_none()))
        {
            let node = Node::from_value(host.into(), &Origin::Variable(DOCKER_HOST.into()));
            tree.put(&["engine".into(), "host".into()], node);
        }
    }

    /// As AWS's own command line does, where nothing of ours names a Region.
    fn put_region(&self, tree: &mut Node) {
        let is_missing = tree.get("aws").is_some_and(|aws| aws.get("region").is_none());
        let named = REGIONS.iter().find_map(|name| Some((*name, self.get(name)?)));
        if let Some((name, region)) = named.filter(|_| is_missing) {
            let node = Node::from_value(region.into(), &Origin::Variable(name.into()));
            tree.put(&["aws".into(), "region".into()], node);
        }
    }

    fn put_keys(
        &self,
        at: &[String],
        tree: &mut Node,
        shape: &Shape,
        known: &mut Vec<String>,
        problems: &mut Problems,
    ) {
        if let Shape::Variants { tag, .. } = shape {
            self.put_key(&[at, std::slice::from_ref(tag)].concat(), tree, &Shape::Text, known, problems);
        }
        for key in shape.keys() {
            let path = [at, std::slice::from_ref(&key.name)].concat();
            if matches!(key.shape, Shape::Section(_) | Shape::Variants { .. }) {
                self.put_keys(&path, tree, &key.shape, known, problems);
            } else {
                self.put_key(&path, tree, &key.shape, known, problems);
            }
        }
    }

    fn put_key(
        &self,
        key: &[String],
        tree: &mut Node,
        shape: &Shape,
        known: &mut Vec<String>,
        problems: &mut Problems,
    ) {
        let names = names(key);
        if let Some((name, text)) = names.iter().find_map(|name| Some((name, self.get(name)?))) {
            let origin = Origin::Variable(name.clone());
            match value(text, shape) {
                Ok(value) => tree.put(key, Node::from_value(value, &origin)),
                Err(error) => problems.add_at(origin, &[], format!("{error}; write the value as in the file")),
            }
        }
        known.extend(names);
    }
}

/// The variable of a key, by the rule.
pub(crate) fn variable(key: &[String]) -> String {
    format!("{PREFIX}{}", key.join("_").to_ascii_uppercase())
}

/// All variables of a key, first the one that goes before the others.
fn names(key: &[String]) -> Vec<String> {
    let short = SHORT.iter().filter(|(long, _)| key == *long).map(|(_, short)| (*short).to_owned());
    std::iter::once(variable(key)).chain(short).collect()
}

fn value(text: &str, shape: &Shape) -> Result<Value, String> {
    match shape {
        Shape::Text | Shape::Choice(_) => Ok(text.into()),
        Shape::List(inner) if **inner == Shape::Text && !text.trim_start().starts_with('[') => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            Ok(Value::Array(words.map(Value::from).collect()))
        }
        Shape::List(_)
        | Shape::Pair(_)
        | Shape::Map(_)
        | Shape::Section(_)
        | Shape::Variants { .. }
        | Shape::Whole(_)
        | Shape::Truth
        | Shape::Unknown => text::value(text.trim()),
    }
}

/// What the names of our variables begin with.
const PREFIX: &str = "SELF_RUNNERS_";

/// Keys with a shorter variable beside the one of the rule.
const SHORT: [(&[&str], &str); 2] = [(&["data_dir"], "SELF_RUNNERS_DATA"), (&["github", "app_id"], "GITHUB_APP_ID")];

/// Where AWS's own command line looks for the Region, in this order.
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Docker's own variable for where its engine listens.
const DOCKER_HOST: &str = "DOCKER_HOST";

/// Variables that are no key of the file.
const OTHERS: [&str; 2] = ["SELF_RUNNERS_CONFIG", "SELF_RUNNERS_LOG"];
