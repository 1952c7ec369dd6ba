//! Every node of a tree, and every vector selector.
//!
//! promql-parser's own visitor leaves out the parameter of an aggregation, so that in `topk(scalar(a), b)` it never sees `a`.
//! The nodes are taken apart field by field here, so that a field that a later version adds fails to compile instead of
//! being passed over.

use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, FunctionArgs, MatrixSelector, ParenExpr, SubqueryExpr, UnaryExpr,
    VectorSelector,
};

/// The nodes right below one.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(AggregateExpr {
            op: _,
            expr,
            param,
            modifier: _,
        }) => param.iter().map(AsRef::as_ref).chain([expr.as_ref()]).collect(),
        Expr::Unary(UnaryExpr { expr })
        | Expr::Paren(ParenExpr { expr })
        | Expr::Subquery(SubqueryExpr {
            expr,
            offset: _,
            at: _,
            range: _,
            step: _,
        }) => vec![expr],
        Expr::Binary(BinaryExpr {
            op: _,
            lhs,
            rhs,
            modifier: _,
        }) => vec![lhs, rhs],
        Expr::Call(Call {
            func: _,
            args: FunctionArgs { args },
        }) => args.iter().map(AsRef::as_ref).collect(),
        // The parser makes no Extension; `confine` refuses one.
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// Calls `visit` for `expr` and every node below it, parents first.
pub(super) fn each<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr)) {
    visit(expr);
    for child in children(expr) {
        each(child, visit);
    }
}

/// Calls `visit` for every vector selector, those of range selectors included.
pub(super) fn each_selector<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a VectorSelector)) {
    each(expr, &mut |node| match node {
        Expr::VectorSelector(selector)
        | Expr::MatrixSelector(MatrixSelector {
            vs: selector,
            range: _,
        }) => visit(selector),
        _ => {}
    });
}

/// As [`each_selector`], to change them.
pub(super) fn each_selector_mut(expr: &mut Expr, visit: &mut impl FnMut(&mut VectorSelector)) {
    each_mut(expr, &mut |node| match node {
        Expr::VectorSelector(selector)
        | Expr::MatrixSelector(MatrixSelector {
            vs: selector,
            range: _,
        }) => visit(selector),
        _ => {}
    });
}

/// As [`each`], to change the nodes.
pub(super) fn each_mut(expr: &mut Expr, visit: &mut impl FnMut(&mut Expr)) {
    visit(expr);
    match expr {
        Expr::Aggregate(AggregateExpr {
            op: _,
            expr,
            param,
            modifier: _,
        }) => {
            if let Some(param) = param {
                each_mut(param, visit);
            }
            each_mut(expr, visit);
        }
        Expr::Unary(UnaryExpr { expr })
        | Expr::Paren(ParenExpr { expr })
        | Expr::Subquery(SubqueryExpr {
            expr,
            offset: _,
            at: _,
            range: _,
            step: _,
        }) => each_mut(expr, visit),
        Expr::Binary(BinaryExpr {
            op: _,
            lhs,
            rhs,
            modifier: _,
        }) => {
            each_mut(lhs, visit);
            each_mut(rhs, visit);
        }
        Expr::Call(Call {
            func: _,
            args: FunctionArgs { args },
        }) => {
            for arg in args {
                each_mut(arg, visit);
            }
        }
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => {}
    }
}
