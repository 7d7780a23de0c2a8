//! Why a task ended, in words for a person.

/// What ECS says of an end, in a description or an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ending<'a> {
    /// `stopCode`.
    pub(super) code: &'a str,
    /// `stoppedReason`.
    pub(super) reason: &'a str,
    /// The container's exit code.
    pub(super) exit_code: Option<i64>,
    /// The container's `reason`.
    pub(super) container: &'a str,
}

/// Characters of ECS's own words that are kept: an image's error repeats itself.
const WORDS_MAX: usize = 400;

/// How the agent's container was killed, as its exit code.
const KILLED: i64 = 137;

/// An end in words. Never empty.
pub(super) fn words(ending: &Ending<'_>) -> String {
    let reason: String = ending.reason.chars().take(WORDS_MAX).collect();
    match ending.code {
        "UserInitiated" => format!("stopped: {reason}{}", exit(ending)),
        "SpotInterruption" => format!("Fargate Spot took its machine back{}", exit(ending)),
        "TerminationNotice" => format!("its host is being retired{}", exit(ending)),
        "TaskFailedToStart" => format!("it never started: {reason}{}", advice(ending)),
        "EssentialContainerExited" => match ending.exit_code {
            Some(_) => exit(ending).trim_start_matches(&[' ', ';'][..]).to_owned(),
            None => format!("its container ended: {reason}{}", advice(ending)),
        },
        "" if reason.is_empty() => format!("ECS stopped it without a reason{}", exit(ending)),
        "" => format!("{reason}{}", exit(ending)),
        code => format!("{code}: {reason}{}", exit(ending)),
    }
}

/// How the container ended, to be put behind other words.
fn exit(ending: &Ending<'_>) -> String {
    let Some(code) = ending.exit_code else { return String::new() };
    let mut words = match code {
        129..=192 => format!("; the agent exited with {code} (signal {})", code - 128),
        _plain => format!("; the agent exited with {code}"),
    };
    if ending.container.contains("OutOfMemory") {
        words.push_str("; memory was short: give the class more");
    } else if code == KILLED && ending.code == "EssentialContainerExited" {
        words.push_str("; it was killed, perhaps because memory was short");
    }
    words
}

/// What to do about a start that failed.
fn advice(ending: &Ending<'_>) -> &'static str {
    let says = |words: &str| ending.reason.contains(words) || ending.container.contains(words);
    if says("CannotPull") && says("platform") {
        "; the image is not of the class's architecture"
    } else if says("CannotPull") {
        "; is the image there, may the execution role pull it, and does the subnet reach its registry?"
    } else if says("ResourceInitializationError") {
        "; does the subnet reach ECR, CloudWatch Logs and Secrets Manager, and may the execution role use them?"
    } else if says("no space left") {
        "; give the class a larger disk"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str, reason: &str, exit_code: Option<i64>, container: &str) -> String {
        words(&Ending { code, reason, exit_code, container })
    }

    #[test]
    fn ends_are_told_in_words() {
        let pull = "CannotPullContainerError: pull image manifest has been retried 1 time(s): not found";
        let exited = "Essential container in task exited";
        for (found, expected) in [
            (of("UserInitiated", "its job is done", Some(0), ""), "stopped: its job is done; the agent exited with 0"),
            (of("EssentialContainerExited", exited, Some(72), ""), "the agent exited with 72"),
            (of("EssentialContainerExited", exited, Some(143), ""), "the agent exited with 143 (signal 15)"),
            (
                of("SpotInterruption", "Your Spot Task was interrupted.", Some(0), ""),
                "Fargate Spot took its machine back; the agent exited with 0",
            ),
            (of("", "", None, ""), "ECS stopped it without a reason"),
            (of("New", "why", None, ""), "New: why"),
        ] {
            assert_eq!(found, expected);
        }
        assert!(of("TaskFailedToStart", pull, None, "").contains("may the execution role pull it"));
        let memory =
            of("EssentialContainerExited", exited, Some(137), "OutOfMemoryError: Container killed due to memory usage");
        assert!(memory.contains("signal 9") && memory.contains("memory was short: give"), "{memory}");
        assert!(of("EssentialContainerExited", exited, Some(137), "").contains("perhaps because memory"));
        assert!(of("TaskFailedToStart", &"x".repeat(5_000), None, "").len() < 500);
    }
}
