//! `print` and `printf`, after Go's fmt. A verb that does not suit its argument, a missing or a superfluous argument
//! is an error, not `%!d(…)` in the output. `*`, `%#v`, `%p`, `#` for fractions and fractions in base 2 and 16 are not supported.

use std::ops::Range;

use super::number::{self, Sign, Spec};
use super::rope::Rope;
use super::value::{Kind, Value};
use crate::{
    quote::{quote, quote_char, quote_char_to_ascii, quote_to_ascii},
    span::{Origin, Span},
};

/// The greatest width and precision.
const MAX_WIDTH: usize = 1000;

/// `%s` and `%v` of text keep its spans. Whatever changes text (`%q`, `%x`, `%c`, a cut) gives one span of the most
/// suspicious origin.
enum Piece {
    /// Of the format, with `%%` as `%`.
    Literal(Range<usize>),
    Verb {
        spec: Spec,
        verb: char,
        /// From 0.
        arg: usize,
    },
}

/// The text that an action puts out.
pub(super) fn printed(value: &Value<'_>) -> Result<Rope, String> {
    match value {
        Value::Nothing => Ok(Rope::text("<no value>")),
        value => formatted(value, 'v', Spec::default()),
    }
}

/// Go's `Sprint`: a space between two arguments of which neither is a string.
pub(super) fn print(args: &[Value<'_>]) -> Result<Rope, String> {
    let mut rope = Rope::default();
    let mut after_text = true;
    for arg in args {
        let is_text = matches!(arg, Value::Text(_));
        if !is_text && !after_text {
            rope.push_text(" ");
        }
        rope.append(formatted(arg, 'v', Spec::default())?);
        after_text = is_text;
    }
    Ok(rope)
}

/// Go's `Sprintf`. The text of the format keeps its origin.
pub(super) fn printf(format: &Rope, args: &[Value<'_>]) -> Result<Rope, String> {
    let raw = format.raw();
    let mut rope = Rope::default();
    for piece in pieces(&raw, args.len())? {
        match piece {
            Piece::Literal(range) => rope.append(format.slice(range)),
            Piece::Verb { spec, verb, arg } => {
                let arg = args.get(arg).ok_or_else(|| format!("%{verb} has no argument"))?;
                rope.append(formatted(arg, verb, spec)?);
            }
        }
    }
    Ok(rope)
}

/// Whether a format can be used with arguments of these kinds.
pub(super) fn check(format: &str, args: &[Kind]) -> Result<(), String> {
    for piece in pieces(format, args.len())? {
        if let Piece::Verb { spec, verb, arg } = piece {
            suits(verb, spec, args.get(arg).copied().unwrap_or(Kind::Any))?;
        }
    }
    Ok(())
}

fn pieces(format: &str, args: usize) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let (mut start, mut next, mut reordered) = (0, 0, false);
    let mut rest = format;
    while let Some(literal) = rest.find('%') {
        let verb_start = format.len() - rest.len() + literal;
        pieces.push(Piece::Literal(start..verb_start));
        let directive = Directive::parse(format.get(verb_start + 1..).unwrap_or_default())?;
        start = format.len() - directive.rest.len();
        rest = directive.rest;
        if directive.verb == '%' {
            pieces.push(Piece::Literal(verb_start..verb_start + 1));
            continue;
        }
        if let Some(arg) = directive.arg {
            next = arg;
            reordered = true;
        }
        if next >= args {
            return Err(format!("%{} has no argument", directive.verb));
        }
        pieces.push(Piece::Verb {
            spec: directive.spec,
            verb: directive.verb,
            arg: next,
        });
        next += 1;
    }
    pieces.push(Piece::Literal(start..format.len()));
    if !reordered && next < args {
        return Err(format!("printf has {args} arguments but only {next} verbs"));
    }
    Ok(pieces)
}

/// What follows a `%`.
struct Directive<'f> {
    spec: Spec,
    /// The explicit argument, `[n]`, from 0.
    arg: Option<usize>,
    verb: char,
    rest: &'f str,
}

impl<'f> Directive<'f> {
    fn parse(text: &'f str) -> Result<Self, String> {
        let mut spec = Spec::default();
        let mut rest = text;
        while let Some(flag) = rest.chars().next() {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.sign = Sign::Always,
                ' ' => {
                    spec.sign = spec.sign.max(Sign::Space);
                    spec.spaced = true;
                }
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                _ => break,
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        (spec.width, rest) = leading_number(rest)?;
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = leading_number(after)?;
            spec.precision = Some(precision.unwrap_or(0));
            rest = after;
        }
        let mut arg = None;
        if let Some(after) = rest.strip_prefix('[') {
            let (number, after) = leading_number(after)?;
            let from_one = number.and_then(|number| number.checked_sub(1));
            let (Some(index), Some(after)) = (from_one, after.strip_prefix(']')) else {
                return Err("bad argument index in a format".to_owned());
            };
            arg = Some(index);
            rest = after;
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => Err("a format ends with an unfinished %".to_owned()),
            Some('*') => Err("* is not supported in a format".to_owned()),
            Some(verb) => {
                if verb == 'v' && spec.sign == Sign::Always {
                    // there it names the fields of a struct, of which there are none here
                    spec.sign = if spec.spaced { Sign::Space } else { Sign::Negative };
                }
                Ok(Self {
                    spec,
                    arg,
                    verb,
                    rest: chars.as_str(),
                })
            }
        }
    }
}

