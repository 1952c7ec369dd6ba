//! Numbers and durations as Prometheus cuts and reads them (`promql/parser/lex.go`, Go's `strconv`, `common/model/time.go`).

/// What a run of characters that begins like a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Number,
    Duration,
}

/// Cuts the number or duration that `rest` begins with; `Err` with the bytes that were read until it was neither.
pub(crate) fn cut(rest: &str) -> Result<(Shape, usize), usize> {
    let mut scanner = Scanner {
        bytes: rest.as_bytes(),
        at: 0,
    };
    if scanner.number() {
        Ok((Shape::Number, scanner.at))
    } else if scanner.duration() {
        Ok((Shape::Duration, scanner.at))
    } else {
        let end = (scanner.at..=rest.len()).find(|at| rest.is_char_boundary(*at));
        Err(end.unwrap_or(rest.len()))
    }
}

/// The value of a number, `None` where the text is not valid: an integer with Go's prefixes, else a decimal fraction.
pub(crate) fn value(text: &str) -> Option<f64> {
    if text.eq_ignore_ascii_case("inf") {
        return Some(f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if !underscores_part_digits(text) {
        return None;
    }
    let plain = text.replace('_', "");
    let lower = plain.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        // A leading zero means octal where all digits are octal.
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    #[expect(clippy::cast_precision_loss, reason = "Go converts in the same way")]
    if !digits.starts_with(['+', '-'])
        && let Ok(integer) = i64::from_str_radix(digits, radix)
    {
        return Some(integer as f64);
    }
    if radix == 16 {
        return None;
    }
    plain.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The nanoseconds of a duration such as `1h30m`: units from the largest to the smallest, each once, and at most Go's largest
/// duration in all.
pub(crate) fn nanoseconds(text: &str) -> Option<i64> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 365 * 24 * 3_600_000_000_000),
        ("w", 7 * 24 * 3_600_000_000_000),
        ("d", 24 * 3_600_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ];
    let mut rest = text;
    let mut next = 0;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let index = UNITS.iter().position(|(unit, _)| *unit == &rest[..end])?;
        if index < next {
            return None;
        }
        next = index + 1;
        rest = &rest[end..];
        total = total.checked_add(count.checked_mul(UNITS[index].1)?)?;
    }
    i64::try_from(total).ok()
}

/// Seconds as Go's `Duration.Seconds` gives them.
#[expect(clippy::cast_precision_loss, reason = "Go converts in the same way")]
pub(crate) fn seconds(nanoseconds: i64) -> f64 {
    (nanoseconds / 1_000_000_000) as f64 + (nanoseconds % 1_000_000_000) as f64 / 1e9
}

/// Whether each underscore stands between digits; the prefix `0x` counts as a digit.
fn underscores_part_digits(text: &str) -> bool {
    let hexadecimal = text
        .get(..2)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    let mut digit = false;
    let mut underscore = false;
    for c in text.chars().skip(if hexadecimal { 2 } else { 0 }) {
        let begins = hexadecimal && !digit && !underscore;
        match c {
            '_' if digit || begins => (digit, underscore) = (false, true),
            '_' => return false,
            c if c.is_ascii_digit() || hexadecimal && c.is_ascii_hexdigit() => {
                (digit, underscore) = (true, false);
            }
            _ if underscore => return false,
            _ => digit = false,
        }
    }
    !underscore
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

// === impl Scanner ===

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn is(&self, wanted: &[u8]) -> bool {
        self.peek().is_some_and(|byte| wanted.contains(&byte))
    }

    fn accept(&mut self, wanted: &[u8]) -> bool {
        let found = self.is(wanted);
        self.at += usize::from(found);
        found
    }

    fn accept_all(&mut self, wanted: &[u8]) {
        while self.accept(wanted) {}
    }

    fn word_follows(&self) -> bool {
        self.peek()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    /// `scanNumber`: what it takes is not always a valid number.
    fn number(&mut self) -> bool {
        let mut digits: &[u8] = b"0123456789";
        if self.accept(b"0") && self.accept(b"xX") {
            self.accept(b"_");
            digits = b"0123456789abcdefABCDEF";
        }
        self.accept(b".");
        self.accept(digits);
        let (mut dot, mut exponent) = (false, false);
        while self.is(digits) || self.is(b"._eE") {
            if dot && self.accept(b".") || exponent && self.accept(b"eE") {
                return false;
            }
            if self.accept(b".") {
                dot = true;
                if self.accept(b"_.") || digits.len() > 10 {
                    return false;
                }
            } else if self.accept(b"eE") {
                exponent = true;
                self.accept(b"+-");
                if self.accept(b"._eE") || self.peek().is_none() {
                    return false;
                }
            } else if self.accept(b"_") {
                if self.accept(b"._eE") || self.peek().is_none() {
                    return false;
                }
            } else {
                self.accept_all(digits);
            }
        }
        self.at > 0 && !self.word_follows()
    }

    /// `acceptRemainingDuration`: the unit behind the number, and more numbers with units.
    fn duration(&mut self) -> bool {
        if !self.accept(b"smhdwy") {
            return false;
        }
        self.accept(b"s");
        while self.is(b"0123456789") {
            self.accept_all(b"0123456789");
            if !self.accept(b"smhdw") {
                return false;
            }
            self.accept(b"s");
        }
        !self.word_follows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cut_as_prometheus_does() {
        for (text, cut_to) in [
            ("1e-3+2", "1e-3"),
            ("0x1F-3", "0x1F"),
            (".5 ", ".5"),
            ("1_000", "1_000"),
            ("5.", "5."),
            ("0x1e-3", "0x1e-3"),
        ] {
            assert_eq!(cut(text), Ok((Shape::Number, cut_to.len())), "{text}");
        }
        for (text, cut_to) in [
            ("5m]", "5m"),
            ("1h30m+1", "1h30m"),
            ("5ms", "5ms"),
            ("1.5h", "1.5h"),
        ] {
            assert_eq!(cut(text), Ok((Shape::Duration, cut_to.len())), "{text}");
        }
        for text in [
            "1..2", "1e", "1_", "5mm", "5m_", "1y2y", "12abc", "1__0", "0x1.5", "5é",
        ] {
            let end = cut(text);
            assert!(end.is_err() || text == "5é", "{text}");
        }
    }

    #[test]
    fn values_are_those_of_go() {
        for (text, expected) in [
            ("0", 0.0),
            ("017", 15.0),
            ("09", 9.0),
            ("0_7", 7.0),
            ("0x1F", 31.0),
            ("0x_1F", 31.0),
            ("1_000.5", 1000.5),
            ("1e3", 1000.0),
            ("5.", 5.0),
            (".5", 0.5),
            ("99999999999999999999", 1e20),
            ("INF", f64::INFINITY),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        assert!(value("NaN").is_some_and(f64::is_nan));
        for text in ["1e400", "0x", "1e", "0x1e-3", "0xFFFFFFFFFFFFFFFFFF", "1_"] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn durations_have_units_in_order() {
        for (text, expected) in [
            ("5m", 300_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1d0s5ms", 86_400_005_000_000),
        ] {
            assert_eq!(nanoseconds(text), Some(expected), "{text}");
        }
        assert!((seconds(5_000_000) - 0.005).abs() < f64::EPSILON);
        for text in [
            "5",
            "m",
            "5m1h",
            "1m1m",
            "1hs",
            "1.5h",
            "300y",
            "99999999999999999999s",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
