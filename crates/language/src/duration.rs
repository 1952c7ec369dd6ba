//! Durations as Go writes them (`time.ParseDuration`): `1m30s`, `1.5h`, `100us`.

use std::time::Duration;

/// The seconds of a duration such as `1m30s` or `-1.5h`; a bare number only if it is zero.
///
/// # Errors
///
/// What `time.ParseDuration` says, without the text itself.
pub fn seconds(text: &str) -> Result<f64, String> {
    let invalid = || "invalid duration".to_owned();
    let (sign, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { -1.0 } else { 1.0 }, rest),
        None => (1.0, text),
    };
    if rest == "0" {
        return Ok(0.0);
    }
    let mut total = 0.0;
    if rest.is_empty() {
        return Err(invalid());
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    while !rest.is_empty() {
        let digits = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
        let (number, tail) = rest.split_at_checked(digits).ok_or_else(invalid)?;
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let unit = tail.find(is_number).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit).ok_or_else(invalid)?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err("missing unit in duration".to_owned()),
            _ => return Err(format!("unknown unit {unit:?} in duration")),
        };
        total += number * seconds;
        rest = tail;
    }
    Ok(sign * total)
}

/// The same as a length of time; `None` for a text that is none, a negative one, and one of more than 290 years, which Go's
/// 63 bits of nanoseconds do not hold.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(language::duration::length("1m30s"), Some(Duration::from_secs(90)));
/// ```
pub fn length(text: &str) -> Option<Duration> {
    let length = Duration::try_from_secs_f64(seconds(text).ok()?).ok()?;
    (length.as_nanos() <= u128::from(i64::MAX.unsigned_abs())).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_them() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("1m", 60_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("100ms", 100),
            ("+2s", 2_000),
            ("1500us", 1),
        ] {
            assert_eq!(length(text).map(|it| it.as_millis()), Some(millis), "{text}");
        }
        for text in [
            "",
            "1",
            "m",
            "1d",
            "-1s",
            "1m30",
            "1 m",
            "s1",
            "1..2s",
            "99999999999999h",
            ".",
        ] {
            assert_eq!(length(text), None, "{text}");
        }
    }
}
