//! Syntax tree of a template. What Go finds out only when it runs (an argument for something that is not a function, `nil` as a
//! command) cannot be expressed here: the parser refuses it.

use std::collections::BTreeSet;

/// A byte offset into the template's text.
pub(super) type Offset = usize;

/// A piece of the template, in order of output.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text { at: Offset, text: String },
    Action(Pipeline),
    If(Branches),
    With(Branches),
    Range(Loop),
    Break,
    Continue,
}

/// `if … else if … else` or `with … else with … else`: the first arm whose condition is true.
#[derive(Debug, Clone)]
pub(super) struct Branches {
    pub(super) arms: Vec<Arm>,
    pub(super) otherwise: Vec<Node>,
}

#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) condition: Pipeline,
    pub(super) body: Vec<Node>,
}

#[derive(Debug, Clone)]
pub(super) struct Loop {
    pub(super) over: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// `$x := head | call | call`: each call gets the value before it as its last argument.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) at: Offset,
    pub(super) binding: Option<Binding>,
    pub(super) head: Operand,
    pub(super) stages: Vec<Call>,
}

/// `$x :=`, `$x =`, and in a range `$i, $x :=`, `$i, $x =`.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    pub(super) at: Offset,
    pub(super) declares: bool,
    /// One name, or two in a range; with their `$`.
    pub(super) names: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) at: Offset,
    pub(super) term: Term,
}

#[derive(Debug, Clone)]
pub(super) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// With its `$`; `$` alone is the template's data.
    Variable(String),
    /// `.A.B`, `$x.A`, `(…).A`; at least one field.
    Access {
        base: Box<Operand>,
        fields: Vec<Field>,
    },
    Call(Call),
    Pipeline(Box<Pipeline>),
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) at: Offset,
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) at: Offset,
    pub(super) function: Function,
    pub(super) args: Vec<Operand>,
}

/// The functions that a template may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Index,
    Printf,
    Print,
    Len,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Not,
}

impl Function {
    const ALL: [Self; 13] = [
        Self::Index,
        Self::Printf,
        Self::Print,
        Self::Len,
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::And,
        Self::Or,
        Self::Not,
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Printf => "printf",
            Self::Print => "print",
            Self::Len => "len",
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::And => "and",
            Self::Or => "or",
            Self::Not => "not",
        }
    }

    /// The fewest arguments, and the most if there is such a number; the value of the pipeline counts.
    pub(super) fn arity(self) -> (usize, Option<usize>) {
        match self {
            Self::Print => (0, None),
            Self::Index | Self::Printf | Self::And | Self::Or => (1, None),
            Self::Eq => (2, None),
            Self::Len | Self::Not => (1, Some(1)),
            Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge => (2, Some(2)),
        }
    }
}

/// The names that some pipeline assigns to with `=`, inside parentheses too.
pub(super) fn assigned(nodes: &[Node]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    collect_assigned(nodes, &mut names);
    names
}

fn collect_assigned<'t>(nodes: &'t [Node], names: &mut BTreeSet<&'t str>) {
    for node in nodes {
        match node {
            Node::Text { .. } | Node::Break | Node::Continue => {}
            Node::Action(pipeline) => assigned_in(pipeline, names),
            Node::If(Branches { arms, otherwise }) | Node::With(Branches { arms, otherwise }) => {
                for Arm { condition, body } in arms {
                    assigned_in(condition, names);
                    collect_assigned(body, names);
                }
                collect_assigned(otherwise, names);
            }
            Node::Range(range) => {
                assigned_in(&range.over, names);
                collect_assigned(&range.body, names);
                collect_assigned(&range.otherwise, names);
            }
        }
    }
}

fn assigned_in<'t>(pipeline: &'t Pipeline, names: &mut BTreeSet<&'t str>) {
    if let Some(Binding {
        declares: false,
        names: assigned,
        ..
    }) = &pipeline.binding
    {
        names.extend(assigned.iter().map(String::as_str));
    }
    assigned_in_operand(&pipeline.head, names);
    for call in &pipeline.stages {
        for arg in &call.args {
            assigned_in_operand(arg, names);
        }
    }
}

fn assigned_in_operand<'t>(operand: &'t Operand, names: &mut BTreeSet<&'t str>) {
    match &operand.term {
        Term::Pipeline(pipeline) => assigned_in(pipeline, names),
        Term::Access { base, .. } => assigned_in_operand(base, names),
        Term::Call(call) => {
            for arg in &call.args {
                assigned_in_operand(arg, names);
            }
        }
        _ => {}
    }
}
