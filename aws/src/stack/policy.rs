//! Permissions: what a role may do, and on what. A statement names ARNs, or tells why it cannot.

use serde_json::{Value, json};

use super::{
    Stack,
    template::{Id, Resource, sub},
};

/// An ARN: of something in the template, or of something that is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arn(Value);

impl Arn {
    /// Of a resource whose type has the attribute `Arn`.
    pub(crate) fn of(id: &Id) -> Self {
        Self(id.att("Arn"))
    }

    /// Of a resource whose `Ref` is its ARN.
    pub(crate) fn by_reference(id: &Id) -> Self {
        Self(id.reference())
    }

    /// Of things below a resource, as the streams of a log group.
    pub(crate) fn below(id: &Id, rest: &str) -> Self {
        Self(sub(format!("${{{}.Arn}}{rest}", id.as_str())))
    }

    /// Of something of this account and Region, by name.
    pub(crate) fn local(service: &str, resource: impl AsRef<str>) -> Self {
        let resource = resource.as_ref();
        Self::somewhere(format!("{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"))
    }

    /// Of something elsewhere: service, Region, account and name.
    pub(super) fn somewhere(rest: impl AsRef<str>) -> Self {
        Self(sub(format!("arn:${{AWS::Partition}}:{}", rest.as_ref())))
    }

    /// Of something that is there. Its form was checked when the configuration was read.
    pub(crate) fn given(text: &str) -> Self {
        Self(text.into())
    }

    /// As a value of a property.
    pub(crate) fn value(self) -> Value {
        self.0
    }
}

/// A thing that is allowed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    sid: &'static str,
    actions: &'static [&'static str],
    on: Vec<Value>,
    condition: Option<Value>,
    reason: Option<&'static str>,
}

impl Statement {
    /// These actions on these things.
    pub(crate) fn allow(
        sid: &'static str,
        actions: &'static [&'static str],
        on: impl IntoIterator<Item = Arn>,
    ) -> Self {
        Self { sid, actions, on: on.into_iter().map(Arn::value).collect(), condition: None, reason: None }
    }

    /// These actions on anything, because AWS knows no ARN for them. The reason stands in the role's description.
    pub(crate) fn anywhere(sid: &'static str, actions: &'static [&'static str], reason: &'static str) -> Self {
        Self { sid, actions, on: vec!["*".into()], condition: None, reason: Some(reason) }
    }

    /// Only if this holds.
    pub(crate) fn only_if(mut self, condition: Value) -> Self {
        self.condition = Some(condition);
        self
    }

    fn object(self) -> Value {
        let mut object = json!({ "Sid": self.sid, "Effect": "Allow", "Action": self.actions, "Resource": self.on });
        if let Some(condition) = self.condition {
            object["Condition"] = condition;
        }
        object
    }
}

/// A policy document.
pub(crate) fn document(statements: Vec<Statement>) -> Value {
    let statements: Vec<Value> = statements.into_iter().map(Statement::object).collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

impl Stack<'_> {
    /// A role that a service takes on, with what it may do then. Without statements it may do nothing.
    pub(super) fn role(
        &self,
        about: impl Into<String>,
        service: &str,
        trust: Option<Value>,
        statements: Vec<Statement>,
    ) -> Resource {
        let mut about = about.into();
        for statement in &statements {
            if let Some(reason) = statement.reason {
                about.push_str(&format!(" {} names no ARN: {reason}.", statement.sid));
            }
        }
        let mut who = json!({ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" });
        if let Some(condition) = trust {
            who["Condition"] = condition;
        }
        let policies = (!statements.is_empty())
            .then(|| json!([{ "PolicyName": "only-what-it-does", "PolicyDocument": document(statements) }]));
        let trusted = json!({
            "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [who] },
            "Tags": self.tag_list(),
        });
        let boundary = self.settings.permissions_boundary.as_deref().map(Value::from);
        Resource::new("AWS::IAM::Role", about, trusted).with("Policies", policies).with("PermissionsBoundary", boundary)
    }
}
