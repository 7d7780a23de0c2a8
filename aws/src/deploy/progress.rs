//! What the events of a stack tell. Pure.

/// Something that happened to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The event's own id.
    pub event: String,
    /// Name of the resource in the template.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// As CloudFormation calls it: `CREATE_COMPLETE`.
    pub status: String,
    /// Why; mostly empty.
    pub reason: String,
}

impl Happening {
    /// Whether something went wrong.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.status.ends_with("_FAILED")
    }

    /// Whether it only follows from another failure.
    fn follows(&self) -> bool {
        let reason = self.reason.to_ascii_lowercase();
        reason.contains("cancelled") || reason.contains("the following resource(s) failed")
    }
}

/// What broke first: what was cancelled for it tells nothing. The events are in the order in which they happened.
#[must_use]
pub fn first_cause(happened: &[Happening]) -> Option<&Happening> {
    let mut failures = happened.iter().filter(|happening| happening.is_failure());
    failures.clone().find(|happening| !happening.follows()).or_else(|| failures.next())
}

/// What to do about a cause, where CloudFormation's words leave that open.
#[must_use]
pub fn advice(reason: &str) -> Option<&'static str> {
    let reason = reason.to_ascii_lowercase();
    let known = ADVICE.iter().find(|(words, _)| words.iter().any(|word| reason.contains(word)));
    known.map(|(_, advice)| *advice)
}

/// Words of a cause, in small letters, and what to do.
const ADVICE: [(&[&str], &str); 5] = [
    (
        &["service linked role", "service-linked role"],
        "the first cluster of an account makes ECS's role: run this again in a minute",
    ),
    (
        &["not authorized to perform", "accessdenied", "access denied"],
        "allow it to whoever deploys: docs/security.md lists what is needed",
    ),
    (
        &["maximum number of", "limit exceeded", "limitexceeded", "quota"],
        "raise that quota of the account, or use what is there (`[aws.network]` takes an existing VPC)",
    ),
    (
        &["custom-named resource"],
        "CloudFormation cannot make it anew under the name it has: `destroy` the stage, then deploy it",
    ),
    (&["already exists"], "something else in this account has that name: remove it, or give this stage another name"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_leaves_open_what_to_do_has_advice() {
        for (reason, word) in [
            (
                "Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
                "again",
            ),
            ("User: arn:aws:iam::1:user/a is not authorized to perform: iam:CreateRole", "docs/security.md"),
            ("The maximum number of VPCs has been reached. (Status Code: 400)", "existing VPC"),
            ("self-runners-dev-events already exists in stack", "another name"),
        ] {
            assert!(advice(reason).is_some_and(|advice| advice.contains(word)), "{reason}");
        }
        assert_eq!(advice("Properties validation failed"), None);
    }

    #[test]
    fn the_cause_is_what_broke_and_not_what_was_cancelled_for_it() {
        let happening = |id: &str, status: &str, reason: &str| Happening {
            event: String::new(),
            id: id.into(),
            kind: String::new(),
            status: status.into(),
            reason: reason.into(),
        };
        let happened = [
            happening("Vpc", "CREATE_COMPLETE", ""),
            happening("Table", "CREATE_FAILED", "Resource creation cancelled"),
            happening("Role", "CREATE_FAILED", "API: iam:CreateRole is not allowed"),
            happening(
                "self-runners-dev",
                "ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed to create: [Role].",
            ),
        ];
        assert_eq!(first_cause(&happened).map(|cause| cause.id.as_str()), Some("Role"));
        assert_eq!(first_cause(&happened[..2]).map(|cause| cause.id.as_str()), Some("Table"));
        assert_eq!(first_cause(&happened[..1]), None);
    }
}
