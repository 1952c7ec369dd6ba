//! Scanner of PromQL, character by character: it knows what the next one would belong to.

use promql::ValueType;
use promql::function::{Function, Role};
use promql::literal::Quote;

use super::inside::{Inside, Pattern, Replacement};

/// Where the text read so far ends.
#[derive(Debug, Default)]
pub(super) enum State {
    /// Outside of literals and comments.
    #[default]
    Code,
    /// After `#`, until the line ends.
    Comment,
    /// After a carriage return in a comment. It ends the comment for Prometheus; for `MetricsQL` only a newline does.
    CommentReturn,
    Literal(Literal),
    /// Servers disagree on what is inside a literal from here on: after a backslash outside of literals (none in `PromQL`; in `MetricsQL`
    /// it escapes the next character of a name, be it a quote), after a literal in backticks that ends with one (`MetricsQL` goes
    /// on), or after a carriage return alone in a comment.
    Unsure,
}

/// An open string literal.
#[derive(Debug)]
pub(super) struct Literal {
    pub(super) quote: Quote,
    pub(super) inside: Inside,
    /// Whether nothing was written in it yet.
    pub(super) is_empty: bool,
    escape: Escape,
    /// Whether, in backticks, the text ends with an odd number of backslashes.
    after_backslash: bool,
}

#[derive(Debug)]
enum Escape {
    None,
    /// After the backslash.
    Begun,
    /// So many digits of this radix are still to come, after those that gave `value`.
    Digits {
        left: u8,
        radix: u32,
        value: u32,
    },
}

#[derive(Debug, Default)]
pub(super) struct Scanner {
    pub(super) state: State,
    /// Whether a `{` is open.
    pub(super) braces: bool,
    calls: Vec<Call>,
    /// The word read last, if only space came after it.
    word: String,
    after_space: bool,
    /// The last character of code that is not space.
    last: char,
}

#[derive(Debug)]
struct Call {
    /// Empty for a parenthesis that is no call.
    function: String,
    /// The index of the argument that we are in.
    argument: usize,
}

impl Scanner {
    pub(super) fn feed(&mut self, c: char) {
        match &mut self.state {
            State::Code => self.code(c),
            State::Comment if c == '\r' => self.state = State::CommentReturn,
            State::Comment | State::CommentReturn if c == '\n' => self.state = State::Code,
            State::CommentReturn => self.state = State::Unsure,
            State::Comment | State::Unsure => {}
            State::Literal(literal) => {
                if literal.closes(c) {
                    self.state = if literal.after_backslash {
                        State::Unsure
                    } else {
                        State::Code
                    };
                    self.last = c;
                }
            }
        }
    }

    fn code(&mut self, c: char) {
        if c.is_whitespace() {
            self.after_space = true;
            return;
        }
        let is_word = c.is_alphanumeric() || c == '_' || c == ':';
        if is_word {
            if self.after_space {
                self.word.clear();
            }
            self.word.push(c);
        }
        match c {
            '#' => self.state = State::Comment,
            '\\' => self.state = State::Unsure,
            '{' => self.braces = true,
            '}' => self.braces = false,
            '(' => self.calls.push(Call {
                function: std::mem::take(&mut self.word),
                argument: 0,
            }),
            ')' => {
                self.calls.pop();
            }
            ',' if !self.braces => {
                if let Some(call) = self.calls.last_mut() {
                    call.argument += 1;
                }
            }
            c => {
                if let Some(quote) = Quote::from_char(c) {
                    let literal = Literal {
                        quote,
                        inside: self.inside(),
                        is_empty: true,
                        escape: Escape::None,
                        after_backslash: false,
                    };
                    self.state = State::Literal(literal);
                }
            }
        }
        // A comment is as good as a space.
        self.after_space = c == '#';
        if c != '#' {
            self.last = c;
            if !is_word {
                self.word.clear();
            }
        }
    }

    /// What a literal that begins here is for.
    fn inside(&self) -> Inside {
        if self.braces {
            // `=~` and `!~`; a tilde stands nowhere else.
            return if self.last == '~' {
                Inside::Pattern(Pattern::default())
            } else {
                Inside::Value
            };
        }
        let Some(call) = self.calls.iter().rev().find(|call| !call.function.is_empty()) else {
            return Inside::Value;
        };
        let name = call.function.to_ascii_lowercase();
        if TAKE_NAMES.contains(&&*name) {
            return Inside::Value;
        }
        let known = Function::find(&name);
        let takes_string = |f: &&Function| f.argument(call.argument) == Some(ValueType::String);
        match known.filter(takes_string).map(|f| f.role(call.argument)) {
            Some(Role::Value | Role::Label) => Inside::Value,
            Some(Role::Pattern) => Inside::Pattern(Pattern::default()),
            Some(Role::Replacement) => Inside::Replacement(Replacement::default()),
            None => Inside::Unknown(name),
        }
    }
}

/// What takes names of labels besides functions, as they are.
const TAKE_NAMES: [&str; 7] = [
    "count_values",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

impl Literal {
    /// Whether it is one in backticks.
    pub(super) fn is_raw(&self) -> bool {
        self.quote == Quote::Raw
    }

    pub(super) fn in_escape(&self) -> bool {
        !matches!(self.escape, Escape::None)
    }

    /// Takes note that a value, complete in itself, comes next.
    pub(super) fn hold_value(&mut self) {
        self.is_empty = false;
        self.after_backslash = false;
        self.inside.hold_value();
    }

    /// Reads a character of the author's text; true if it is the closing quote.
    fn closes(&mut self, c: char) -> bool {
        match &mut self.escape {
            Escape::None if c == self.quote.as_char() => return true,
            Escape::None if c == '\\' && self.quote != Quote::Raw => self.escape = Escape::Begun,
            Escape::None => {
                self.after_backslash = c == '\\' && !self.after_backslash;
                self.inside.feed(c);
            }
            Escape::Begun => {
                let digits = |left, radix, value| Escape::Digits { left, radix, value };
                self.escape = match c {
                    'x' => digits(2, 16, 0),
                    'u' => digits(4, 16, 0),
                    'U' => digits(8, 16, 0),
                    '0'..='7' => digits(2, 8, c.to_digit(8).unwrap_or(0)),
                    c => {
                        self.inside.feed(c); // `\\` and `\"`; what `\n` and the like stand for has no meaning to `inside`
                        Escape::None
                    }
                };
            }
            Escape::Digits { left, radix, value } => {
                *value = value
                    .saturating_mul(*radix)
                    .saturating_add(c.to_digit(*radix).unwrap_or(0));
                *left -= 1;
                if *left == 0 {
                    let decoded = char::from_u32(*value).unwrap_or('\u{fffd}');
                    self.escape = Escape::None;
                    self.inside.feed(decoded);
                }
            }
        }
        self.is_empty = false;
        false
    }
}
