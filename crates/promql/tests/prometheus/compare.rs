//! Verdicts side by side.

use std::collections::BTreeMap;
use std::fmt;

use promql::{Dialect, parse_with};

use crate::exception;
use crate::oracle::{Oracle, Verdict};
use crate::tree::tree;

/// What came of a list of texts.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) accepted: usize,
    pub(crate) refused: usize,
    pub(crate) exceptions: BTreeMap<&'static str, usize>,
    /// What is read otherwise, with how.
    pub(crate) wrong: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} accepted alike, {} refused alike",
            self.accepted, self.refused
        )?;
        for (reason, count) in &self.exceptions {
            write!(f, "; {count}: {reason}")?;
        }
        Ok(())
    }
}

/// Asks both about each text; asks Prometheus once more about our print of each that both accept.
pub(crate) fn compare(oracle: &Oracle, texts: &[String], dialect: Dialect) -> Tally {
    let mut tally = Tally::default();
    let mut prints = Vec::new();
    for (text, verdict) in texts.iter().zip(oracle.ask(texts)) {
        match one(text, &verdict, dialect) {
            Ok(Outcome::Accepted(print)) => {
                tally.accepted += 1;
                prints.push((print, verdict.tree));
            }
            Ok(Outcome::Refused) => tally.refused += 1,
            Ok(Outcome::Exception(reason)) => *tally.exceptions.entry(reason).or_default() += 1,
            Err(wrong) => tally.wrong.push(format!("{text:?}: {wrong}")),
        }
    }
    let (texts, trees): (Vec<String>, Vec<_>) = prints.into_iter().unzip();
    for ((text, tree), verdict) in texts.iter().zip(trees).zip(oracle.ask(&texts)) {
        if verdict.tree != tree {
            let why = verdict.error.unwrap_or_default();
            tally.wrong.push(format!(
                "our print {text:?} is another query for Prometheus: {why}"
            ));
        }
    }
    tally
}

enum Outcome {
    /// With our print.
    Accepted(String),
    Refused,
    Exception(&'static str),
}

fn one(text: &str, verdict: &Verdict, dialect: Dialect) -> Result<Outcome, String> {
    match (parse_with(text, dialect), &verdict.tree) {
        (Err(error), None) => {
            let inside = text.is_char_boundary(error.span.start) && text.is_char_boundary(error.span.end);
            if !inside || error.span.end > text.len() || error.span.start > error.span.end {
                return Err(format!("the error has the place {:?}", error.span));
            }
            Ok(Outcome::Refused)
        }
        (Err(error), Some(_)) => exception::reason(&error, verdict.bytes, dialect.version)
            .map(Outcome::Exception)
            .ok_or_else(|| format!("we refuse it: {error}")),
        (Ok(_), None) => {
            let why = verdict.error.clone().unwrap_or_default();
            Err(format!("Prometheus refuses it: {why}"))
        }
        (Ok(expr), Some(theirs)) => {
            let ours = tree(&expr, dialect);
            if ours != *theirs {
                return Err(format!("\n  ours   {ours}\n  theirs {theirs}"));
            }
            let print = expr.to_string();
            match parse_with(&print, dialect) {
                Ok(again) if again == expr => Ok(Outcome::Accepted(print)),
                Ok(_) => Err(format!("its print reads otherwise: {print}")),
                Err(error) => Err(format!("its print is refused: {print}: {error}")),
            }
        }
    }
}
