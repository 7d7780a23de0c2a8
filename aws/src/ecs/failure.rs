//! `failures[]`: what `RunTask` says with status 200 when it definitely started nothing.

use controller::ports::{ErrorKind, PortError};
use fleet::effect::LaunchSpec;

use super::refused;

/// A failure in words that say what to do. The core tries the next placement, then waits.
pub(super) fn told(spec: &LaunchSpec, reason: &str, detail: Option<&str>) -> PortError {
    let (kind, advice) = meaning(reason);
    let detail = detail.filter(|detail| !detail.is_empty()).map(|detail| format!(" ({detail})")).unwrap_or_default();
    let reason = reason.trim().trim_end_matches('.');
    let reason = if reason.is_empty() { "no reason given" } else { reason };
    refused(kind, spec, &format!("{reason}{detail}{advice}"))
}

fn meaning(reason: &str) -> (ErrorKind, &'static str) {
    let says = |words: &str| reason.to_ascii_lowercase().contains(words);
    if says("limit on the number of vcpu") || says("limit on the number of tasks") {
        let advice = ": jobs wait for a running one to end. Raise the quota \"Fargate On-Demand vCPU resource count\" (or \
                      \"Fargate Spot vCPU resource count\") in Service Quotas, or lower the limit of runners";
        return (ErrorKind::Capacity, advice);
    }
    if says("capacity is unavailable") {
        return (ErrorKind::Capacity, "; it is tried in the other zones, then later");
    }
    if says("resource:eni") {
        return (ErrorKind::Capacity, ": the instance has no network interface left, or the subnet no address");
    }
    if says("resource:") || says("agent") || says("location") {
        return (ErrorKind::Capacity, ": no instance of the capacity provider has room");
    }
    if says("attribute") {
        let advice =
            ": no instance of the capacity provider is what the task definition asks for (architecture, for one)";
        return (ErrorKind::Invalid, advice);
    }
    if says("inactive") || says("missing") {
        return (ErrorKind::Invalid, ": is the cluster still there? Run `self-runners deploy` again");
    }
    (ErrorKind::Capacity, "")
}

#[cfg(test)]
mod tests {
    use controller::contract::facts;

    use super::*;

    #[test]
    fn each_reason_says_what_to_do() {
        let of = |reason: &str| {
            let error = told(&facts::launch("sr-dev-a", 1), reason, None);
            (error.kind, error.message)
        };
        let full = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
        for (reason, kind, words) in [
            (full, ErrorKind::Capacity, "other zones"),
            ("You've reached the limit on the number of vCPUs you can run concurrently", ErrorKind::Capacity, "Quotas"),
            ("RESOURCE:ENI", ErrorKind::Capacity, "no address"),
            ("RESOURCE:MEMORY", ErrorKind::Capacity, "has room"),
            ("ATTRIBUTE", ErrorKind::Invalid, "architecture"),
            ("INACTIVE", ErrorKind::Invalid, "deploy"),
            ("something new", ErrorKind::Capacity, "something new"),
            ("", ErrorKind::Capacity, "no reason given"),
        ] {
            let (found, message) = of(reason);
            assert!(found == kind && message.contains(words), "{reason}: {found:?} {message}");
        }
    }
}
