//! What ECS's errors mean to a caller, in words that say what to do.

use controller::ports::{ErrorKind, PortError};
use fleet::effect::LaunchSpec;

use super::{now_ms, refused};
pub(super) use crate::heard::hear;
use crate::heard::{self, Heard};

/// The exception of a client token that stands for another call.
const CONFLICT: &str = "ConflictException";

/// Wait after throttling, milliseconds: the buckets refill each second.
const THROTTLED_MS: u64 = 1_000;

/// Those who were throttled together come back within so many milliseconds more.
const THROTTLED_SPREAD_MS: u64 = 2_000;

/// Why it is not known whether a launch started something; `None`: it is known.
pub(super) fn unknown(heard: &Heard) -> Option<&str> {
    match heard {
        Heard::Unknown(why) => Some(why),
        // This one names nobody, and says that there is a task all the same.
        Heard::Refused { code, message } if code == CONFLICT => Some(message),
        Heard::Refused { .. } | Heard::NoCredentials(_) => None,
    }
}

/// An error of a call that is not a launch. `action` is the permission that it needs.
pub(super) fn told(doing: &str, action: &str, heard: &Heard) -> PortError {
    match heard {
        Heard::Unknown(why) => PortError::retry(format!("cannot {doing}: {why}")),
        Heard::NoCredentials(_) | Heard::Refused { .. } => {
            let (kind, why) = meaning(action, heard, doing);
            PortError::new(kind, format!("cannot {doing}: {why}"))
        }
    }
}

/// An error of a launch after which it is certain that nothing was started, or which ECS wants repeated later.
pub(super) fn of_launch(spec: &LaunchSpec, heard: &Heard) -> PortError {
    let (kind, why) = meaning("ecs:RunTask", heard, spec.runner.as_str());
    refused(kind, spec, &why)
}

/// Whether ECS says that there is no such task.
pub(super) fn is_missing_task(heard: &Heard) -> bool {
    matches!(heard, Heard::Refused { message, .. } if message.contains("referenced task was not found"))
}

fn meaning(action: &str, heard: &Heard, who: &str) -> (ErrorKind, String) {
    heard::meaning(action, heard).unwrap_or_else(|| match heard {
        Heard::Refused { code, message } => of_code(code, message.trim(), who),
        Heard::Unknown(why) | Heard::NoCredentials(why) => (ErrorKind::Retry, why.clone()),
    })
}

fn of_code(code: &str, message: &str, who: &str) -> (ErrorKind, String) {
    let says = |words: &str| message.contains(words);
    match code {
        _ if heard::is_throttled(code) => {
            let until_ms = now_ms() + THROTTLED_MS + spread(who);
            (ErrorKind::RateLimited { until_ms }, format!("ECS takes no more calls for the moment ({message})"))
        }
        "ClusterNotFoundException" => {
            let why = "there is no such cluster in this Region: check the Region, and run `self-runners deploy` again";
            (ErrorKind::Invalid, why.to_owned())
        }
        "ClientException" if says("provisioning capacity limit") => {
            (ErrorKind::Capacity, format!("too many tasks are about to start ({message})"))
        }
        _ if says("TaskDefinition") => {
            let why = format!("its task definition cannot be used ({message}): run `self-runners deploy` again");
            (ErrorKind::Invalid, why)
        }
        _ if says("capacity provider") => {
            let why = format!("{message}: associate it with the cluster, or run `self-runners deploy` again");
            (ErrorKind::Invalid, why)
        }
        _ => (ErrorKind::Invalid, format!("{message} ({code}): check the class, and run `self-runners deploy` again")),
    }
}

/// Different for each caller, and the same for one.
fn spread(who: &str) -> u64 {
    who.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte))) % THROTTLED_SPREAD_MS
}

#[cfg(test)]
mod tests {
    use controller::contract::facts;

    use super::*;

    fn launch(code: &str, message: &str) -> PortError {
        let heard = Heard::Refused { code: code.into(), message: message.into() };
        of_launch(&facts::launch("sr-dev-a", 1), &heard)
    }

    #[test]
    fn a_missing_permission_is_named() {
        let pass = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/y";
        let error = launch("AccessDeniedException", pass);
        assert!(
            error.kind == ErrorKind::Denied && error.message.contains("permission iam:PassRole is missing"),
            "{error}"
        );
        assert!(launch("AccessDeniedException", "no").message.contains("permission ecs:RunTask is missing"));
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (code, message, kind, words) in [
            ("ClusterNotFoundException", "Cluster not found.", ErrorKind::Invalid, "no such cluster in this Region"),
            ("ClientException", "TaskDefinition not found.", ErrorKind::Invalid, "deploy` again"),
            ("InvalidParameterException", "TaskDefinition is inactive", ErrorKind::Invalid, "deploy` again"),
            ("ClientException", "Tasks provisioning capacity limit exceeded.", ErrorKind::Capacity, "too many tasks"),
            ("ExpiredTokenException", "expired", ErrorKind::Denied, "log in again"),
            ("BlockedException", "blocked", ErrorKind::Denied, "support"),
            ("PlatformUnknownException", "unknown platform", ErrorKind::Invalid, "unknown platform"),
        ] {
            let error = launch(code, message);
            assert!(error.kind == kind && error.message.contains(words), "{code}: {:?} {error}", error.kind);
        }
        assert!(matches!(launch("ThrottlingException", "Rate exceeded").kind, ErrorKind::RateLimited { .. }));
    }
}
