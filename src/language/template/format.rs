//! `print` and `printf`, after Go's fmt. A verb that does not suit its argument, a missing or a superfluous argument
//! is an error, not `%!d(…)` in the output. `*`, `#`, `%T` and `%p` are not supported.

use std::ops::Range;

use super::number::{self, Sign, Spec};
use super::rope::Rope;
use super::value::{Kind, Value};
use crate::language::{
    quote::{quote, quote_char},
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
                ' ' => spec.sign = spec.sign.max(Sign::Space),
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
            Some(flag @ ('*' | '#')) => Err(format!("{flag} is not supported in a format")),
            Some(verb) => Ok(Self {
                spec,
                arg,
                verb,
                rest: chars.as_str(),
            }),
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
        Kind::Text | Kind::Names | Kind::Map => "svqxX",
        Kind::Whole => "vdboxXcqU",
        Kind::Float => "veEfFgG",
        Kind::Bool => "vt",
        Kind::Nothing => "v",
        Kind::Root => "",
        Kind::Any => return Ok(()),
    };
    if !verbs.contains(verb) {
        return Err(format!("%{verb} cannot print {}", kind.name()));
    }
    let is_number = matches!(kind, Kind::Whole | Kind::Float) && !matches!(verb, 'c' | 'q' | 'U');
    if (spec.sign == Sign::Always && verb == 'v')
        || ((spec.zero || spec.sign != Sign::Negative) && !is_number)
    {
        return Err(format!("a flag of %{verb} is not supported for {}", kind.name()));
    }
    let cuts = matches!(kind, Kind::Text | Kind::Names | Kind::Map) && matches!(verb, 's' | 'v');
    if spec.precision.is_some() && !is_number && !cuts {
        return Err(format!(
            "a precision of %{verb} is not supported for {}",
            kind.name()
        ));
    }
    Ok(())
}

fn formatted(value: &Value<'_>, verb: char, spec: Spec) -> Result<Rope, String> {
    suits(verb, spec, value.kind())?;
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
        Value::Int(number, origin) => whole(*number, *origin, verb, spec),
        Value::Byte(number, origin) => whole(i64::from(*number), *origin, verb, spec),
        Value::Float(number) => Rope::text(number::float(*number, verb, spec)),
        Value::Bool(truth) => Rope::text(truth.to_string()),
        Value::Nothing => Rope::text("<nil>"),
        Value::Root => return Err("the template's data as a whole cannot be printed".to_owned()),
    };
    Ok(padded(rope, spec))
}

fn text(rope: &Rope, verb: char, spec: Spec) -> Rope {
    let changed = match verb {
        'q' => quote(&rope.raw()),
        'x' => number::hexadecimal(&rope.raw()),
        'X' => number::hexadecimal(&rope.raw()).to_ascii_uppercase(),
        _ => match spec.precision {
            Some(most) if rope.raw().chars().count() > most => rope.raw().chars().take(most).collect(),
            _ => return rope.clone(),
        },
    };
    Rope::new(rope.origin(), changed)
}

fn whole(value: i64, origin: Origin, verb: char, spec: Spec) -> Rope {
    match verb {
        'c' => Rope::new(origin, number::character(value)),
        'q' => Rope::new(origin, quote_char(number::character(value))),
        'U' => Rope::text(format!("U+{value:04X}")),
        verb => Rope::text(number::whole(value, verb, spec)),
    }
}

fn padded(rope: Rope, spec: Spec) -> Rope {
    let missing = spec.width.unwrap_or(0).saturating_sub(rope.raw().chars().count());
    if missing == 0 {
        return rope;
    }
    let padding = Span::new(Origin::Text, " ".repeat(missing));
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
