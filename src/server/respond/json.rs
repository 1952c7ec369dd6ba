//! JSON bodies, written as Go's encoder writes them, when it is known how the client wants them.

use std::{
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha512};

/// A body that is not written yet.
pub(in crate::server) trait Json: Send + Sync {
    /// The text: one line, or indented where it is `pretty`.
    fn encode(&self, pretty: bool) -> serde_json::Result<Bytes>;
}

/// A document that many ask for; its text in one line is written once.
#[derive(Debug)]
pub(in crate::server) struct Kept<T> {
    document: T,
    line: Mutex<Option<Bytes>>,
}

/// A document that changes seldom, and the tag that says whether it did.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Tagged {
    pub(in crate::server) body: Bytes,
    /// Upper-case hexadecimal SHA-512 of the body, without quotes: the same on every replica.
    pub(in crate::server) hash: String,
}

impl<T: Serialize + Send + Sync> Json for T {
    fn encode(&self, pretty: bool) -> serde_json::Result<Bytes> {
        encode(self, pretty).map(Bytes::from)
    }
}

// === impl Kept ===

impl<T: Serialize> Kept<T> {
    /// Keeps the text of `document` from when it is first asked for.
    pub(in crate::server) const fn new(document: T) -> Self {
        Self {
            document,
            line: Mutex::new(None),
        }
    }
}

impl<T: Serialize + Send + Sync> Json for Kept<T> {
    fn encode(&self, pretty: bool) -> serde_json::Result<Bytes> {
        if pretty {
            return self.document.encode(pretty);
        }
        // Written under the lock: who comes at the same time waits for the one who writes it.
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        match &*line {
            Some(line) => Ok(line.clone()),
            None => Ok(line.insert(self.document.encode(pretty)?).clone()),
        }
    }
}

/// JSON as Go's encoder writes it: one line with a line break, or indented without; `<`, `>` and `&` escaped.
pub(super) fn encode(value: &impl Serialize, pretty: bool) -> serde_json::Result<Vec<u8>> {
    let mut json = if pretty {
        serde_json::to_vec_pretty(value)?
    } else {
        serde_json::to_vec(value)?
    };
    if json.iter().any(|byte| b"<>&\xe2".contains(byte)) {
        json = escape(&json);
    }
    if !pretty {
        json.push(b'\n');
    }
    Ok(json)
}

/// Outside of its strings JSON has none of these bytes.
fn escape(json: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(json.len() + 64);
    let mut rest = json;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'<', _) => extend(&mut escaped, b"\\u003c", tail),
            (b'>', _) => extend(&mut escaped, b"\\u003e", tail),
            (b'&', _) => extend(&mut escaped, b"\\u0026", tail),
            // The line separators of Unicode, which JavaScript takes for line ends.
            (0xe2, [0x80, 0xa8, tail @ ..]) => extend(&mut escaped, b"\\u2028", tail),
            (0xe2, [0x80, 0xa9, tail @ ..]) => extend(&mut escaped, b"\\u2029", tail),
            _ => extend(&mut escaped, &[byte], tail),
        };
    }
    escaped
}

fn extend<'a>(to: &mut Vec<u8>, bytes: &[u8], rest: &'a [u8]) -> &'a [u8] {
    to.extend_from_slice(bytes);
    rest
}

// === impl Tagged ===

impl Tagged {
    /// The document and its tag.
    pub(in crate::server) fn new(value: &impl Serialize) -> serde_json::Result<Self> {
        let body = Bytes::from(encode(value, false)?);
        let mut hash = String::with_capacity(128);
        for byte in Sha512::digest(&body) {
            // Writing to a String cannot fail.
            _ = write!(hash, "{byte:02X}");
        }
        Ok(Self { body, hash })
    }
}
