//! How much of the past a query reads.

use std::time::Duration;

use promql_parser::parser::{Expr, MatrixSelector, SubqueryExpr};

use super::syntax::Query;
use super::walk;

/// The widest window that a query aggregates over: of a range selector its range, of a subquery its range and the widest
/// window inside it. `None` if the query has neither. Offsets move a window and do not widen it.
pub fn widest_range(query: &Query) -> Option<Duration> {
    widest(query.expr())
}

fn widest(expr: &Expr) -> Option<Duration> {
    let below = walk::children(expr).into_iter().filter_map(widest).max();
    match expr {
        Expr::MatrixSelector(MatrixSelector { vs: _, range }) => Some(*range),
        Expr::Subquery(SubqueryExpr { range, .. }) => Some(range.saturating_add(below.unwrap_or_default())),
        _ => below,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widest() {
        for (text, seconds) in [
            ("up", None),
            ("up offset 1h", None),
            ("rate(a[2m])", Some(120)),
            ("rate(a[2m] offset 1h)", Some(120)),
            ("rate(a[2m]) / rate(b[1h30m])", Some(5400)),
            ("topk(scalar(sum(rate(a[9m]))), rate(b[1m]))", Some(540)),
            ("max_over_time(rate(a[5m])[1h:1m])", Some(3900)),
            (
                "max_over_time(max_over_time(rate(a[5m])[1h:])[1d:])",
                Some(86_400 + 3600 + 300),
            ),
            ("max_over_time(up[1h:])", Some(3600)),
            (
                "sum(rate(a[1m])) + max_over_time(up[30s:]) + -delta(c[1w])",
                Some(604_800),
            ),
        ] {
            let query = Query::parse(text).unwrap();
            assert_eq!(widest_range(&query), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
