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

#[cfg(test)]
mod tests {
    use super::*;

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
