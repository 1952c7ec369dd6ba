//! Translation of Go's grammar (`regexp/syntax/parse.go` with its Perl flags) to a pattern that `regex` reads one way only: every
//! flag is spelled at the atom it governs, every group is numbered, every character that could mean something is a
//! number.

use super::class;
use super::escape::escape;
use super::failure::Failure;
use super::flags::Flags;
use super::repeat::Repeat;
use super::{MAX_DEPTH, Re2Error};

/// A pattern for the `regex` crate.
pub(super) struct Translation {
    pub(super) regex: String,
    /// The name of each group, from group 1 on.
    pub(super) names: Vec<Option<String>>,
}

/// An open group; the first one is the pattern itself.
struct Frame {
    /// Where its `(` stands in the pattern.
    opened: usize,
    /// Where its text starts in the output.
    start: usize,
    /// The flags to go back to when it closes.
    outer: Flags,
    /// What a repetition operator would apply to.
    last: Option<Atom>,
    /// The largest of its atoms.
    copies: u32,
    depth: u32,
}

#[derive(Clone, Copy)]
struct Atom {
    /// Where it starts in the output.
    start: usize,
    /// Whether it ends in a repetition operator already.
    repeated: bool,
    /// How often the innermost part is copied when counts are unrolled.
    copies: u32,
    /// How many groups and repetitions it nests.
    depth: u32,
}

struct Translator<'p> {
    pattern: &'p str,
    /// What is left to read.
    rest: &'p str,
    flags: Flags,
    output: String,
    outer: Vec<Frame>,
    frame: Frame,
    names: Vec<Option<String>>,
}

