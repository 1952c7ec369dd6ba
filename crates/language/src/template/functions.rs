//! Functions of templates, after Go's text/template/funcs.go; `and` and `or` are in [`super::eval`].

use std::cmp::Ordering;

use super::ast::Function;
use super::format;
use super::rope::Rope;
use super::value::Value;
use crate::span::Origin;

/// Applies a function. The arguments include the value of the pipeline, last.
pub(super) fn call<'d>(function: Function, args: &[Value<'d>]) -> Result<Value<'d>, String> {
    match (function, args) {
        (Function::Index, [item, indexes @ ..]) => index(item.clone(), indexes),
        (Function::Printf, [Value::Text(text), args @ ..]) => format::printf(text, args).map(Value::Text),
        (Function::Printf, [other, ..]) => {
            Err(format!("the format must be a string, not {}", other.type_name()))
        }
        (Function::Print, args) => format::print(args).map(Value::Text),
        (Function::Len, [item]) => len(item),
        (Function::Not, [value]) => Ok(Value::Bool(!value.truth())),
        (Function::Eq, [first, others @ ..]) if !others.is_empty() => {
            for other in others {
                if equal(first, other)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        (Function::Ne, [a, b]) => Ok(Value::Bool(!equal(a, b)?)),
        (Function::Lt, [a, b]) => Ok(Value::Bool(order(a, b)? == Some(Ordering::Less))),
        (Function::Le, [a, b]) => Ok(Value::Bool(matches!(
            order(a, b)?,
            Some(Ordering::Less | Ordering::Equal)
        ))),
        (Function::Gt, [a, b]) => Ok(Value::Bool(!matches!(
            order(a, b)?,
            Some(Ordering::Less | Ordering::Equal)
        ))),
        (Function::Ge, [a, b]) => Ok(Value::Bool(order(a, b)? != Some(Ordering::Less))),
        _ => Err("wrong number of arguments".to_owned()),
    }
}

fn index<'d>(mut item: Value<'d>, indexes: &[Value<'d>]) -> Result<Value<'d>, String> {
    if let Value::Nothing = item {
        return Err("index of nil".to_owned());
    }
    for index in indexes {
        item = match &item {
            Value::Text(rope) => {
                let (byte, origin) = rope
                    .byte(position(index, rope.len())?)
                    .ok_or_else(|| "index out of range".to_owned())?;
                Value::Byte(byte, origin)
            }
            Value::Names(names) => {
                let name = names
                    .get(position(index, names.len())?)
                    .ok_or_else(|| "index out of range".to_owned())?;
                Value::Text(Rope::new(Origin::Name, name.as_str()))
            }
            Value::Map(map) => {
                let Value::Text(key) = index else {
                    return Err(format!("a key must be a string, not {}", index.type_name()));
                };
                Value::Text(
                    map.get(key.raw().as_ref())
                        .map(|values| Rope::values(values))
                        .unwrap_or_default(),
                )
            }
            other => return Err(format!("can't index {}", other.type_name())),
        };
    }
    Ok(item)
}

fn position(index: &Value<'_>, len: usize) -> Result<usize, String> {
    let Some(whole) = index.whole() else {
        return Err(format!(
            "cannot index a list or string with {}",
            index.type_name()
        ));
    };
    usize::try_from(whole)
        .ok()
        .filter(|index| *index < len)
        .ok_or_else(|| format!("index out of range: {whole}"))
}

fn len<'d>(item: &Value<'d>) -> Result<Value<'d>, String> {
    let (len, origin) = match item {
        Value::Text(rope) => (rope.len(), rope.origin()),
        Value::Names(names) => (names.len(), Origin::Name),
        Value::Map(map) => (map.len(), Origin::Values),
        other => return Err(format!("len of {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(len).unwrap_or(i64::MAX), origin))
}

fn incompatible(a: &Value<'_>, b: &Value<'_>) -> String {
    format!(
        "incompatible types for comparison: {} and {}",
        a.type_name(),
        b.type_name()
    )
}

/// Equality of basic kinds, without conversion but between bytes and whole numbers. Nothing equals only nothing.
fn equal(a: &Value<'_>, b: &Value<'_>) -> Result<bool, String> {
    match (a, b) {
        (Value::Nothing, Value::Nothing) => Ok(true),
        (Value::Nothing, _) | (_, Value::Nothing) => Ok(false),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        _ => order(a, b).map(|order| order == Some(Ordering::Equal)),
    }
}

/// The order of basic kinds; strings by bytes.
fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.compare(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        _ => match (a.whole(), b.whole()) {
            (Some(a), Some(b)) => Ok(Some(a.cmp(&b))),
            _ => Err(incompatible(a, b)),
        },
    }
}
