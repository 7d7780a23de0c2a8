//! A small model of a CloudFormation template: parameters, resources, outputs, and the ways in which one names another.
//!
//! A reference can only be made from an [`Id`], and an [`Id`] only by adding what it names, so none leads nowhere. It
//! knows no resource type; what a property means stands where the resource is made.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Value, json};

/// The logical name of a resource or parameter of this template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(Cow<'static, str>);

impl Id {
    /// `Ref`: what that is depends on the type.
    #[must_use]
    pub fn reference(&self) -> Value {
        json!({ "Ref": self.0 })
    }

    /// `Fn::GetAtt`.
    #[must_use]
    pub fn att(&self, name: &str) -> Value {
        json!({ "Fn::GetAtt": [self.0, name] })
    }

    /// The logical name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `Fn::Sub`: a text with `${…}` in it. Names in it are ids (`{id}` of a format string) or `AWS::…`.
pub(crate) fn sub(text: impl Into<String>) -> Value {
    json!({ "Fn::Sub": text.into() })
}

/// `Fn::Join`, or a plain text where all parts are texts.
pub(crate) fn join(with: &str, parts: Vec<Value>) -> Value {
    let texts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
    match texts {
        Some(texts) => texts.join(with).into(),
        None => json!({ "Fn::Join": [with, parts] }),
    }
}

/// One thing that CloudFormation makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    kind: &'static str,
    about: String,
    properties: Map<String, Value>,
    after: Vec<Id>,
}

impl Resource {
    /// A resource: its type, a line about it, its properties.
    #[must_use]
    pub fn new(kind: &'static str, about: impl Into<String>, properties: Value) -> Self {
        let properties = match properties {
            Value::Object(properties) => properties,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        };
        Self { kind, about: about.into(), properties, after: Vec::new() }
    }

    /// With a property more, if it has a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<Value>) -> Self {
        if let Some(value) = value {
            self.properties.insert(name.to_owned(), value);
        }
        self
    }

    /// Made after another one that no property names.
    #[must_use]
    pub fn after(mut self, id: &Id) -> Self {
        self.after.push(id.clone());
        self
    }

    fn object(&self, described: bool) -> Value {
        let mut object = Map::new();
        object.insert("Type".into(), self.kind.into());
        if described {
            object.insert("Metadata".into(), json!({ "About": self.about }));
        }
        if !self.after.is_empty() {
            object.insert("DependsOn".into(), self.after.iter().map(Id::as_str).collect());
        }
        if !self.properties.is_empty() {
            object.insert("Properties".into(), self.properties.clone().into());
        }
        object.into()
    }
}

/// The template.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template {
    description: String,
    parameters: BTreeMap<String, Value>,
    resources: BTreeMap<String, Resource>,
    outputs: BTreeMap<String, Value>,
}

impl Template {
    /// An empty one.
    #[must_use]
    pub fn new(description: impl Into<String>) -> Self {
        Self { description: description.into(), ..Self::default() }
    }

    /// Adds a text that is given when the stack is made.
    pub fn parameter(&mut self, name: &'static str, about: &str, pattern: &str) -> Id {
        let parameter = json!({ "Type": "String", "Description": about, "AllowedPattern": pattern });
        self.parameters.insert(name.to_owned(), parameter);
        Id(name.into())
    }

    /// Adds a resource.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, resource: Resource) -> Id {
        let id = Id(name.into());
        self.resources.insert(id.0.clone().into_owned(), resource);
        id
    }

    /// Adds something that is told when the stack is made.
    pub fn output(&mut self, name: &'static str, about: &str, value: Value) {
        self.outputs.insert(name.to_owned(), json!({ "Description": about, "Value": value }));
    }

    /// As JSON, each resource with its description.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.object(true)
    }

    /// Types of the resources.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<&'static str> {
        self.resources.values().map(|resource| resource.kind).collect()
    }

    /// Names and descriptions of the resources.
    pub(crate) fn abouts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.resources.iter().map(|(name, resource)| (name.as_str(), resource.about.as_str()))
    }

    /// With descriptions as metadata, or without them.
    pub(crate) fn object(&self, described: bool) -> Value {
        let resources: Map<String, Value> =
            self.resources.iter().map(|(name, resource)| (name.clone(), resource.object(described))).collect();
        json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": self.description,
            "Parameters": self.parameters,
            "Resources": resources,
            "Outputs": self.outputs,
        })
    }
}
