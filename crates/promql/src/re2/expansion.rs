/// A replacement text with `$1`, `${1}` and `${name}`, as `Regexp.Expand` reads it.
///
/// A name is the longest run of letters, digits and underscores, so `$1x` is the group named `1x`. `$$` is a dollar, and so
/// is a `$` that no name follows.
///
/// ```
/// use promql::re2::{Expansion, Re2};
///
/// let pattern = Re2::compile("^(.*)_total$")?;
/// let expansion = Expansion::parse("${1}_per_second");
/// assert_eq!(pattern.expand_match(&expansion, "http_requests_total").unwrap(), "http_requests_per_second");
/// # Ok::<(), promql::re2::Re2Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expansion {
    pieces: Vec<Piece>,
}

/// A capture group that a text refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By number; 0 is the whole match.
    Number(usize),
    /// By name.
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Literal(String),
    Group(Reference),
}

impl Expansion {
    /// Reads a template; every text is one.
    pub fn parse(template: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            rest = if let Some(after) = after.strip_prefix('$') {
                literal.push('$');
                after
            } else if let Some((reference, after)) = reference(after) {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Group(reference));
                after
            } else {
                literal.push('$');
                after
            };
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Self { pieces }
    }

    /// The groups that are referred to, in the order of the text.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Group(reference) => Some(reference),
            Piece::Literal(_) => None,
        })
    }

    /// The text, if no group is referred to.
    pub fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether some match could give `text`: it begins and ends as the template does, and is long enough for both.
    pub fn could_make(&self, text: &str) -> bool {
        let literal = |piece: Option<&'_ Piece>| match piece {
            Some(Piece::Literal(text)) => text.clone(),
            _ => String::new(),
        };
        if let Some(whole) = self.as_literal() {
            return whole == text;
        }
        let (first, last) = (literal(self.pieces.first()), literal(self.pieces.last()));
        text.strip_prefix(first.as_str())
            .is_some_and(|rest| rest.ends_with(last.as_str()))
    }

    /// The text with each reference replaced by what `group` gives, or by nothing.
    pub(super) fn fill<'a>(&self, group: impl Fn(&Reference) -> Option<&'a str>) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.as_str(),
                Piece::Group(reference) => group(reference).unwrap_or_default(),
            })
            .collect()
    }
}

/// What stands after a `$`, and the rest; `None` if it is not a reference.
fn reference(text: &str) -> Option<(Reference, &str)> {
    let braced = text.strip_prefix('{');
    let body = braced.unwrap_or(text);
    // Go: unicode.IsLetter or IsDigit. A group's name is ASCII, so other letters only decide where the name ends.
    let end = body.find(|letter| !is_name_part(letter)).unwrap_or(body.len());
    let (name, rest) = body.split_at(end);
    if name.is_empty() {
        return None;
    }
    let rest = if braced.is_some() {
        rest.strip_prefix('}')?
    } else {
        rest
    };
    Some((Reference::parse(name), rest))
}

impl Reference {
    fn parse(name: &str) -> Self {
        let number =
            name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
        match name.parse() {
            // Go stops counting at 10^8 and looks for a name
            Ok(number_of_group) if number && name.len() <= 9 => Self::Number(number_of_group),
            _ => Self::Name(name.to_owned()),
        }
    }
}

fn is_name_part(letter: char) -> bool {
    if letter.is_ascii() {
        letter.is_ascii_alphanumeric() || letter == '_'
    } else {
        super::property::is_letter_or_digit(letter)
    }
}
