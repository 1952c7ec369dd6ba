//! Bodies: what a backend answers is decoded while it comes, so that nothing of it is held that is not wanted.
//!
//! A short body is read and decoded where it is. A longer one goes piece by piece to a thread that decodes it. When the
//! decoder gives up, so does the transfer; when the transfer ends, for whatever reason, so does the thread.

use std::io::{self, BufReader, Read};

use bytes::Bytes;
use reqwest::Response;
use tokio::sync::mpsc;

use super::reply;
use crate::{
    backend::{BackendError, redact::Redactor},
    reason::Reason,
};

/// The longest body, unpacked, in bytes.
pub(super) const MAX_BODY: usize = 64 << 20;
/// A body that is no longer is decoded at once.
const SHORT: usize = 64 << 10;
/// Pieces that wait for the decoder; the connection waits with the rest.
const PIECES: usize = 2;
/// Lists in lists; those of the API end at seven. What is passed over costs its reader a byte for each.
const MAX_DEPTH: usize = 64;

/// What is done with a JSON string that is too long. `serde_json` gathers a whole string before it shows it to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LongText {
    /// The body is refused.
    Refuse,
    /// What is beyond so many bytes is left out, at the end of a character.
    Cut,
}

/// A body to decode.
pub(super) enum Source {
    /// All of it.
    Whole(Vec<u8>),
    /// Piece by piece.
    Pieces(Box<BufReader<Texts<Pieces>>>),
}

/// A body that a thread reads while it comes.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

/// Bytes of JSON on their way, with a bound on the length of a string and on how deep it goes.
pub(super) struct Texts<R> {
    inner: R,
    max: usize,
    long: LongText,
    state: State,
    /// Bytes of the string so far.
    length: usize,
    cutting: bool,
    /// The first half of a character was escaped; the second has to follow.
    half: bool,
    /// The last byte was white space between texts; one is as good as a million.
    blank: bool,
    /// Lists and objects that are open.
    depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    Inside,
    Escape,
    Hexadecimal { left: u8, value: u16 },
}

/// A string that is longer than it may be.
#[derive(Debug, thiserror::Error)]
#[error("a text is too long")]
pub(super) struct TooLong;

/// What is deeper than anything that the API sends.
#[derive(Debug, thiserror::Error)]
#[error("it is nested too deeply")]
struct TooDeep;

/// Decodes the body of `response` with `decode`; `max_text` is the longest string that it meets in a long body.
pub(super) async fn read<T: Send + 'static>(
    mut response: Response,
    (max_text, long): (usize, LongText),
    redactor: &Redactor,
    decode: impl FnOnce(Source) -> T + Send + 'static,
) -> Result<T, BackendError> {
    let mut head = Vec::new();
    loop {
        match response
            .chunk()
            .await
            .map_err(|error| reply::broken(error, redactor))?
        {
            None => return Ok(decode(Source::Whole(head))),
            Some(chunk) => head.extend_from_slice(&chunk),
        }
        if head.len() > SHORT {
            break;
        }
    }
    let (sender, receiver) = mpsc::channel(PIECES);
    let mut length = head.len();
    let pieces = Pieces {
        receiver,
        piece: head.into(),
    };
    let decoding = tokio::task::spawn_blocking(move || {
        let texts = Texts::new(pieces, max_text, long);
        decode(Source::Pieces(Box::new(BufReader::new(texts))))
    });
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| reply::broken(error, redactor))?
    {
        length += chunk.len();
        if length > MAX_BODY {
            let cause = format!("the backend's answer is larger than {} KiB", MAX_BODY >> 10);
            return Err(BackendError::new(Reason::LimitExceeded, cause));
        }
        if sender.send(chunk).await.is_err() {
            // The decoder has seen enough.
            break;
        }
    }
    drop((sender, response));
    decoding
        .await
        .map_err(|_| BackendError::new(Reason::Internal, "the backend's answer could not be decoded"))
}

/// The first bytes of a body, at most `max`; none of one that is longer.
pub(super) async fn short(
    mut response: Response,
    max: usize,
    redactor: &Redactor,
) -> Result<Vec<u8>, BackendError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| reply::broken(error, redactor))?
    {
        if body.len() + chunk.len() > max {
            return Ok(Vec::new());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

// === impl Pieces ===

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(buffer.len());
        let piece = self.piece.split_to(length);
        buffer
            .get_mut(..length)
            .unwrap_or_default()
            .copy_from_slice(&piece);
        Ok(length)
    }
}

// === impl Texts ===

impl<R: Read> Texts<R> {
    pub(super) fn new(inner: R, max: usize, long: LongText) -> Self {
        Self {
            inner,
            max,
            long,
            state: State::Outside,
            length: 0,
            cutting: false,
            half: false,
            blank: false,
            depth: 0,
        }
    }

