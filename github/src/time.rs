//! Points in time as GitHub writes them (RFC 3339), in milliseconds since 1970.
//!
//! Thirty lines instead of a date library: nothing here needs calendars or time zones beyond an offset. The form of
//! HTTP's headers is read by `httpdate`, which the HTTP library brings.

const MS_PER_DAY: i64 = 86_400_000;
const MS_PER_HOUR: i64 = 3_600_000;
const MS_PER_MINUTE: i64 = 60_000;
const MS_PER_SECOND: i64 = 1_000;

/// Reads `2023-04-19T21:12:12Z`, with a fraction or an offset too. `None` if it is no such text, or before 1970.
pub(crate) fn parse_ms(text: &str) -> Option<u64> {
    let (date, clock) = text.split_once(['T', 't', ' '])?;
    let (clock, offset_ms) = split_offset(clock)?;
    let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(seconds, ':', [2, 2, 2])?;
    // 60: a leap second.
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let clock_ms = hour * MS_PER_HOUR + minute * MS_PER_MINUTE + second * MS_PER_SECOND + thousandths(fraction)?;
    u64::try_from(days_since_1970(year, month, day) * MS_PER_DAY + clock_ms - offset_ms).ok()
}

/// Reads a header's `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn parse_http_ms(text: &str) -> Option<u64> {
    let since = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// `21:12:12+02:00` → the time of day and the offset in milliseconds.
fn split_offset(clock: &str) -> Option<(&str, i64)> {
    if let Some(utc) = clock.strip_suffix(['Z', 'z']) {
        return Some((utc, 0));
    }
    let (at, sign) = clock.rfind('+').map(|at| (at, 1)).or_else(|| clock.rfind('-').map(|at| (at, -1)))?;
    let [hours, minutes] = numbers(clock.get(at + 1..)?, ':', [2, 2])?;
    Some((clock.get(..at)?, sign * (hours * MS_PER_HOUR + minutes * MS_PER_MINUTE)))
}

/// Exactly N groups of digits of the given lengths.
fn numbers<const N: usize>(text: &str, separator: char, lengths: [usize; N]) -> Option<[i64; N]> {
    let mut out = [0; N];
    let mut parts = text.split(separator);
    for (slot, length) in out.iter_mut().zip(lengths) {
        let part = parts.next()?;
        if part.len() != length || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

/// `5` → 500, `123456` → 123.
fn thousandths(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    Some(digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Days from 1 January 1970 in the Gregorian calendar, counted from 1 March so that leap days come last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_fractions_and_offsets() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2023-04-19T21:12:12Z", 1_681_938_732_000),
            ("2023-04-19T23:12:12+02:00", 1_681_938_732_000),
            ("2023-04-19T17:42:12.5-03:30", 1_681_938_732_500),
            ("2023-04-19T21:12:12.123456Z", 1_681_938_732_123),
            ("2024-12-31T23:59:60Z", 1_735_689_600_000),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "now",
            "2023-04-19",
            "2023-04-19T21:12Z",
            "2023-13-01T00:00:00Z",
            "2023-04-19T21:12:12",
            "1969-12-31T23:59:59Z",
            "2023-04-19T21:12:12.xZ",
            "2023-04-19T21:12:12é00:00",
            "-2023-04-19T21:12:12Z",
            "99999-01-01T00:00:00Z",
            "2023-04-19T+1:12:12Z",
        ] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }
}
