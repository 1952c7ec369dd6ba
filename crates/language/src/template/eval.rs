//! Evaluator: walks the nodes and collects spans, after Go's text/template/exec.go.

use super::ast::{Binding, Branches, Call, Field, Function, Loop, Node, Offset, Operand, Pipeline, Term};
use super::rope::Rope;
use super::value::{self, Value};
use super::{Data, Fault, MAX_OUTPUT, MAX_STEPS, format, functions};
use crate::span::{Origin, Span};

/// The output and, for each span, where the text or the action that wrote it begins.
pub(super) struct Rendered {
    pub(super) spans: Vec<Span>,
    pub(super) places: Vec<Offset>,
}

/// Renders the nodes of one template.
pub(super) fn render(nodes: &[Node], data: &Data) -> Result<Rendered, Fault> {
    let mut machine = Machine {
        data,
        variables: vec![("$", Value::Root)],
        output: Rope::default(),
        places: Vec::new(),
        steps: 0,
    };
    // A break or continue outside of a range does not parse.
    let _flow = machine.list(nodes, &Value::Root)?;
    Ok(Rendered {
        spans: machine.output.into_spans(),
        places: machine.places,
    })
}

struct Machine<'d> {
    data: &'d Data,
    /// Variables in scope, innermost last.
    variables: Vec<(&'d str, Value<'d>)>,
    output: Rope,
    places: Vec<Offset>,
    steps: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'d> Machine<'d> {
    /// Counts one step, and more for the text that it copies.
    fn step(&mut self, at: Offset, bytes: usize) -> Result<(), Fault> {
        self.steps += 1 + bytes / 256;
        if self.steps > MAX_STEPS {
            return Err(Fault::bound(
                at,
                format!("the template takes more than {MAX_STEPS} steps"),
            ));
        }
        Ok(())
    }

    fn emit(&mut self, at: Offset, rope: Rope) -> Result<(), Fault> {
        self.step(at, rope.len())?;
        if self.output.len() + rope.len() > MAX_OUTPUT {
            return Err(Fault::bound(
                at,
                format!("the output is longer than {MAX_OUTPUT} bytes"),
            ));
        }
        self.output.append(rope);
        self.places.resize(self.output.spans(), at);
        Ok(())
    }

    fn list(&mut self, nodes: &'d [Node], dot: &Value<'d>) -> Result<Flow, Fault> {
        for node in nodes {
            let flow = match node {
                Node::Text { at, text } => {
                    self.emit(*at, Rope::text(text.as_str()))?;
                    Flow::Next
                }
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.binding.is_none() {
                        let rope =
                            format::printed(&value).map_err(|message| Fault::new(pipeline.at, message))?;
                        self.emit(pipeline.at, rope)?;
                    }
                    Flow::Next
                }
                Node::If(branches) => self.branches(branches, dot, false)?,
                Node::With(branches) => self.branches(branches, dot, true)?,
                Node::Range(range) => self.range(range, dot)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn branches(&mut self, branches: &'d Branches, dot: &Value<'d>, with: bool) -> Result<Flow, Fault> {
        let mark = self.variables.len();
        for arm in &branches.arms {
            let value = self.pipeline(&arm.condition, dot)?;
            if value.truth() {
                let flow = self.list(&arm.body, if with { &value } else { dot })?;
                self.variables.truncate(mark);
                return Ok(flow);
            }
        }
        let flow = self.list(&branches.otherwise, dot)?;
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, range: &'d Loop, dot: &Value<'d>) -> Result<Flow, Fault> {
        let mark = self.variables.len();
        let at = range.over.at;
        let over = self.pipeline(&range.over, dot)?;
        let binding = range.over.binding.as_ref();
        let inside = self.variables.len();
        let count = match over {
            Value::Names(names) => {
                let items = (0i64..).zip(names).map(|(i, name)| {
                    (
                        Value::Int(i, Origin::Text),
                        Value::Text(Rope::new(Origin::Name, name.as_str())),
                    )
                });
                self.iterate(range, inside, items)?
            }
            Value::Map(map) => {
                let items = map.iter().map(|(key, values)| {
                    (
                        Value::Text(Rope::new(Origin::Name, key.as_str())),
                        Value::Text(Rope::values(values)),
                    )
                });
                self.iterate(range, inside, items)?
            }
            Value::Int(..) | Value::Byte(..) if binding.is_some_and(|binding| binding.names.len() > 1) => {
                return Err(Fault::new(
                    at,
                    "can't use a number to iterate over more than one variable",
                ));
            }
            Value::Int(end, origin) => {
                let items = (0..end).map(|i| (Value::Nothing, Value::Int(i, origin)));
                self.iterate(range, inside, items)?
            }
            Value::Byte(end, origin) => {
                let items = (0..end).map(|i| (Value::Nothing, Value::Byte(i, origin)));
                self.iterate(range, inside, items)?
            }
            Value::Nothing => 0,
            other => {
                return Err(Fault::new(
                    at,
                    format!("range can't iterate over {}", other.type_name()),
                ));
            }
        };
        let flow = if count == 0 {
            self.list(&range.otherwise, dot)?
        } else {
            Flow::Next
        };
        // As in Go, a break in the else ends this range, not the one around it.
        let flow = if flow == Flow::Break { Flow::Next } else { flow };
        self.variables.truncate(mark);
        Ok(flow)
    }

    /// Gives the number of iterations.
    fn iterate(
        &mut self,
        range: &'d Loop,
        inside: usize,
        items: impl Iterator<Item = (Value<'d>, Value<'d>)>,
    ) -> Result<usize, Fault> {
        let mut count = 0;
        for (key, item) in items {
            count += 1;
            self.step(range.over.at, item.weight())?;
            if let Some(binding) = &range.over.binding {
                self.bind_item(binding, inside, key, &item)?;
            }
            let flow = self.list(&range.body, &item)?;
            self.variables.truncate(inside);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(count)
    }

    /// Sets the variables of a range: the last one to the item, the one before it to its key.
    fn bind_item(
        &mut self,
        binding: &'d Binding,
        inside: usize,
        key: Value<'d>,
        item: &Value<'d>,
    ) -> Result<(), Fault> {
        let values = if binding.names.len() > 1 {
            vec![key, item.clone()]
        } else {
            vec![item.clone()]
        };
        if !binding.declares {
            for (name, value) in binding.names.iter().zip(values) {
                self.assign(binding.at, name, value)?;
            }
            return Ok(());
        }
        // The pipeline has just declared them, so they are the innermost.
        let first = inside.saturating_sub(binding.names.len());
        for (slot, value) in self.variables.iter_mut().skip(first).zip(values) {
            slot.1 = value;
        }
        Ok(())
    }

    fn assign(&mut self, at: Offset, name: &str, value: Value<'d>) -> Result<(), Fault> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some(slot) => {
                slot.1 = value;
                Ok(())
            }
            None => Err(Fault::new(at, format!("undefined variable: {name}"))),
        }
    }

    fn pipeline(&mut self, pipeline: &'d Pipeline, dot: &Value<'d>) -> Result<Value<'d>, Fault> {
        self.step(pipeline.at, 0)?;
        let mut value = self.operand(&pipeline.head, dot)?;
        for call in &pipeline.stages {
            value = self.call(call, dot, Some(value))?;
        }
        if let Some(binding) = &pipeline.binding {
            for name in &binding.names {
                self.step(binding.at, value.weight())?;
                if binding.declares {
                    self.variables.push((name, value.clone()));
                } else {
                    self.assign(binding.at, name, value.clone())?;
                }
            }
        }
        Ok(value)
    }

    fn operand(&mut self, operand: &'d Operand, dot: &Value<'d>) -> Result<Value<'d>, Fault> {
        let at = operand.at;
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Nil => Value::Nothing,
            Term::Bool(value) => Value::Bool(*value),
            Term::Int(value) => Value::Int(*value, Origin::Text),
            Term::Float(value) => Value::Float(*value),
            Term::Text(text) => Value::Text(Rope::text(text.as_str())),
            Term::Variable(name) => self.variable(at, name)?,
            Term::Access { base, fields } => {
                let mut value = self.operand(base, dot)?;
                for field in fields {
                    value = self.field(&value, field)?;
                }
                value
            }
            Term::Call(call) => self.call(call, dot, None)?,
            Term::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
        };
        self.step(at, value.weight())?;
        Ok(value)
    }

    fn variable(&self, at: Offset, name: &str) -> Result<Value<'d>, Fault> {
        match self.variables.iter().rev().find(|(known, _)| *known == name) {
            Some((_, value)) => Ok(value.clone()),
            // Declared in an argument that `and` or `or` did not evaluate.
            None => Err(Fault::new(at, format!("undefined variable: {name}"))),
        }
    }

    fn field(&self, receiver: &Value<'d>, field: &Field) -> Result<Value<'d>, Fault> {
        match receiver {
            Value::Root => value::field(self.data, &field.name)
                .ok_or_else(|| Fault::new(field.at, format!("the data have no field {}", field.name))),
            Value::Map(map) => Ok(map
                .get(&field.name)
                .map_or(Value::Nothing, |values| Value::Text(Rope::values(values)))),
            Value::Nothing => Ok(Value::Nothing),
            other => Err(Fault::new(
                field.at,
                format!("can't evaluate field {} in {}", field.name, other.type_name()),
            )),
        }
    }

    fn call(&mut self, call: &'d Call, dot: &Value<'d>, last: Option<Value<'d>>) -> Result<Value<'d>, Fault> {
        if let Function::And | Function::Or = call.function {
            return self.choose(call, dot, last);
        }
        let mut args = Vec::with_capacity(call.args.len() + 1);
        for arg in &call.args {
            args.push(self.operand(arg, dot)?);
        }
        args.extend(last);
        if let (Function::Printf, Some(Value::Text(format))) = (call.function, args.first()) {
            // Each verb may read its argument, however little it puts out.
            let verbs = format.raw().matches('%').count();
            let weight: usize = args.iter().map(Value::weight).sum();
            self.step(call.at, verbs.saturating_mul(weight))?;
        }
        let value = functions::call(call.function, &args).map_err(|message| {
            Fault::new(
                call.at,
                format!("error calling {}: {message}", call.function.name()),
            )
        })?;
        self.step(call.at, value.weight())?;
        if value.weight() > MAX_OUTPUT {
            return Err(Fault::bound(
                call.at,
                format!("the text is longer than {MAX_OUTPUT} bytes"),
            ));
        }
        Ok(value)
    }

    /// `and` and `or`: the argument that decides; those after it are not evaluated.
    fn choose(
        &mut self,
        call: &'d Call,
        dot: &Value<'d>,
        last: Option<Value<'d>>,
    ) -> Result<Value<'d>, Fault> {
        let mut value = Value::Nothing;
        for arg in &call.args {
            value = self.operand(arg, dot)?;
            if value.truth() == (call.function == Function::Or) {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }
}