/// Translates a pattern; `dot_newline` lets `.` match a newline from the start.
pub(super) fn translate(pattern: &str, dot_newline: bool) -> Result<Translation, Re2Error> {
    let mut flags = Flags::default();
    flags.set(Flags::DOT_NEWLINE, dot_newline);
    let mut translator = Translator {
        pattern,
        rest: pattern,
        flags,
        output: String::with_capacity(2 * pattern.len()),
        outer: Vec::new(),
        frame: Frame::new(0, 0, flags),
        names: Vec::new(),
    };
    translator.run().map_err(|failure| failure.locate(pattern))?;
    Ok(Translation {
        regex: translator.output,
        names: translator.names,
    })
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        // where the operator of the repetition just read starts; anything else in between clears it
        let mut repeated_at = None;
        while let Some(letter) = self.rest.chars().next() {
            let at = self.at();
            let previous = repeated_at.take();
            match letter {
                '(' if self.rest.starts_with("(?") => self.perl_group()?,
                '(' => self.open_capture(1, None),
                ')' => self.close()?,
                '|' => {
                    self.frame.last = None;
                    self.output.push('|');
                    self.skip(1);
                }
                '^' if self.flags.has(Flags::MULTI_LINE) => self.atom("(?m:^)", 1),
                '^' => self.atom(r"\A", 1),
                '$' if self.flags.has(Flags::MULTI_LINE) => self.atom("(?m:$)", 1),
                '$' => self.atom(r"\z", 1),
                '.' if self.flags.has(Flags::DOT_NEWLINE) => self.atom("(?s:.)", 1),
                '.' => self.atom(r"[^\n]", 1),
                '[' => {
                    let (class, length) = class::bracketed(self.rest).map_err(|failure| failure.at(at))?;
                    self.class(&class, length);
                }
                '*' | '+' | '?' | '{' => match Repeat::parse(self.rest).map_err(|failure| failure.at(at))? {
                    Some((repeat, length)) => {
                        self.skip(length);
                        self.repeat(&repeat, at, previous)?;
                        repeated_at = Some(at);
                    }
                    None => self.literal(u32::from(letter), 1),
                },
                '\\' => self.backslash(at)?,
                _ => self.literal(u32::from(letter), letter.len_utf8()),
            }
        }
        if self.outer.is_empty() {
            Ok(())
        } else {
            let Frame { opened, .. } = self.frame;
            Err(Failure::somewhere("missing closing )", opened))
        }
    }

    /// The byte that is read next.
    fn at(&self) -> usize {
        self.pattern.len() - self.rest.len()
    }

    fn skip(&mut self, length: usize) {
        self.rest = &self.rest[length..];
    }

    fn atom(&mut self, regex: &str, length: usize) {
        let start = self.output.len();
        self.output.push_str(regex);
        self.frame.push(Atom {
            start,
            repeated: false,
            copies: 1,
            depth: 0,
        });
        self.skip(length);
    }

    fn class(&mut self, class: &str, length: usize) {
        if self.flags.has(Flags::FOLD_CASE) {
            self.atom(&format!("(?i:{class})"), length);
        } else {
            self.atom(class, length);
        }
    }

    fn literal(&mut self, code: u32, length: usize) {
        let Some(letter) = char::from_u32(code) else {
            return self.atom(class::NOTHING, length);
        };
        let text = if letter.is_ascii_alphanumeric() || letter == '_' {
            String::from(letter)
        } else {
            format!(r"\x{{{code:X}}}")
        };
        if letter.is_ascii() && !letter.is_ascii_alphabetic() {
            self.atom(&text, length);
        } else {
            self.class(&text, length);
        }
    }

    fn backslash(&mut self, at: usize) -> Result<(), Failure> {
        match self.rest.as_bytes().get(1) {
            Some(b'A') => self.atom(r"\A", 2),
            Some(b'z') => self.atom(r"\z", 2),
            Some(b'b') => self.atom(r"(?-u:\b)", 2),
            Some(b'B') => self.atom(r"(?-u:\B)", 2),
            Some(b'C') => return Err(Failure::new("invalid escape sequence", 2).at(at)),
            Some(b'Q') => {
                self.skip(2);
                let (text, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                for letter in text.chars() {
                    self.literal(u32::from(letter), 0);
                }
                self.rest = rest;
            }
            _ => {
                if let Some((item, length)) = class::escaped(self.rest).map_err(|failure| failure.at(at))? {
                    self.class(&class::standalone(&item), length);
                } else {
                    let (code, length) = escape(self.rest).map_err(|failure| failure.at(at))?;
                    self.literal(code, length);
                }
            }
        }
        Ok(())
    }

    fn repeat(&mut self, repeat: &Repeat, at: usize, previous: Option<usize>) -> Result<(), Failure> {
        let lazy = self.rest.starts_with('?');
        self.skip(usize::from(lazy));
        let end = self.at();
        if let Some(start) = previous {
            return Err(Failure::new("invalid nested repetition operator", end - start).at(start));
        }
        let length = end - at;
        let Some(mut atom) = self.frame.last else {
            return Err(Failure::new("missing argument to repetition operator", length).at(at));
        };
        if atom.repeated {
            // `a*(?i)*`: legal, as something stands between the operators
            self.output.insert_str(atom.start, "(?:");
            self.output.push(')');
            atom.depth += 1;
        }
        self.output.push_str(&repeat.to_string());
        if lazy != self.flags.has(Flags::SWAP_GREED) {
            self.output.push('?');
        }
        atom.copies = repeat
            .copies(atom.copies)
            .ok_or_else(|| Failure::new("invalid repeat count", length).at(at))?;
        self.frame.push(Atom {
            repeated: true,
            depth: atom.depth + 1,
            ..atom
        });
        self.check_depth(self.frame.depth)
    }

    fn open_capture(&mut self, length: usize, name: Option<String>) {
        self.open(length, "(");
        self.names.push(name);
    }

    fn open(&mut self, length: usize, regex: &str) {
        let frame = Frame::new(self.at(), self.output.len(), self.flags);
        self.outer.push(std::mem::replace(&mut self.frame, frame));
        self.output.push_str(regex);
        self.skip(length);
    }

    fn close(&mut self) -> Result<(), Failure> {
        let Some(outer) = self.outer.pop() else {
            return Err(Failure::somewhere("unexpected )", self.at()));
        };
        let group = std::mem::replace(&mut self.frame, outer);
        self.output.push(')');
        self.flags = group.outer;
        let Frame {
            start, copies, depth, ..
        } = group;
        self.frame.push(Atom {
            start,
            repeated: false,
            copies,
            depth: depth + 1,
        });
        self.skip(1);
        self.check_depth(
            self.frame
                .depth
                .max(u32::try_from(self.outer.len()).unwrap_or(u32::MAX)),
        )
    }

    fn check_depth(&self, depth: u32) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::somewhere("expression nests too deeply", self.at()));
        }
        Ok(())
    }

    /// `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn perl_group(&mut self) -> Result<(), Failure> {
        let at = self.at();
        let text = self.rest;
        let name_at = if text.starts_with("(?P<") && text.len() > 4 {
            Some(4)
        } else if text.starts_with("(?<") && text.len() > 3 {
            Some(3)
        } else {
            None
        };
        if let Some(name_at) = name_at {
            const CODE: &str = "invalid named capture";
            let end = text
                .find('>')
                .ok_or_else(|| Failure::new(CODE, text.len()).at(at))?;
            let name = &text[name_at..end];
            if name.is_empty()
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(Failure::new(CODE, end + 1).at(at));
            }
            self.open_capture(end + 1, Some(name.to_owned()));
            return Ok(());
        }

        let mut flags = self.flags;
        let (mut on, mut seen) = (true, false);
        for (index, letter) in text.char_indices().skip(2) {
            let length = index + letter.len_utf8();
            let stray = Failure::new("invalid or unsupported Perl syntax", length).at(at);
            match letter {
                '-' if on => (on, seen) = (false, false),
                ':' | ')' if on || seen => {
                    if letter == ':' {
                        self.open(length, "(?:");
                    } else {
                        self.skip(length);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => {
                    flags.set(Flags::of(letter).ok_or(stray)?, on);
                    seen = true;
                }
            }
        }
        Err(Failure::new("invalid or unsupported Perl syntax", text.len()).at(at))
    }
}

impl Frame {
    const fn new(opened: usize, start: usize, outer: Flags) -> Self {
        Self {
            opened,
            start,
            outer,
            last: None,
            copies: 1,
            depth: 0,
        }
    }

    fn push(&mut self, atom: Atom) {
        self.copies = self.copies.max(atom.copies);
        self.depth = self.depth.max(atom.depth);
        self.last = Some(atom);
    }
}
