//! Checks of a template without data: what it reads, and what is bound to fail.

use std::collections::BTreeSet;

use super::ast::{
    self, Binding, Branches, Call, Field, Function, Loop, Node, Offset, Operand, Pipeline, Term,
};
use super::references::{FieldReference, KeyReference, References};
use super::value::{Kind, field_kind};
use super::{Fault, Fields, Position, format};

/// Finds what the nodes read, or the first thing that cannot work.
pub(super) fn check(text: &str, nodes: &[Node], fields: Fields) -> Result<References, Fault> {
    let assigned = ast::assigned(nodes);
    let mut checker = Checker {
        text,
        fields,
        assigned,
        variables: vec![Variable {
            name: "$",
            kind: Kind::Root,
            keys: Vec::new(),
        }],
        guarded: false,
        references: References::default(),
    };
    checker.list(nodes, Kind::Root)?;
    Ok(checker.references)
}

struct Checker<'t> {
    text: &'t str,
    fields: Fields,
    /// Variables that are assigned to anywhere: their kind is not known.
    assigned: BTreeSet<&'t str>,
    variables: Vec<Variable<'t>>,
    /// Whether this place may not be reached, or only decides about others.
    guarded: bool,
    references: References,
}

struct Variable<'t> {
    name: &'t str,
    kind: Kind,
    /// Indexes of [`References::keys`] that went into its value.
    keys: Vec<usize>,
}

/// What is known of an operand.
#[derive(Clone, Copy)]
struct Shape<'t> {
    at: Offset,
    kind: Kind,
    /// Its text, if it is a literal.
    literal: Option<&'t str>,
}

impl<'t> Checker<'t> {
    fn position(&self, at: Offset) -> Position {
        Position::of(self.text, at)
    }

    fn guarded<T>(&mut self, check: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let before = std::mem::replace(&mut self.guarded, true);
        let checked = check(self);
        self.guarded = before;
        checked
    }

    fn scoped_list(&mut self, nodes: &'t [Node], dot: Kind) -> Result<(), Fault> {
        let mark = self.variables.len();
        self.list(nodes, dot)?;
        self.variables.truncate(mark);
        Ok(())
    }

    fn list(&mut self, nodes: &'t [Node], dot: Kind) -> Result<(), Fault> {
        for node in nodes {
            let mark = self.variables.len();
            match node {
                Node::Text { .. } | Node::Break | Node::Continue => {}
                Node::Action(pipeline) => {
                    let shape = self.pipeline(pipeline, dot)?;
                    if shape.kind == Kind::Root && pipeline.binding.is_none() {
                        return Err(Fault::new(
                            pipeline.at,
                            "the template's data as a whole cannot be printed",
                        ));
                    }
                    // What an action declares stays declared.
                    continue;
                }
                Node::If(branches) => self.branches(branches, dot, false)?,
                Node::With(branches) => self.branches(branches, dot, true)?,
                Node::Range(range) => self.range(range, dot)?,
            }
            self.variables.truncate(mark);
        }
        Ok(())
    }

    fn branches(&mut self, branches: &'t Branches, dot: Kind, with: bool) -> Result<(), Fault> {
        self.guarded(|checker| {
            for arm in &branches.arms {
                let condition = checker.pipeline(&arm.condition, dot)?;
                checker.scoped_list(&arm.body, if with { condition.kind } else { dot })?;
            }
            checker.scoped_list(&branches.otherwise, dot)
        })
    }

    fn range(&mut self, range: &'t Loop, dot: Kind) -> Result<(), Fault> {
        let over = self.pipeline(&range.over, dot)?;
        let names = range
            .over
            .binding
            .as_ref()
            .map_or(0, |binding| binding.names.len());
        let (key, item) = match over.kind {
            Kind::Names => (Kind::Whole, Kind::Text),
            Kind::Map => (Kind::Text, Kind::Text),
            Kind::Whole if names > 1 => {
                let message = "can't use a number to iterate over more than one variable";
                return Err(Fault::new(over.at, message));
            }
            Kind::Whole => (Kind::Nothing, Kind::Whole),
            Kind::Any | Kind::Nothing => (Kind::Any, Kind::Any),
            kind @ (Kind::Bool | Kind::Float | Kind::Text | Kind::Root) => {
                return Err(Fault::new(
                    over.at,
                    format!("range can't iterate over {}", kind.name()),
                ));
            }
        };
        let declares = range
            .over
            .binding
            .as_ref()
            .is_some_and(|binding| binding.declares);
        let kinds: &[Kind] = if names > 1 { &[key, item] } else { &[item] };
        self.set_declared(declares, names, kinds);
        if over.kind == Kind::Map {
            self.guarded(|checker| checker.scoped_list(&range.body, item))?;
        } else {
            self.scoped_list(&range.body, item)?;
        }
        // After no iteration the variables still hold what the range is over.
        self.set_declared(declares, names, &[Kind::Any, Kind::Any]);
        self.guarded(|checker| checker.scoped_list(&range.otherwise, dot))
    }

