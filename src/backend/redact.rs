//! Redaction: the one way in which a text of a backend becomes one that people may read.
//!
//! A backend, or a proxy before it, may quote what it was sent, in whatever spelling its language prints it. So it is not
//! spellings that are looked for: the text is looked at as it is, with its escapes undone, and with what may be base64 or
//! hexadecimal decoded. Where a credential shows in any of these, its place in the text goes. A part of eight bytes of one
//! is enough, for logs and proxies cut what is long.

mod view;

use std::{collections::HashSet, fmt, ops::Range, sync::Arc};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use reqwest::Url;

use self::view::{View, meanings};
use super::{auth::Credential, error::tidy};

/// What stands in the place of a credential.
const REDACTED: &str = "[redacted]";
/// What a backend says beyond this is not read, in bytes.
const MAX_SAID: usize = 16 << 10;
/// A part of a secret that is as long is taken for it.
const PART: usize = 8;
/// A value of a header or parameter that is shorter counts as a word of its own alone: it may be a tenant's number.
const WORD: usize = 4;

/// A text that anyone may read who may read the operator's log: our own words, or a backend's without credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Said(String);

/// Everything that requests to one backend carry to prove who sends them.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    /// In lower case.
    secrets: Arc<[Secret]>,
    /// What proves an identity by itself, as it is sent and encoded; for data, which must not be mistaken.
    proofs: Arc<[String]>,
}

struct Secret {
    bytes: Vec<u8>,
    /// Its parts of [`PART`] bytes, where parts count.
    parts: HashSet<[u8; PART]>,
    /// Whether it counts between other letters and digits.
    inside: bool,
}

// === impl Said ===

impl Said {
    /// Our own words.
    pub fn ours(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

// === impl Redactor ===

impl Redactor {
    /// For requests to `base`, which holds the parameters of every one, with `headers` and `credential`.
    pub(super) fn new(base: &Url, headers: &http::HeaderMap, credential: &Credential) -> Self {
        let mut secrets = Vec::new();
        let mut proofs = Vec::new();
        match credential {
            Credential::None => {}
            Credential::Basic { username, password } => {
                let pair = format!("{}:{}", username.expose(), password.expose());
                let sent = STANDARD.encode(&pair);
                secrets.extend([
                    Secret::whole_or_part(password.expose()),
                    Secret::whole_or_part(&sent),
                    Secret::name(username.expose()),
                ]);
                proofs.extend([password.expose().to_owned(), sent]);
            }
            Credential::Bearer(token) => {
                secrets.push(Secret::whole_or_part(token.expose()));
                proofs.push(token.expose().to_owned());
            }
        }
        let sent = headers
            .values()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let parameters = base.query_pairs().map(|(_, value)| value.into_owned());
        // `dedup=true` is no secret, and a word of every other sentence.
        let values = sent
            .chain(parameters)
            .filter(|value| !matches!(value.as_str(), "true" | "false"));
        secrets.extend(values.map(|value| {
            if value.len() < WORD {
                Secret::name(&value)
            } else {
                Secret::whole_or_part(&value)
            }
        }));
        secrets.retain(|secret| !secret.bytes.is_empty());
        proofs.retain(|proof| proof.len() >= PART);
        Self {
            secrets: secrets.into(),
            proofs: proofs.iter().flat_map(|proof| spellings(proof)).collect(),
        }
    }

    /// What a backend said, in one line and without credentials.
    pub(super) fn said(&self, text: &str) -> Said {
        let text = text.get(..text.floor_char_boundary(MAX_SAID)).unwrap_or_default();
        // What is taken out to make it one line may have stood within a credential.
        let line = tidy(&self.clean(text), usize::MAX);
        let parts: Vec<String> = line.split(REDACTED).map(|part| self.clean(part)).collect();
        let mut line = parts.join(REDACTED);
        let twice = REDACTED.repeat(2);
        while line.contains(&twice) {
            line = line.replace(&twice, REDACTED);
        }
        Said(line)
    }

    /// Whether data hold what proves our identity, in whatever spelling; nothing else is looked for, for data must not be mistaken.
    pub(super) fn betrayed_by(&self, data: &str) -> bool {
        let shows = |text: &str| self.proofs.iter().any(|proof| text.contains(proof.as_str()));
        let has_escapes = || data.bytes().any(|byte| b"%\\&".contains(&byte));
        shows(data)
            || (!self.proofs.is_empty()
                && has_escapes()
                && meanings(data)
                    .iter()
                    .any(|meaning| shows(&String::from_utf8_lossy(meaning))))
    }

    fn clean(&self, text: &str) -> String {
        if self.secrets.is_empty() {
            return text.to_owned();
        }
        let mut hidden: Vec<Range<usize>> = Vec::new();
        // In a form a plus is a space.
        let spaced = self.secrets.iter().any(|secret| secret.bytes.contains(&b' '));
        for view in View::all(text, spaced) {
            for secret in &*self.secrets {
                hidden.extend(
                    secret
                        .find(view.bytes())
                        .into_iter()
                        .map(|found| view.source(found)),
                );
            }
            for (place, decoded) in view.encoded() {
                let shows = |secret: &Secret| secret.inside && !secret.find(&decoded).is_empty();
                if self.secrets.iter().any(shows) {
                    hidden.push(view.source(place));
                }
            }
        }
        replace(text, hidden)
    }
}

/// A text as it is and as a form has its spaces, in base64 wherever it begins in what was encoded, and in hexadecimal digits.
fn spellings(text: &str) -> Vec<String> {
    let mut found = vec![text.to_owned(), text.replace(' ', "+")];
    for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        // Bytes before it, and letters that hold bits of those.
        for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
            let bytes = [&[0; 2][..before], text.as_bytes()].concat();
            let mut encoded = alphabet.encode(&bytes).split_off(skipped);
            if !bytes.len().is_multiple_of(3) {
                // The last letter holds bits of what comes after.
                encoded.pop();
            }
            found.push(encoded);
        }
    }
    let digits: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let digits = digits.concat();
    found.extend([digits.to_uppercase(), digits]);
    found.retain(|spelling| spelling.len() >= PART);
    found.sort_unstable();
    found.dedup();
    found
}

