//! Meaning of a literal's text to the one who reads it, followed character by character.

/// How the value of a literal is used.
#[derive(Debug)]
pub(super) enum Inside {
    /// As it is.
    Value,
    /// As an RE2 pattern.
    Pattern(Pattern),
    /// As a replacement, in which `$1` and `${name}` stand for what a pattern captured.
    Replacement(Replacement),
    /// As the argument of this function, of which nothing is known.
    Unknown(String),
}

impl Inside {
    pub(super) fn feed(&mut self, c: char) {
        match self {
            Self::Value | Self::Unknown(_) => {}
            Self::Pattern(pattern) => *pattern = pattern.then(c),
            Self::Replacement(replacement) => *replacement = replacement.then(c),
        }
    }

    pub(super) fn hold_value(&mut self) {
        if let Self::Pattern(pattern) = self {
            *pattern = Pattern::Between;
        }
    }
}

/// Where in a pattern we are (RE2's syntax, `regexp/syntax` of Go).
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Pattern {
    /// Between two items.
    #[default]
    Between,
    /// After `(`.
    Open,
    /// After `(?`: flags, or the name of a group.
    Head,
    /// After a backslash.
    Escape,
    /// After `\p`, `\x` and the like: so many characters still belong to it, or a group in braces.
    Escaped(u8),
    /// After `\1`: more digits belong to it.
    Octal,
    /// Inside the braces of `\p{…}`.
    EscapedBraces,
    /// Between `\Q` and `\E`.
    Quoted,
    /// As `Quoted`, after a backslash.
    QuotedEscape,
    /// After the `{` of a repetition.
    Repeat,
    /// After `[` or `[^`.
    ClassStart,
    /// Inside a class.
    Class,
    /// As `Class`, after a backslash.
    ClassEscape,
    /// As `Class`, after a `[`.
    ClassBracket,
    /// Inside `[:…` of a class.
    ClassName,
    /// As `ClassName`, after a colon.
    ClassNameEnd,
}

impl Pattern {
    /// Whether an item that follows is one by itself.
    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Between | Self::Open)
    }

    fn then(self, c: char) -> Self {
        match self {
            Self::Between => match c {
                '\\' => Self::Escape,
                '[' => Self::ClassStart,
                '(' => Self::Open,
                '{' => Self::Repeat,
                _ => Self::Between,
            },
            Self::Open if c == '?' => Self::Head,
            Self::Head if matches!(c, ':' | ')' | '>') => Self::Between,
            Self::Head => Self::Head,
            Self::Escape => match c {
                'Q' => Self::Quoted,
                'p' | 'P' => Self::Escaped(1),
                'x' => Self::Escaped(2),
                '0'..='7' => Self::Octal,
                _ => Self::Between,
            },
            Self::Escaped(_) if c == '{' => Self::EscapedBraces,
            Self::Escaped(left) if left > 1 => Self::Escaped(left - 1),
            Self::Escaped(_) => Self::Between,
            Self::Octal if matches!(c, '0'..='7') => Self::Octal,
            Self::EscapedBraces | Self::Repeat if c == '}' => Self::Between,
            Self::EscapedBraces => Self::EscapedBraces,
            Self::QuotedEscape if c == 'E' => Self::Between,
            Self::Quoted | Self::QuotedEscape if c == '\\' => Self::QuotedEscape,
            Self::Quoted | Self::QuotedEscape => Self::Quoted,
            Self::Repeat if c.is_ascii_digit() || c == ',' => Self::Repeat,
            // These are over without saying so; then the `{` stood for itself.
            Self::Open | Self::Octal | Self::Repeat => Self::Between.then(c),
            Self::ClassStart if c == '^' => Self::ClassStart,
            Self::ClassBracket if c == ':' => Self::ClassName,
            Self::Class | Self::ClassBracket if c == ']' => Self::Between,
            Self::ClassStart | Self::Class | Self::ClassBracket => match c {
                '\\' => Self::ClassEscape,
                '[' => Self::ClassBracket,
                _ => Self::Class,
            },
            Self::ClassEscape => Self::Class,
            Self::ClassName | Self::ClassNameEnd if c == ':' => Self::ClassNameEnd,
            Self::ClassNameEnd if c == ']' => Self::Class,
            Self::ClassName | Self::ClassNameEnd => Self::ClassName,
        }
    }
}

/// Where in a replacement we are (Go's `Regexp.Expand`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Replacement {
    #[default]
    Text,
    /// After a `$`.
    Dollar,
    /// After `$1` or `$name`, which letters and digits go on.
    Name,
    /// Inside `${…`.
    Braces,
}

impl Replacement {
    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Text)
    }

    fn then(self, c: char) -> Self {
        match (self, c) {
            (Self::Dollar, '$') | (Self::Braces, '}') => Self::Text,
            (Self::Text | Self::Name, '$') => Self::Dollar,
            (Self::Dollar, '{') | (Self::Braces, _) => Self::Braces,
            (Self::Dollar | Self::Name, c) if c.is_alphanumeric() || c == '_' => Self::Name,
            _ => Self::Text,
        }
    }
}
