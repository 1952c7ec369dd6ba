use std::fmt;

use super::failure::Failure;

/// The largest count in `{n,m}`, and the largest product of nested counts.
const MAX_COUNT: u32 = 1000;

/// A repetition operator, without the `?` that may follow it.
pub(super) struct Repeat {
    min: u32,
    /// `None`: without end.
    max: Option<u32>,
    /// Whether it is written with braces; only these multiply.
    counted: bool,
}

impl Repeat {
    /// The operator at the start of `text`, and its length; `None` for a brace that is a plain character.
    pub(super) fn parse(text: &str) -> Result<Option<(Self, usize)>, Failure> {
        let (min, max) = match text.as_bytes().first() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            _ => {
                let Some((min, max, length)) = counts(text) else {
                    return Ok(None);
                };
                if min > MAX_COUNT || max.is_some_and(|max| max > MAX_COUNT || max < min) {
                    return Err(Failure::new("invalid repeat count", length));
                }
                return Ok(Some((
                    Self {
                        min,
                        max,
                        counted: true,
                    },
                    length,
                )));
            }
        };
        Ok(Some((
            Self {
                min,
                max,
                counted: false,
            },
            1,
        )))
    }

    /// How often the innermost part of what is repeated is copied when all counts are unrolled, given how often it is
    /// without this one; `None` if that is too often (`repeatIsValid`).
    pub(super) fn copies(&self, inner: u32) -> Option<u32> {
        let Self { min, max, counted } = *self;
        if !counted {
            return Some(inner);
        }
        let copies = if max == Some(0) {
            1
        } else {
            inner.saturating_mul(max.unwrap_or(min).max(1))
        };
        // Go looks only where a count is two or more
        (copies <= MAX_COUNT || min < 2 && max.is_none_or(|max| max < 2)).then_some(copies)
    }
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (0, None) => f.write_str("*"),
            (1, None) => f.write_str("+"),
            (0, Some(1)) => f.write_str("?"),
            (min, None) => write!(f, "{{{min},}}"),
            (min, Some(max)) => write!(f, "{{{min},{max}}}"),
        }
    }
}

/// The counts of `{n}`, `{n,}`, `{n,m}` at the start of `text`, and its length; counts that do not fit are the largest
/// number.
fn counts(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let (min, rest) = count(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (max, rest) = count(rest)?;
            (Some(max), rest)
        }
    };
    let rest = rest.strip_prefix('}')?;
    Some((min, max, text.len() - rest.len()))
}

/// A decimal number without leading zeros.
fn count(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}
