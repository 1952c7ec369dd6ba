//! Views of a text: as it is, and with its escapes undone, once and again, each also as a form has it; each byte knows where it
//! comes from.

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
    /// The text, and what its escapes mean for as long as there are any; with `forms` also what they mean in a form.
    pub(super) fn all(text: &str, forms: bool) -> Vec<Self> {
        let from = (0..text.len()).map(|at| at..at + 1).collect();
        let mut views = Self::new(text.as_bytes().to_vec(), from).chain();
        if forms {
            // The form may have been written first, or last.
            let last = views.iter().skip(1).filter_map(Self::as_form);
            let last: Vec<Self> = last.collect();
            let first = views.first().and_then(Self::as_form).map(Self::chain);
            views.extend(first.into_iter().flatten().chain(last));
        }
        views
    }

    fn chain(self) -> Vec<Self> {
        let mut views = vec![self];
        while let Some(last) = views.last().filter(|_| views.len() <= DEPTH) {
            let Some(next) = last.unescaped() else { break };
            views.push(next);
        }
        views
    }

    /// What it means in a form, where a plus is a space.
    fn as_form(&self) -> Option<Self> {
        let mut as_is = self.as_is.clone();
        let mut pluses = as_is.iter_mut().filter(|byte| **byte == b'+').peekable();
        pluses.peek()?;
        pluses.for_each(|byte| *byte = b' ');
        Some(Self::new(as_is, self.from.clone()))
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
        let changed = unescape(&self.as_is, |part, meaning| {
            let source = self.source(part);
            from.extend(meaning.iter().map(|_| source.clone()));
            as_is.extend_from_slice(meaning);
        });
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

/// What a text means with its escapes undone, once and again, for as long as there are any.
pub(super) fn meanings(text: &str) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    while found.len() < DEPTH {
        let last = found.last().map_or(text.as_bytes(), Vec::as_slice);
        let mut next = Vec::with_capacity(last.len());
        if !unescape(last, |_, meaning| next.extend_from_slice(meaning)) {
            break;
        }
        found.push(next);
    }
    found
}

/// Gives each byte or escape in turn, with what it means; says whether there was an escape.
fn unescape(bytes: &[u8], mut give: impl FnMut(Range<usize>, &[u8])) -> bool {
    let (mut at, mut changed) = (0, false);
    while let Some(first) = bytes.get(at) {
        let escaped = b"%\\&"
            .contains(first)
            .then(|| escape(bytes.get(at..)?))
            .flatten();
        if let Some((length, meaning)) = escaped {
            changed = true;
            give(at..at + length, &meaning);
            at += length;
        } else {
            give(at..at + 1, &[*first]);
            at += 1;
        }
    }
    changed
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
        [b'\\', b'u', b'{', digits @ ..] => {
            let length = digits
                .iter()
                .position(|byte| *byte == b'}')
                .filter(|length| *length <= 6)?;
            Some((length + 4, utf8(hex(digits.get(..length)?)?)))
        }
        [b'\\', b'u', digits @ ..] => utf16(digits),
        [b'\\', b'U', digits @ ..] => Some((10, utf8(hex(digits.get(..8)?)?))),
        [b'\\', b'x', high, low, ..] => Some((4, vec![u8::try_from(hex(&[*high, *low])?).ok()?])),
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            Some((4, vec![(a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')]))
        }
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

/// Four digits after `\u`, or twice four where the first are half a character.
fn utf16(digits: &[u8]) -> Option<(usize, Vec<u8>)> {
    let first = hex(digits.get(..4)?)?;
    let second = digits.get(4..10).and_then(|rest| hex(rest.strip_prefix(b"\\u")?));
    match second {
        Some(second) if (0xD800..0xDC00).contains(&first) && (0xDC00..0xE000).contains(&second) => {
            Some((12, utf8(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))))
        }
        _ => Some((6, utf8(first))),
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