/// How many there are, and no more.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redactor").field(&self.secrets.len()).finish()
    }
}

fn replace(text: &str, mut hidden: Vec<Range<usize>>) -> String {
    hidden.sort_by_key(|range| (range.start, range.end));
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for range in hidden {
        let end = text.ceil_char_boundary(range.end.min(text.len()));
        if end <= at {
            continue;
        }
        let start = text.floor_char_boundary(range.start).max(at);
        if start > at || !clean.ends_with(REDACTED) {
            clean.push_str(text.get(at..start).unwrap_or_default());
            clean.push_str(REDACTED);
        }
        at = end;
    }
    clean.push_str(text.get(at..).unwrap_or_default());
    clean
}

// === impl Secret ===

impl Secret {
    fn whole_or_part(text: &str) -> Self {
        let bytes = text.to_ascii_lowercase().into_bytes();
        let parts = bytes.windows(PART).filter_map(|part| part.try_into().ok());
        Self {
            parts: parts.collect(),
            bytes,
            inside: true,
        }
    }

    /// A name: no part of it counts, and a short one not within a word either.
    fn name(text: &str) -> Self {
        Self {
            bytes: text.to_ascii_lowercase().into_bytes(),
            parts: HashSet::new(),
            inside: text.len() >= WORD,
        }
    }

    /// Where it, or a part of it, shows in bytes that are in lower case.
    fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let length = self.bytes.len();
        let mut found = Vec::new();
        for (at, window) in bytes.windows(length).enumerate() {
            if window == self.bytes && (self.inside || stands_alone(bytes, at..at + length)) {
                found.push(at..at + length);
            }
        }
        if !self.parts.is_empty() {
            let parts = bytes.windows(PART).enumerate();
            found.extend(
                parts
                    .filter(|(_, part)| self.parts.contains(*part))
                    .map(|(at, _)| at..at + PART),
            );
        }
        found
    }
}

fn stands_alone(bytes: &[u8], range: Range<usize>) -> bool {
    let before = range.start.checked_sub(1).and_then(|at| bytes.get(at));
    let after = bytes.get(range.end);
    [before, after]
        .into_iter()
        .flatten()
        .all(|byte| !byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
