//! What a change set says. Pure.

use std::fmt;

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// It is made.
    Add,
    /// It is changed.
    Change,
    /// It is taken away.
    Remove,
}

/// Whether a changed resource is another one afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// It stays.
    Never,
    /// CloudFormation cannot know yet.
    Perhaps,
    /// A new one is made, and the old one taken away.
    Surely,
}

/// What is done with one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is done.
    pub act: Act,
    /// Its name in the template.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Whether it is replaced.
    pub replacement: Replacement,
    /// The properties that change.
    pub properties: Vec<String>,
}

/// Resources that hold what cannot be made again.
const HOLD_CONTENT: [&str; 4] = [
    "AWS::DynamoDB::Table",
    "AWS::SecretsManager::Secret",
    "AWS::ElastiCache::ServerlessCache",
    "AWS::ECR::Repository",
];

/// Resources that another would have to take the name of while they are there.
const KEEP_THEIR_NAME: [&str; 3] =
    ["AWS::DynamoDB::Table", "AWS::ElastiCache::ServerlessCache", "AWS::ECR::Repository"];

impl Change {
    /// Whether CloudFormation will refuse it: it makes the new one before it takes the old one away.
    #[must_use]
    pub fn is_impossible(&self) -> bool {
        self.replacement == Replacement::Surely && KEEP_THEIR_NAME.contains(&self.kind.as_str())
    }

    /// Whether content is lost: a person must have read it.
    #[must_use]
    pub fn loses_content(&self) -> bool {
        let goes = self.act == Act::Remove || (self.act == Act::Change && self.replacement != Replacement::Never);
        goes && HOLD_CONTENT.contains(&self.kind.as_str())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, word) = match (self.act, self.replacement) {
            (Act::Add, _) => ("+", "is made"),
            (Act::Remove, _) => ("-", "IS REMOVED"),
            (Act::Change, Replacement::Never) => ("~", "changes"),
            (Act::Change, Replacement::Perhaps) => ("~", "changes, PERHAPS REPLACED"),
            (Act::Change, Replacement::Surely) => ("!", "IS REPLACED"),
        };
        write!(f, "{mark} {} ({}) {word}", self.id, self.kind)?;
        if !self.properties.is_empty() {
            write!(f, ": {}", self.properties.join(", "))?;
        }
        if self.loses_content() { write!(f, "; what it holds is lost") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_stands_out() {
        let change = |act, kind: &str, replacement, properties: &[&str]| Change {
            act,
            id: "It".into(),
            kind: kind.into(),
            replacement,
            properties: properties.iter().map(ToString::to_string).collect(),
        };
        let table = "AWS::DynamoDB::Table";
        for (change, said) in [
            (change(Act::Add, table, Replacement::Never, &[]), "+ It (AWS::DynamoDB::Table) is made"),
            (change(Act::Change, "A::B", Replacement::Never, &["Code", "Tags"]), "~ It (A::B) changes: Code, Tags"),
            (change(Act::Change, "A::B", Replacement::Perhaps, &[]), "~ It (A::B) changes, PERHAPS REPLACED"),
            (
                change(Act::Change, table, Replacement::Surely, &["TableName"]),
                "! It (AWS::DynamoDB::Table) IS REPLACED: TableName; what it holds is lost",
            ),
            (
                change(Act::Remove, table, Replacement::Never, &[]),
                "- It (AWS::DynamoDB::Table) IS REMOVED; what it holds is lost",
            ),
        ] {
            assert_eq!(change.to_string(), said);
        }
    }
}
