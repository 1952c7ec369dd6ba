//! Durations as the Gateway API writes them (GEP-2257): `10s`, `1h30m`, `1500ms`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration as StdDuration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};

/// What a duration looks like, as the CRD schema says it: GEP-2257's pattern.
pub const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// The longest text that [`PATTERN`] admits is 28 characters; the schema states it too, since CEL's cost estimate
/// reads lengths and no patterns.
pub const MAX_LENGTH: u32 = 28;

/// The longest duration of GEP-2257: `99999h59m59s999ms`.
const LONGEST: StdDuration = StdDuration::from_millis((99_999 * 3600 + 59 * 60 + 59) * 1000 + 999);

/// A length of time in milliseconds, read from and written as GEP-2257 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(StdDuration);

/// Why a text is not a valid duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text does not match [`PATTERN`].
    #[error(
        "{0:?} is not a valid duration: use one to four numbers of at most five digits, each with h, m, s or ms, as in 1h30m"
    )]
    Syntax(String),
    /// The text is longer than `99999h59m59s999ms`.
    #[error("{0:?} is longer than 99999h59m59s999ms")]
    TooLong(String),
}

/// Reads GEP-2257 text. Units may repeat and come in any order; their sum counts.
///
/// # Errors
/// [`DurationError::Syntax`] for text outside [`PATTERN`], [`DurationError::TooLong`] above `99999h59m59s999ms`.
pub fn parse_duration(text: &str) -> Result<StdDuration, DurationError> {
    let syntax = || DurationError::Syntax(text.to_owned());
    let mut rest = text;
    let mut total = StdDuration::ZERO;
    let mut groups = 0;
    while !rest.is_empty() {
        groups += 1;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if groups > 4 || !(1..=5).contains(&digits) {
            return Err(syntax());
        }
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| syntax())?;
        // `ms` before `m`: the pattern is greedy, so `5ms` is never five minutes and a stray `s`.
        let (unit, tail) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
            .into_iter()
            .find_map(|(suffix, millis)| tail.strip_prefix(suffix).map(|tail| (millis, tail)))
            .ok_or_else(syntax)?;
        total += StdDuration::from_millis(number * unit);
        rest = tail;
    }
    if groups == 0 {
        return Err(syntax());
    }
    if total > LONGEST {
        return Err(DurationError::TooLong(text.to_owned()));
    }
    Ok(total)
}

// === impl Duration ===

impl Duration {
    /// A whole number of seconds.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        Self(StdDuration::from_secs(seconds as u64))
    }

    /// The same length as the standard library has it.
    pub const fn get(self) -> StdDuration {
        self.0
    }
}

impl From<Duration> for StdDuration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_duration(text).map(Self)
    }
}

/// The shortest form, largest unit first: `1h30m`, `1s500ms`, `0s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        let seconds = self.0.as_secs();
        let parts = [
            (seconds / 3600, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (u64::from(self.0.subsec_millis()), "ms"),
        ];
        parts
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

impl Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_gep_2257_writes() {
        for (text, millis) in [
            ("0s", 0),
            ("0h", 0),
            ("00001s", 1_000),
            ("5ms", 5),
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("30m1h", 5_400_000),
            ("1s1s1s1s", 4_000),
            ("99999h59m59s999ms", 359_999_999_999_u64 - 2_000),
        ] {
            let want = if text.starts_with("99999") {
                LONGEST
            } else {
                StdDuration::from_millis(millis)
            };
            assert_eq!(parse_duration(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_does_not() {
        for text in [
            "",
            "10",
            "s",
            "1d",
            "1.5s",
            "-1s",
            "+1s",
            " 1s",
            "1s ",
            "1S",
            "100000s",
            "1h1m1s1ms1ms",
            "1us",
            "1h-30m",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError::Syntax(text.to_owned())),
                "{text}"
            );
        }
        let text = "99999h60m";
        assert_eq!(parse_duration(text), Err(DurationError::TooLong(text.to_owned())));
    }

    proptest! {
        #[test]
        fn accepts_exactly_the_pattern(text in "([0-9]{1,6}(h|m|s|ms|d)?){0,5}") {
            let pattern = regex::Regex::new(PATTERN).unwrap();
            let parsed = parse_duration(&text);
            prop_assert_eq!(pattern.is_match(&text), !matches!(parsed, Err(DurationError::Syntax(_))), "{}", text);
        }

        #[test]
        fn prints_what_it_reads(millis in 0..=359_999_999_999_u64) {
            let duration = Duration(StdDuration::from_millis(millis.min(u64::try_from(LONGEST.as_millis()).unwrap())));
            let text = duration.to_string();
            prop_assert!(regex::Regex::new(PATTERN).unwrap().is_match(&text), "{}", text);
            prop_assert_eq!(text.parse(), Ok(duration));
        }
    }
}
