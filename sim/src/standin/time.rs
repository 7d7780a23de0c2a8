//! The clock as the official program prints it.
//!
//! Only formatting: no time zone, no parsing, so no library.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 86_400;

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `2026-11-23 18:56:31Z`.
pub(super) fn stamp(at_ms: u64) -> String {
    let (year, month, day) = date(at_ms);
    let (hour, minute, second) = clock(at_ms);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// `20261123-185631-utc`, for names of files.
pub(super) fn file_stamp(at_ms: u64) -> String {
    let (year, month, day) = date(at_ms);
    let (hour, minute, second) = clock(at_ms);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-utc")
}

const fn clock(at_ms: u64) -> (u64, u64, u64) {
    let second = at_ms / 1_000 % DAY_S;
    (second / 3_600, second / 60 % 60, second % 60)
}

/// Days since 1970 → year, month, day: Howard Hinnant's `civil_from_days`, for days after 1970 only.
const fn date(at_ms: u64) -> (u64, u64, u64) {
    let days = at_ms / 1_000 / DAY_S + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let next = if month <= 2 { 1 } else { 0 };
    (year + era * 400 + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps() {
        assert_eq!(stamp(0), "1970-01-01 00:00:00Z");
        assert_eq!(stamp(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(stamp(1_795_459_391_999), "2026-11-23 18:43:11Z");
        assert_eq!(file_stamp(1_795_459_391_999), "20261123-184311-utc");
    }
}
