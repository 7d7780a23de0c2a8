//! Text for people: columns, spans of time, shortened words. Pure.

use crate::terminal::word;

/// A table whose columns are as wide as they need; none if there are no rows. A cell may hold anybody's words.
pub(crate) fn columns<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| word(cell).into_owned())).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let heads: [String; N] = heads.map(str::to_owned);
    let mut text = String::new();
    for row in [&heads].into_iter().chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A text of at most `width` characters.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A span of time as people say it, two units at most: `4 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub(crate) fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, less: &str| {
        if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {less}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) if ms < 1_000 => format!("{ms} ms"),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => two(minutes, "min", seconds % 60, "s"),
        (0, _, _) => two(hours, "h", minutes % 60, "min"),
        (_, _, _) => two(days, "d", hours % 24, "h"),
    }
}

/// The span from a moment to now, where the moment is known.
pub(crate) fn since(at_ms: u64, now_ms: u64) -> String {
    if at_ms == 0 { "?".into() } else { span(now_ms.saturating_sub(at_ms) / 1_000 * 1_000) }
}

/// `1 job`, `2 jobs`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let rows = [["a".to_owned(), "1".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(columns(["NAME", "N"], &rows), "NAME    N\na       1\nlonger\n");
        let hostile = [["a\nb".to_owned(), "1".to_owned()]];
        assert_eq!(columns(["NAME", "N"], &hostile), "NAME     N\na\\u{a}b  1\n");
    }

    #[test]
    fn spans_are_told_in_two_units() {
        let spans = [0, 999, 4_000, 61_000, 720_000, 11_100_000, 187_200_000].map(span);
        assert_eq!(spans, ["0 ms", "999 ms", "4 s", "1 min 1 s", "12 min", "3 h 5 min", "2 d 4 h"]);
        assert_eq!((since(0, 5), since(1_000, 3_999)), ("?".to_owned(), "2 s".to_owned()));
        assert_eq!((count(1, "job"), count(2, "job")), ("1 job".to_owned(), "2 jobs".to_owned()));
    }
}
