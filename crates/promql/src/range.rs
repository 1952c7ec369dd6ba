//! Range of a query: how much of the past it reads.

use std::time::Duration;

use crate::ast::Expr;

// === impl Expr ===

impl Expr {
    /// The widest window that the query aggregates over, as an instant query: of a range selector its range, of a subquery its
    /// range and the widest window inside it. `None` if the query has neither. Offsets move a window and do not widen it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let expr = promql::parse("max_over_time(rate(requests_total[5m])[1h:1m])")?;
    /// assert_eq!(expr.widest_range(), Some(Duration::from_secs(3900)));
    /// # Ok::<(), promql::ParseError>(())
    /// ```
    pub fn widest_range(&self) -> Option<Duration> {
        let below = self.children().into_iter().filter_map(Self::widest_range).max();
        match self {
            Self::Matrix(matrix) => Some(matrix.range.length_at_an_instant()),
            Self::Subquery(subquery) => {
                let range = subquery.range.length_at_an_instant();
                Some(range.saturating_add(below.unwrap_or_default()))
            }
            _ => below,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

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
            ("rate(a[300])", Some(300)),
            ("rate(a[5m + 2 * 1m])", Some(420)),
            ("rate(a[max_of(1h, range()) + step()])", Some(3600)),
            ("rate(a[1h - 2h])", Some(0)),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(parse(text).unwrap().widest_range(), expected, "{text}");
        }
        assert_eq!(
            parse("rate(a[5m / step()])").unwrap().widest_range(),
            Some(Duration::MAX)
        );
    }
}
