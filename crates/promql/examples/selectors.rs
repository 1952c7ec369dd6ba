//! Lists the selectors of a query, each with its place and what becomes of its values.
//!
//! ```text
//! cargo run --package promql --example selectors -- 'sum(rate(requests_total{code=~"5.."}[5m])) / count(up)'
//! ```
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let text = std::env::args()
        .nth(1)
        .ok_or("give a query as the only argument")?;
    let expr = promql::parse(&text).map_err(|error| format!("{}: {error}", error.location(&text)))?;
    for usage in expr.usages() {
        println!("{} at {}", usage.span.of(&text), usage.span.location(&text));
        if let Some((function, _)) = usage.function {
            println!("  is an argument of {}", function.name);
        }
        if let Some((range, _)) = usage.range {
            println!("  reads {} seconds back", range.as_secs_f64());
        }
        println!("  what of it reaches the answer: {:?}", usage.outcome);
    }
    Ok(())
}
