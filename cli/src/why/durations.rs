//! How long a job waited and ran, read off its records. Pure.

use fleet::{
    decide::{ENDED, RUNS_ON},
    job::Job,
    view::Record,
};

use crate::table::span;

/// In words; nothing while it waits for its first runner.
pub(super) fn told(entries: &[Record], row: Option<&Job>) -> String {
    let began_ms = entries.iter().find(|entry| entry.text.starts_with(RUNS_ON)).map(|entry| entry.at_ms);
    let ended = entries.iter().find_map(|entry| Some((entry.at_ms, entry.text.strip_prefix(ENDED)?)));
    // GitHub's own word of when it was created has whole seconds only, so what is heard first may be before it.
    let created_ms = row.map_or(u64::MAX, |row| row.head().created_ms);
    let Some(queued_ms) = entries.first().map(|entry| entry.at_ms.min(created_ms)) else { return String::new() };
    let between = |from_ms: u64, to_ms: u64| span(to_ms.saturating_sub(from_ms));
    match (began_ms, ended) {
        (None, None) => String::new(),
        (None, Some((end_ms, how))) => {
            format!("It ended after {} without a runner that we heard of: {how}.\n", between(queued_ms, end_ms))
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
        assert_eq!(told(&entries, None), "It waited 42 s for its runner, ran 3 min 10 s and ended: failure.\n");
        assert_eq!(told(&entries[..2], None), "It waited 42 s for its runner.\n");
        assert_eq!(told(&entries[..1], None), "");
        let cancelled = [entries[0].clone(), Record { text: "ended: cancelled".into(), ..entries[2].clone() }];
        assert!(told(&cancelled, None).starts_with("It ended after 3 min 52 s without a runner"));
    }
}
