//! Confines a query to the series with one value of a label.
//!
//! ```text
//! cargo run --package promql --example confine -- namespace shop 'topk(3, rate(requests_total[5m])) or up'
//! ```
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;

use promql::{Matcher, confine};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [label, value, text] = arguments.as_slice() else {
        return Err("give a label, its value and a query".into());
    };
    let confined = confine(text, &Matcher::equal(label, value)).map_err(|error| {
        let place = error
            .location(text)
            .map(|at| format!("{at}: "))
            .unwrap_or_default();
        format!("{place}{error}")
    })?;
    println!("{}", confined.text());
    Ok(())
}
