//! Answer of a metrics API, as far as an HPA's controller reads it. Pure.

mod list;

use std::collections::BTreeMap;

use serde::Deserialize;

/// The longest message of a refusal that is kept, in characters.
const MESSAGE: usize = 1000;

/// What one server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Values.
    Values(Values),
    /// A refusal: the HTTP status and the message of its `metav1.Status`.
    Refused {
        /// For example 404.
        code: u16,
        /// Empty where it sent none.
        message: String,
    },
    /// 200, but no list of values.
    Malformed(String),
    /// There was no answer.
    Unreachable(String),
}

/// A list of values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// `kind` and `apiVersion` of the list.
    pub list: String,
    /// Whether they are external: an HPA adds them up.
    pub external: bool,
    /// By what they are of, in the order of the answer.
    pub items: Vec<Item>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The described object or the labels of an external value: what tells it from the others.
    pub of: String,
    /// In thousandths; the largest number stands for all that are larger.
    pub milli: i64,
    /// The value as it was written.
    pub text: String,
    /// The value in its canonical form.
    pub canonical: String,
    /// Whatever else it says, by field: the window, the selector, the metric's name, `apiVersion` of the object.
    pub rest: BTreeMap<&'static str, String>,
}

/// A `metav1.Status`, as far as it is read.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: Option<String>,
}

// === impl Answer ===

impl Answer {
    /// Reads a response.
    pub fn read(code: u16, body: &[u8]) -> Self {
        if code != 200 {
            let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
            let message = refusal.and_then(|refusal| refusal.message);
            let message = message.unwrap_or_else(|| start(&String::from_utf8_lossy(body)));
            let message = message.chars().take(MESSAGE).collect();
            return Self::Refused { code, message };
        }
        match list::read(body) {
            Ok(values) => Self::Values(values),
            Err(message) => Self::Malformed(message),
        }
    }

    /// The HTTP status, where there was one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Values(_) | Self::Malformed(_) => Some(200),
            Self::Refused { code, .. } => Some(*code),
            Self::Unreachable(_) => None,
        }
    }

    /// Whether it says nothing about the metric: neither values nor that there are none. What a server that is down, overloaded
    /// or elsewhere answers is no statement, even where another one answers the same.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Values(_) | Self::Refused { code: 404, .. } => false,
            Self::Refused { .. } | Self::Malformed(_) | Self::Unreachable(_) => true,
        }
    }

    /// In a few words.
    pub fn summary(&self) -> String {
        match self {
            Self::Values(values) => match values.items.as_slice() {
                [] => "no values".to_owned(),
                [one] => one.text.clone(),
                items => format!("{} values", items.len()),
            },
            Self::Refused { code, message } => format!("{code} {}", start(message)),
            Self::Malformed(message) => format!("200, but {message}"),
            Self::Unreachable(message) => message.clone(),
        }
    }
}

// === impl Item ===

impl Item {
    /// Whether the number is beyond what an HPA can read in thousandths.
    pub fn is_beyond(&self) -> bool {
        self.milli.unsigned_abs() >= i64::MAX.unsigned_abs()
    }
}

/// The first line, at most 200 characters of it.
fn start(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut start: String = line.chars().take(200).collect();
    if start.len() < line.len() {
        start.push('…');
    }
    start
}