fn leading_number(text: &str) -> Result<(Option<usize>, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Ok((None, rest));
    }
    match digits.parse() {
        Ok(number) if number <= MAX_WIDTH => Ok((Some(number), rest)),
        _ => Err(format!("a number over {MAX_WIDTH} in a format")),
    }
}

fn suits(verb: char, spec: Spec, kind: Kind) -> Result<(), String> {
    let verbs = match kind {
        Kind::Text | Kind::Names | Kind::Map => "svqxXT",
        Kind::Whole => "vdboOxXcqUT",
        Kind::Float => "veEfFgGT",
        Kind::Bool => "vtT",
        Kind::Nothing => "vT",
        Kind::Root => "",
        Kind::Any => return Ok(()),
    };
    if !verbs.contains(verb) {
        return Err(format!("%{verb} cannot print {}", kind.name()));
    }
    if spec.sharp && (verb == 'v' || kind == Kind::Float) && verb != 'T' {
        return Err(format!("%#{verb} is not supported for {}", kind.name()));
    }
    Ok(())
}

fn formatted(value: &Value<'_>, verb: char, spec: Spec) -> Result<Rope, String> {
    suits(verb, spec, value.kind())?;
    if verb == 'T' && !matches!(value, Value::Nothing) {
        let name: String = go_type(value)
            .chars()
            .take(spec.precision.unwrap_or(usize::MAX))
            .collect();
        return Ok(padded(Rope::text(name), spec));
    }
    let rope = match value {
        Value::Text(rope) => text(rope, verb, spec),
        Value::Names(names) => {
            let mut list = Rope::text("[");
            for (i, name) in names.iter().enumerate() {
                list.push_text(if i > 0 { " " } else { "" });
                list.append(padded(
                    text(&Rope::new(Origin::Name, name.as_str()), verb, spec),
                    spec,
                ));
            }
            list.push_text("]");
            return Ok(list);
        }
        Value::Map(map) => {
            let mut list = Rope::text("map[");
            for (i, (key, values)) in map.iter().enumerate() {
                list.push_text(if i > 0 { " " } else { "" });
                list.append(padded(
                    text(&Rope::new(Origin::Name, key.as_str()), verb, spec),
                    spec,
                ));
                list.push_text(":");
                list.append(padded(text(&Rope::values(values), verb, spec), spec));
            }
            list.push_text("]");
            return Ok(list);
        }
        Value::Int(number, origin) => return Ok(whole(*number, *origin, verb, spec)),
        Value::Byte(number, origin) => return Ok(whole(i64::from(*number), *origin, verb, spec)),
        Value::Float(number) => Rope::text(number::float(*number, verb, spec)),
        Value::Bool(truth) => Rope::text(truth.to_string()),
        Value::Nothing => Rope::text("<nil>"),
        Value::Root => return Err("the template's data as a whole cannot be printed".to_owned()),
    };
    Ok(padded(rope, spec))
}

/// The name of its type in Go.
fn go_type(value: &Value<'_>) -> &'static str {
    match value {
        Value::Nothing => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(..) => "int",
        Value::Byte(..) => "uint8",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::Names(_) => "[]string",
        Value::Map(_) => "map[string]string",
        Value::Root => "the template's data",
    }
}

fn text(rope: &Rope, verb: char, spec: Spec) -> Rope {
    if let 'x' | 'X' = verb {
        return Rope::new(rope.origin(), number::hexadecimal(&rope.raw(), verb, spec));
    }
    let cut: Option<String> = match spec.precision {
        Some(most) if rope.raw().chars().count() > most => Some(rope.raw().chars().take(most).collect()),
        _ => None,
    };
    let changed = match (verb, cut) {
        ('q', cut) => {
            let raw = cut.map_or_else(|| rope.raw(), Into::into);
            match &*raw {
                raw if spec.sharp && stands_in_back_quotes(raw) => format!("`{raw}`"),
                raw if spec.sign == Sign::Always => quote_to_ascii(raw),
                raw => quote(raw),
            }
        }
        (_, Some(cut)) => cut,
        (_, None) => return rope.clone(),
    };
    Rope::new(rope.origin(), changed)
}

/// On one line and without what cannot be seen (`strconv.CanBackquote`).
fn stands_in_back_quotes(text: &str) -> bool {
    text.chars()
        .all(|letter| letter == '\t' || letter >= ' ' && !matches!(letter, '`' | '\x7f' | '\u{feff}'))
}

fn whole(value: i64, origin: Origin, verb: char, spec: Spec) -> Rope {
    let spaces = Spec { zero: false, ..spec };
    match verb {
        'c' => padded(Rope::new(origin, number::character(value)), spec),
        'q' if spec.sign == Sign::Always => padded(
            Rope::new(origin, quote_char_to_ascii(number::character(value))),
            spec,
        ),
        'q' => padded(Rope::new(origin, quote_char(number::character(value))), spec),
        'U' => padded(Rope::text(number::code_point(value, spec)), spaces),
        verb => padded(Rope::text(number::whole(value, verb, spec)), spaces),
    }
}

fn padded(rope: Rope, spec: Spec) -> Rope {
    let missing = spec.width.unwrap_or(0).saturating_sub(rope.raw().chars().count());
    if missing == 0 {
        return rope;
    }
    let filling = if spec.zero && !spec.minus { "0" } else { " " };
    let padding = Span::new(Origin::Text, filling.repeat(missing));
    let mut padded = Rope::default();
    if spec.minus {
        padded.append(rope);
        padded.push(padding);
    } else {
        padded.push(padding);
        padded.append(rope);
    }
    padded
}