    fn set_declared(&mut self, declares: bool, names: usize, kinds: &[Kind]) {
        let first = self
            .variables
            .len()
            .saturating_sub(if declares { names } else { 0 });
        for (variable, kind) in self.variables.iter_mut().skip(first).zip(kinds) {
            variable.kind = if self.assigned.contains(variable.name) {
                Kind::Any
            } else {
                *kind
            };
        }
    }

    fn pipeline(&mut self, pipeline: &'t Pipeline, dot: Kind) -> Result<Shape<'t>, Fault> {
        let keys_before = self.references.keys.len();
        let shape = if pipeline.binding.is_some() {
            self.guarded(|checker| checker.stages(pipeline, dot))?
        } else {
            self.stages(pipeline, dot)?
        };
        if let Some(binding) = &pipeline.binding {
            let keys: Vec<usize> = (keys_before..self.references.keys.len()).collect();
            self.bind(binding, shape.kind, &keys);
        }
        Ok(Shape {
            at: pipeline.at,
            ..shape
        })
    }

    fn stages(&mut self, pipeline: &'t Pipeline, dot: Kind) -> Result<Shape<'t>, Fault> {
        let mut shape = self.operand(&pipeline.head, dot)?;
        for call in &pipeline.stages {
            let kind = self.call(call, dot, Some(shape))?;
            shape = Shape {
                at: call.at,
                kind,
                literal: None,
            };
        }
        Ok(shape)
    }

    fn bind(&mut self, binding: &'t Binding, kind: Kind, keys: &[usize]) {
        for name in &binding.names {
            if binding.declares {
                let kind = if self.assigned.contains(name.as_str()) {
                    Kind::Any
                } else {
                    kind
                };
                self.variables.push(Variable {
                    name,
                    kind,
                    keys: keys.to_vec(),
                });
            } else if let Some(variable) = self.variables.iter_mut().rev().find(|known| known.name == name) {
                variable.keys.extend_from_slice(keys);
            }
        }
    }

    fn operand(&mut self, operand: &'t Operand, dot: Kind) -> Result<Shape<'t>, Fault> {
        let at = operand.at;
        let mut literal = None;
        let kind = match &operand.term {
            Term::Dot => dot,
            Term::Nil => Kind::Nothing,
            Term::Bool(_) => Kind::Bool,
            Term::Int(_) => Kind::Whole,
            Term::Float(_) => Kind::Float,
            Term::Text(text) => {
                literal = Some(text.as_str());
                Kind::Text
            }
            Term::Variable(name) => self.variable(name),
            Term::Access { base, fields } => {
                let mut kind = self.operand(base, dot)?.kind;
                for field in fields {
                    kind = self.field(kind, field)?;
                }
                kind
            }
            Term::Call(call) => self.call(call, dot, None)?,
            Term::Pipeline(pipeline) => return self.pipeline(pipeline, dot),
        };
        Ok(Shape { at, kind, literal })
    }

    fn variable(&mut self, name: &str) -> Kind {
        let Some(variable) = self.variables.iter().rev().find(|known| known.name == name) else {
            return Kind::Any;
        };
        if !self.guarded {
            for &key in &variable.keys {
                if let Some(key) = self.references.keys.get_mut(key) {
                    key.unconditional = true;
                }
            }
        }
        variable.kind
    }

    fn field(&mut self, receiver: Kind, field: &Field) -> Result<Kind, Fault> {
        let known = self
            .fields
            .names()
            .iter()
            .copied()
            .find(|name| *name == field.name);
        match (receiver, known) {
            (Kind::Root, Some(name)) => {
                let position = self.position(field.at);
                self.references.fields.push(FieldReference { name, position });
                Ok(field_kind(name))
            }
            (Kind::Root, None) => {
                let names: Vec<String> = self
                    .fields
                    .names()
                    .iter()
                    .map(|name| format!(".{name}"))
                    .collect();
                let message = format!(
                    "unknown field .{}; the fields are {}",
                    field.name,
                    names.join(", ")
                );
                Err(Fault::new(field.at, message))
            }
            (Kind::Map, _) => {
                self.key(field.at, &field.name);
                Ok(Kind::Any)
            }
            (Kind::Any | Kind::Nothing, _) => Ok(Kind::Any),
            (kind, Some(name)) => {
                let message = format!(
                    "{} has no field .{name}; write $.{name} for the field of the data",
                    kind.name()
                );
                Err(Fault::new(field.at, message))
            }
            (kind, None) => Err(Fault::new(
                field.at,
                format!("{} has no field .{}", kind.name(), field.name),
            )),
        }
    }

    fn key(&mut self, at: Offset, key: &str) {
        let reference = KeyReference {
            key: key.to_owned(),
            position: self.position(at),
            unconditional: !self.guarded,
        };
        self.references.keys.push(reference);
    }

    fn call(&mut self, call: &'t Call, dot: Kind, last: Option<Shape<'t>>) -> Result<Kind, Fault> {
        let fault = |message: String| Fault::new(call.at, message);
        let name = call.function.name();
        let count = call.args.len() + usize::from(last.is_some());
        let (fewest, greatest) = call.function.arity();
        if count < fewest || greatest.is_some_and(|greatest| count > greatest) {
            let wanted = if greatest.is_some() {
                fewest.to_string()
            } else {
                format!("at least {fewest}")
            };
            return Err(fault(format!(
                "wrong number of args for {name}: want {wanted} got {count}"
            )));
        }
        let mut args = Vec::with_capacity(count);
        if let Function::And | Function::Or = call.function {
            self.guarded(|checker| {
                for arg in &call.args {
                    args.push(checker.operand(arg, dot)?);
                }
                Ok(())
            })?;
        } else {
            for arg in &call.args {
                args.push(self.operand(arg, dot)?);
            }
        }
        args.extend(last);
        match (call.function, args.as_slice()) {
            (Function::Index, [item, indexes @ ..]) => self.index(call.at, *item, indexes),
            (Function::Printf, [text, args @ ..]) => {
                if !matches!(text.kind, Kind::Text | Kind::Any) {
                    return Err(Fault::new(text.at, "the format must be a string"));
                }
                if let Some(literal) = text.literal {
                    let kinds: Vec<Kind> = args.iter().map(|arg| arg.kind).collect();
                    format::check(literal, &kinds).map_err(|message| Fault::new(text.at, message))?;
                }
                Ok(Kind::Text)
            }
            (Function::Print, args) => match args.iter().find(|arg| arg.kind == Kind::Root) {
                Some(arg) => Err(Fault::new(
                    arg.at,
                    "the template's data as a whole cannot be printed",
                )),
                None => Ok(Kind::Text),
            },
            (Function::Len, [item]) => match item.kind {
                Kind::Text | Kind::Names | Kind::Map | Kind::Any => Ok(Kind::Whole),
                kind => Err(Fault::new(item.at, format!("len of {}", kind.name()))),
            },
            (Function::And | Function::Or, [first, others @ ..]) => {
                let same = others.iter().all(|other| other.kind == first.kind);
                Ok(if same { first.kind } else { Kind::Any })
            }
            (Function::Eq | Function::Ne, [first, others @ ..]) => {
                for other in others {
                    comparable(first.kind, other.kind, true).map_err(fault)?;
                }
                Ok(Kind::Bool)
            }
            (Function::Lt | Function::Le | Function::Gt | Function::Ge, [a, b]) => {
                comparable(a.kind, b.kind, false).map_err(fault)?;
                Ok(Kind::Bool)
            }
            _ => Ok(Kind::Bool),
        }
    }

    fn index(&mut self, at: Offset, item: Shape<'t>, indexes: &[Shape<'t>]) -> Result<Kind, Fault> {
        let mut kind = item.kind;
        for index in indexes {
            kind = match (kind, index.kind) {
                (Kind::Any, _) => Kind::Any,
                (Kind::Map, Kind::Text | Kind::Any) => {
                    if let Some(key) = index.literal {
                        self.key(at, key);
                    }
                    Kind::Text
                }
                (Kind::Names, Kind::Whole | Kind::Any) => Kind::Text,
                (Kind::Text, Kind::Whole | Kind::Any) => Kind::Whole,
                (Kind::Map | Kind::Names | Kind::Text, wrong) => {
                    let message = format!("can't index {} with {}", kind.name(), wrong.name());
                    return Err(Fault::new(index.at, message));
                }
                (kind, _) => return Err(Fault::new(item.at, format!("can't index {}", kind.name()))),
            };
        }
        Ok(kind)
    }
}

fn comparable(a: Kind, b: Kind, for_equality: bool) -> Result<(), String> {
    let comparable = match (a, b) {
        (Kind::Names | Kind::Map | Kind::Root, other) | (other, Kind::Names | Kind::Map | Kind::Root) => {
            for_equality && matches!(other, Kind::Nothing | Kind::Any)
        }
        (Kind::Nothing, _)
        | (_, Kind::Nothing)
        | (Kind::Bool, Kind::Bool | Kind::Any)
        | (Kind::Any, Kind::Bool) => for_equality,
        (Kind::Any, _) | (_, Kind::Any) => true,
        (a, b) => a == b,
    };
    if comparable {
        return Ok(());
    }
    Err(format!(
        "incompatible types for comparison: {} and {}",
        a.name(),
        b.name()
    ))
}
