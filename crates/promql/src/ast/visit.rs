//! Every node of a tree, and every selector.

use super::{Aggregate, Binary, Expr, VectorSelector};

// === impl Expr ===

impl Expr {
    /// The expressions right below it, in the order that they are evaluated: a parameter before its vector.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Aggregate(node) => {
                let parameter = node.parameter.iter();
                parameter.chain([&node.argument]).map(AsRef::as_ref).collect()
            }
            Self::Binary(node) => vec![&node.left, &node.right],
            Self::Call(node) => node.arguments.iter().collect(),
            Self::Paren(node) => vec![&node.inner],
            Self::Subquery(node) => vec![&node.inner],
            Self::Unary(unary) => vec![&unary.operand],
            Self::Matrix(_) | Self::Number(_) | Self::String(_) | Self::Vector(_) => Vec::new(),
        }
    }

    /// The same, to change them.
    pub fn children_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Aggregate(node) => {
                let Aggregate {
                    parameter, argument, ..
                } = node.as_mut();
                parameter
                    .iter_mut()
                    .chain([argument])
                    .map(AsMut::as_mut)
                    .collect()
            }
            Self::Binary(node) => {
                let Binary { left, right, .. } = node.as_mut();
                vec![left, right]
            }
            Self::Call(node) => node.arguments.iter_mut().collect(),
            Self::Paren(node) => vec![&mut node.inner],
            Self::Subquery(node) => vec![&mut node.inner],
            Self::Unary(unary) => vec![&mut unary.operand],
            Self::Matrix(_) | Self::Number(_) | Self::String(_) | Self::Vector(_) => Vec::new(),
        }
    }

    /// Calls `visit` for it and every expression below, parents first.
    ///
    /// ```
    /// use promql::Expr;
    ///
    /// let mut functions = Vec::new();
    /// promql::parse("abs(rate(a[5m])) + ln(b)")?.each(&mut |expr| {
    ///     if let Expr::Call(call) = expr {
    ///         functions.push(call.function.name);
    ///     }
    /// });
    /// assert_eq!(functions, ["abs", "rate", "ln"]);
    /// # Ok::<(), promql::ParseError>(())
    /// ```
    pub fn each<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.each(visit);
        }
    }

    /// The same, to change them.
    ///
    /// ```
    /// let mut expr = promql::parse("sum(a{x='1'}) / sum(b)")?;
    /// expr.each_mut(&mut |expr| {
    ///     if let Some(selector) = expr.selector_mut() {
    ///         selector.matchers.clear();
    ///     }
    /// });
    /// assert_eq!(expr.to_string(), "sum(a) / sum(b)");
    /// # Ok::<(), promql::ParseError>(())
    /// ```
    pub fn each_mut(&mut self, visit: &mut impl FnMut(&mut Self)) {
        visit(self);
        for child in self.children_mut() {
            child.each_mut(visit);
        }
    }

    /// Its own selector, that of a range included.
    pub fn selector(&self) -> Option<&VectorSelector> {
        match self {
            Self::Vector(selector) => Some(selector),
            Self::Matrix(matrix) => Some(&matrix.selector),
            _ => None,
        }
    }

    /// The same, to change it.
    pub fn selector_mut(&mut self) -> Option<&mut VectorSelector> {
        match self {
            Self::Vector(selector) => Some(selector),
            Self::Matrix(matrix) => Some(&mut matrix.selector),
            _ => None,
        }
    }

    /// All selectors in it, in the order of the text, those of ranges included.
    pub fn selectors(&self) -> Vec<&VectorSelector> {
        let mut found = Vec::new();
        self.each(&mut |expr| found.extend(expr.selector()));
        found
    }
}
