//! Views of a text: as it is, and with its escapes undone, once and again; each byte knows where it comes from.

use std::ops::Range;

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Escapes within escapes that are undone: a JSON text in a JSON text, quoted by a third.
const DEPTH: usize = 3;
/// A shorter run of letters is not looked at as an encoding.
const SHORTEST: usize = 6;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// A text in lower case, with what it was before in `as_is`.
pub(super) struct View {
    as_is: Vec<u8>,
    lower: Vec<u8>,
    /// From where in the text each byte comes.
    from: Vec<Range<usize>>,
}

// === impl View ===

impl View {
    /// The text, and what its escapes mean for as long as there are any.
    pub(super) fn all(text: &str) -> Vec<Self> {
        let from = (0..text.len()).map(|at| at..at + 1).collect();
        let mut views = vec![Self::new(text.as_bytes().to_vec(), from)];
        while let Some(last) = views.last().filter(|_| views.len() <= DEPTH) {
            let Some(next) = last.unescaped() else { break };
            views.push(next);
        }
        views
    }

    fn new(as_is: Vec<u8>, from: Vec<Range<usize>>) -> Self {
        let lower = as_is.to_ascii_lowercase();
        Self { as_is, lower, from }
    }

    /// In lower case.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.lower
    }

    /// Where in the text a part of the view comes from.
    pub(super) fn source(&self, part: Range<usize>) -> Range<usize> {
        let ends = self
            .from
            .get(part.start)
            .zip(part.end.checked_sub(1).and_then(|last| self.from.get(last)));
        ends.map_or(0..0, |(first, last)| first.start..last.end)
    }

    fn unescaped(&self) -> Option<Self> {
        let (mut as_is, mut from) = (
            Vec::with_capacity(self.as_is.len()),
            Vec::with_capacity(self.from.len()),
        );
        let (mut at, mut changed) = (0, false);
        while let Some(rest) = self.as_is.get(at..).filter(|rest| !rest.is_empty()) {
            let (length, meaning) = escape(rest).unwrap_or((1, Vec::new()));
            let source = self.source(at..at + length);
            if length == 1 {
                as_is.extend(rest.first());
                from.push(source);
            } else {
                changed = true;
                from.extend(meaning.iter().map(|_| source.clone()));
                as_is.extend(meaning);
            }
            at += length;
        }
        changed.then(|| Self::new(as_is, from))
    }

    /// What runs of letters and digits would mean as base64, in either alphabet and from any of its four places, and as
    /// hexadecimal digits; in lower case.
    pub(super) fn encoded(&self) -> Vec<(Range<usize>, Vec<u8>)> {
        let standard = GeneralPurpose::new(&STANDARD, LENIENT);
        let url_safe = GeneralPurpose::new(&URL_SAFE, LENIENT);
        let mut found = Vec::new();
        for run in runs(&self.as_is, |byte| {
            byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
        }) {
            let Some(text) = self.as_is.get(run.clone()) else {
                continue;
            };
            let padded = self
                .as_is
                .iter()
                .skip(run.end)
                .take_while(|byte| **byte == b'=')
                .count();
            let place = run.start..run.end + padded;
            let engine = if text.iter().any(|byte| b"-_".contains(byte)) {
                &url_safe
            } else {
                &standard
            };
            for start in 0..4 {
                let Some(rest) = text.get(start..) else { continue };
                // One letter over is half a byte.
                let whole = rest.len() - usize::from(rest.len() % 4 == 1);
                let decoded = rest.get(..whole).and_then(|rest| engine.decode(rest).ok());
                found.extend(decoded.map(|decoded| (place.clone(), decoded.to_ascii_lowercase())));
            }
        }
        for run in runs(&self.as_is, |byte| byte.is_ascii_hexdigit()) {
            let Some(text) = self.as_is.get(run.clone()) else {
                continue;
            };
            for start in 0..2 {
                let digits = text.get(start..).unwrap_or_default().chunks_exact(2);
                let bytes = digits.filter_map(|pair| hex(pair).and_then(|value| u8::try_from(value).ok()));
                let decoded: Vec<u8> = bytes.collect();
                found.push((run.clone(), decoded.to_ascii_lowercase()));
            }
        }
        found
    }
}

fn runs(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let (mut found, mut start) = (Vec::new(), None);
    for (at, byte) in bytes.iter().copied().chain([b' ']).enumerate() {
        match (belongs(byte), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                if at - from >= SHORTEST {
                    found.push(from..at);
                }
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// The escape that bytes begin with: its length and its meaning.
fn escape(rest: &[u8]) -> Option<(usize, Vec<u8>)> {
    const NAMED: [(&[u8], u8); 5] = [
        (b"&quot;", b'"'),
        (b"&apos;", b'\''),
        (b"&amp;", b'&'),
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
    ];
    match rest {
        [b'%', high, low, ..] => Some((3, vec![u8::try_from(hex(&[*high, *low])?).ok()?])),
        [b'\\', b'u', digits @ ..] => Some((6, utf8(hex(digits.get(..4)?)?))),
        [b'\\', b'x', high, low, ..] => Some((4, vec![u8::try_from(hex(&[*high, *low])?).ok()?])),
        [b'\\', byte @ (b'"' | b'\'' | b'\\' | b'/'), ..] => Some((2, vec![*byte])),
        [b'\\', b'n', ..] => Some((2, vec![b'\n'])),
        [b'\\', b't', ..] => Some((2, vec![b'\t'])),
        [b'&', b'#', b'x' | b'X', digits @ ..] => {
            let length = digits
                .iter()
                .position(|byte| *byte == b';')
                .filter(|length| *length <= 6)?;
            Some((length + 4, utf8(hex(digits.get(..length)?)?)))
        }
        [b'&', b'#', digits @ ..] => {
            let length = digits
                .iter()
                .position(|byte| *byte == b';')
                .filter(|length| *length <= 7)?;
            let number = std::str::from_utf8(digits.get(..length)?).ok()?;
            Some((length + 3, utf8(number.parse().ok()?)))
        }
        _ => NAMED
            .iter()
            .find(|(name, _)| rest.starts_with(name))
            .map(|(name, byte)| (name.len(), vec![*byte])),
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok()?;
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

fn utf8(code: u32) -> Vec<u8> {
    char::from_u32(code).map_or_else(Vec::new, |c| c.to_string().into_bytes())
}
