//! The clock as the official program prints it.

use std::time::{SystemTime, UNIX_EPOCH};

use fleet::utc::utc;

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `2026-11-23 18:56:31Z`.
pub(super) fn stamp(at_ms: u64) -> String {
    utc(at_ms).replace('T', " ")
}

/// `20261123-185631-utc`, for names of files.
pub(super) fn file_stamp(at_ms: u64) -> String {
    utc(at_ms).replace(['-', ':'], "").replace('T', "-").replace('Z', "-utc")
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
