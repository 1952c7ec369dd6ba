//! Failure of a request: why it got no values.

use std::fmt;

use crate::{
    reason::Reason,
    rule::{CompiledRule, Problem},
};

/// A failed request: the reason decides the status code, the text says what to do.
///
/// The text goes to whoever sent the request, so it never holds a backend's address, a credential or PromQL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// Its code and, by that, its status.
    pub reason: Reason,
    /// Kubernetes' own sentence, where it has one for the case; the reason and the cause follow it.
    pub sentence: Option<String>,
    /// The cause and the next step.
    pub cause: String,
    /// Whether Kubernetes' sentence stands alone, as prometheus-adapter has it.
    pub terse: bool,
    /// What the backend said, where it did: for logs and for the rule's status, and for no reply.
    pub words: Option<Box<Words>>,
}

/// What a backend said of a query that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The `error` of its API.
    pub said: Option<String>,
    /// All that is known, without credentials.
    pub detail: String,
}

// === impl Failure ===

impl Failure {
    /// A failure that Kubernetes has no sentence for.
    pub fn new(reason: Reason, cause: impl Into<String>) -> Self {
        Self {
            reason,
            sentence: None,
            cause: cause.into(),
            terse: false,
            words: None,
        }
    }

    /// The same, after Kubernetes' sentence.
    #[must_use]
    pub fn after(mut self, sentence: impl Into<String>) -> Self {
        self.sentence = Some(sentence.into());
        self
    }

    /// The same, with what the backend said.
    #[must_use]
    pub fn saying(mut self, words: Words) -> Self {
        self.words = Some(Box::new(words));
        self
    }

    /// The same as `rule` words it: in prometheus-adapter's semantics without reason and cause, where there is a sentence.
    #[must_use]
    pub fn in_words_of(mut self, rule: &CompiledRule) -> Self {
        self.terse = rule.like_adapter();
        self
    }

    /// What is wrong with the rule that claims the metric. Its message may quote the author's query, so the reply names
    /// the rule, the field and the position, and leaves the text to those who may read the rule.
    pub fn of_rule(rule: &str, problem: &Problem) -> Self {
        let place = if problem.path.is_empty() {
            String::new()
        } else {
            format!(" at {}", problem.place())
        };
        let cause =
            format!("the rule {rule} claims this metric but cannot answer{place}; its conditions say why");
        Self::new(problem.reason, cause)
    }
}

/// `the server could not find the metric m for pods: UnknownMetric: no rule makes it; …`
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sentence) = &self.sentence {
            f.write_str(sentence)?;
            if self.terse {
                return Ok(());
            }
            f.write_str(": ")?;
        }
        write!(f, "{}: {}", self.reason.code(), self.cause)
    }
}
