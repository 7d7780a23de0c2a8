//! How long a job waited and ran, read off its records. Pure.

use fleet::{
    decide::{ENDED, RAN_ON, RUNS_ON},
    view::Record,
};

use crate::table::span;

/// In words; nothing while it waits for its first runner. The first entry is its beginning.
pub(super) fn told(entries: &[Record]) -> String {
    let began_ms = entries.iter().find(|entry| entry.text.starts_with(RUNS_ON)).map(|entry| entry.at_ms);
    let ended = entries.iter().find_map(|entry| Some((entry.at_ms, entry.text.strip_prefix(ENDED)?)));
    let Some(queued_ms) = entries.first().map(|entry| entry.at_ms) else { return String::new() };
    let between = |from_ms: u64, to_ms: u64| span(to_ms.saturating_sub(from_ms));
    match (began_ms, ended) {
        (None, None) => String::new(),
        (None, Some((end_ms, how))) => {
            let ran = entries.iter().any(|entry| entry.text.starts_with(RAN_ON));
            let what = if ran { "; when it began was not heard" } else { " without a runner that we heard of" };
            format!("It ended after {}{what}: {how}.\n", between(queued_ms, end_ms))
        }
        (Some(began_ms), None) => format!("It waited {} for its runner.\n", between(queued_ms, began_ms)),
        (Some(began_ms), Some((end_ms, how))) => format!(
            "It waited {} for its runner, ran {} and ended: {how}.\n",
            between(queued_ms, began_ms),
            between(began_ms, end_ms)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_times_are_told_as_far_as_it_has_come() {
        let said =
            [(1_000, "waits: 6 of 6 runners live"), (43_000, "runs on sr-dev-0abc-1"), (233_000, "ended: failure")];
        let entries = said.map(|(at_ms, text)| Record { at_ms, job: None, runner: None, text: text.into() });
        assert_eq!(told(&entries), "It waited 42 s for its runner, ran 3 min 10 s and ended: failure.\n");
        assert_eq!(told(&entries[..2]), "It waited 42 s for its runner.\n");
        assert_eq!(told(&entries[..1]), "");
        let cancelled = [entries[0].clone(), Record { text: "ended: cancelled".into(), ..entries[2].clone() }];
        assert!(told(&cancelled).starts_with("It ended after 3 min 52 s without a runner"));
        let quick = [
            entries[0].clone(),
            Record { text: "ran on sr-dev-0abc-1".into(), ..entries[2].clone() },
            entries[2].clone(),
        ];
        assert_eq!(told(&quick), "It ended after 3 min 52 s; when it began was not heard: failure.\n");
    }
}