    /// Whether a byte stays.
    fn pass(&mut self, byte: u8) -> io::Result<bool> {
        match self.state {
            State::Outside => {
                if byte == b'"' {
                    (self.state, self.length, self.cutting, self.half) = (State::Inside, 0, false, false);
                }
                match byte {
                    b'[' | b'{' if self.depth >= MAX_DEPTH => return Err(io::Error::other(TooDeep)),
                    b'[' | b'{' => self.depth += 1,
                    b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                let blank = byte.is_ascii_whitespace();
                let again = std::mem::replace(&mut self.blank, blank) && blank;
                return Ok(!again);
            }
            State::Inside if byte == b'"' => {
                self.state = State::Outside;
                return Ok(true);
            }
            State::Inside => {
                let begins_a_character = byte & 0xC0 != 0x80;
                if self.length >= self.max && begins_a_character && !self.half {
                    match self.long {
                        LongText::Refuse => return Err(io::Error::other(TooLong)),
                        LongText::Cut => self.cutting = true,
                    }
                }
                if byte == b'\\' {
                    self.state = State::Escape;
                } else if begins_a_character {
                    self.half = false;
                }
            }
            State::Escape if byte == b'u' => self.state = State::Hexadecimal { left: 4, value: 0 },
            State::Escape => (self.state, self.half) = (State::Inside, false),
            State::Hexadecimal { left, value } => {
                let digit = char::from(byte)
                    .to_digit(16)
                    .and_then(|digit| u16::try_from(digit).ok());
                let value = value << 4 | digit.unwrap_or(0);
                if left > 1 {
                    self.state = State::Hexadecimal {
                        left: left - 1,
                        value,
                    };
                } else {
                    self.state = State::Inside;
                    self.half = (0xD800..0xDC00).contains(&value);
                }
            }
        }
        self.length += 1;
        Ok(!self.cutting)
    }
}

impl<R: Read> Read for Texts<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.inner.read(buffer)?;
            let mut kept = 0;
            for at in 0..read {
                let byte = buffer.get(at).copied().unwrap_or_default();
                if self.pass(byte)? {
                    if let Some(place) = buffer.get_mut(kept) {
                        *place = byte;
                    }
                    kept += 1;
                }
            }
            // Nothing is the end; where all was cut there may be more.
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through(json: &str, max: usize, long: LongText) -> io::Result<String> {
        let mut text = String::new();
        Texts::new(json.as_bytes(), max, long).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_string_without_end_is_refused_as_it_comes() {
        let endless = b"[\"".chain(io::repeat(b'x'));
        let error = io::copy(&mut Texts::new(endless, 100, LongText::Refuse), &mut io::sink()).unwrap_err();
        let source = error.get_ref().unwrap();
        assert!(source.is::<TooLong>());
        assert!(through(r#"["x"]"#, 1, LongText::Refuse).is_ok());
        assert!(through(r#"["xy"]"#, 1, LongText::Refuse).is_err());
    }

    #[test]
    fn lists_in_lists_without_end_are_refused_as_they_come() {
        for open in [b'[', b'{'] {
            let mut texts = Texts::new(io::repeat(open), 100, LongText::Cut);
            let error = io::copy(&mut texts, &mut io::sink()).unwrap_err();
            assert!(error.get_ref().unwrap().is::<TooDeep>());
        }
        let wide = "[[],{}],".repeat(1000);
        assert_eq!(through(&wide, 4, LongText::Refuse).unwrap(), wide);
        assert!(through(&"\"[\",".repeat(1000), 4, LongText::Refuse).is_ok());
    }

    #[test]
    fn a_string_is_cut_between_characters() {
        for (json, expected) in [
            (r#"{"a":"12345678","b":[1,"x"]}"#, r#"{"a":"1234","b":[1,"x"]}"#),
            (r#"["ööö"]"#, r#"["öö"]"#),
            (r#"["123ö5"]"#, r#"["123ö"]"#),
            (r#"["123\n5\""]"#, r#"["123\n"]"#),
            (r#"["\ud83d\ude00x"]"#, r#"["\ud83d\ude00"]"#),
            (r#"["1234\"]"]"#, r#"["1234"]"#),
            (r#"["\\\\\\","x"]"#, r#"["\\\\","x"]"#),
            ("[ \n \"a  b\",\t\t1  ]", "[ \"a  b\",\t1 ]"),
        ] {
            assert_eq!(through(json, 4, LongText::Cut).unwrap(), expected, "{json}");
        }
    }

    proptest! {
        #[test]
        fn what_is_cut_is_the_beginning_and_what_is_short_is_whole(
            texts in prop::collection::vec(any::<String>(), 0..5),
            max in 0_usize..40,
        ) {
            let json = serde_json::to_string(&texts).unwrap();
            let cut: Vec<String> = serde_json::from_str(&through(&json, max, LongText::Cut).unwrap()).unwrap();
            prop_assert_eq!(cut.len(), texts.len());
            for (cut, text) in cut.iter().zip(&texts) {
                prop_assert!(text.starts_with(cut.as_str()));
                if text.len() <= max / 6 {
                    prop_assert_eq!(cut, text);
                }
                prop_assert!(cut.len() <= max + 12);
            }
            let longest = texts.iter().map(|text| serde_json::to_string(text).unwrap().len() - 2).max();
            let refused = through(&json, max, LongText::Refuse).is_err();
            prop_assert!(!refused || longest > Some(max));
            prop_assert!(refused || longest < Some(max + 12));
        }
    }
}
