//! Series that a test sets one by one, and the page in the Prometheus text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// How a series moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stays at the value set.
    Gauge,
    /// Rises by the value set, per second.
    Counter,
}

/// One series: a name, labels, and a value that is a line in time.
#[derive(Clone, Debug)]
pub struct Series {
    kind: Kind,
    name: String,
    labels: BTreeMap<String, String>,
    line: Line,
}

/// A value that changes at a constant rate since a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Line {
    since: Duration,
    value: f64,
    rate: f64,
}

/// The text of one scrape: samples grouped by name, as the format wants them.
#[derive(Debug, Default)]
pub struct Page(BTreeMap<String, (Option<Kind>, Vec<String>)>);

// === impl Line ===

impl Line {
    /// A line at 0 that does not move.
    pub(crate) fn starting(now: Duration) -> Self {
        Self {
            since: now,
            value: 0.0,
            rate: 0.0,
        }
    }

    /// Its value at a moment.
    pub(crate) fn at(&self, now: Duration) -> f64 {
        if self.rate == 0.0 {
            return self.value;
        }
        self.value + self.rate * now.saturating_sub(self.since).as_secs_f64()
    }

    /// Changes the rate from now on; what has been counted stays.
    pub(crate) fn set_rate(&mut self, now: Duration, rate: f64) {
        *self = Self {
            since: now,
            value: self.at(now),
            rate,
        };
    }
}

// === impl Series ===

impl Series {
    /// A series at 0.
    pub fn new(kind: Kind, name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            kind,
            name: name.to_owned(),
            labels,
            line: Line::default(),
        }
    }

    /// Gauge or counter.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// Whether both have one name and the same labels.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.labels == other.labels
    }

    /// A gauge's value or a counter's rate per second, from now on.
    pub fn set(&mut self, now: Duration, kind: Kind, value: f64) {
        self.kind = kind;
        match kind {
            Kind::Gauge => {
                self.line = Line {
                    since: now,
                    value,
                    rate: 0.0,
                }
            }
            Kind::Counter => self.line.set_rate(now, value),
        }
    }

    /// Writes its sample.
    pub fn write(&self, now: Duration, page: &mut Page) {
        let labels: Vec<(&str, &str)> = self
            .labels
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        page.sample(self.kind, &self.name, &labels, self.line.at(now));
    }
}

// === impl Page ===

impl Page {
    /// Adds a sample.
    pub fn sample(&mut self, kind: Kind, name: &str, labels: &[(&str, &str)], value: f64) {
        let plain = is_plain(name);
        let mut line = if plain {
            name.to_owned()
        } else {
            format!("{{\"{name}\"")
        };
        for (number, (label, value)) in labels.iter().enumerate() {
            line.push(if plain && number == 0 { '{' } else { ',' });
            if is_plain(label) && !label.contains(':') {
                line.push_str(label);
            } else {
                // from Prometheus 3.0 on any name may stand in quotes
                let _ = write!(line, "\"{label}\"");
            }
            line.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => line.push_str(r"\\"),
                    '"' => line.push_str(r#"\""#),
                    '\n' => line.push_str(r"\n"),
                    other => line.push(other),
                }
            }
            line.push('"');
        }
        if !plain || !labels.is_empty() {
            line.push('}');
        }
        // writing to a String does not fail
        let _ = match value {
            value if value.is_nan() => write!(line, " NaN"),
            value if value.is_infinite() => write!(line, " {}Inf", if value > 0.0 { '+' } else { '-' }),
            value => write!(line, " {value}"),
        };
        let family = self.0.entry(name.to_owned()).or_default();
        family.0.get_or_insert(kind);
        family.1.push(line);
    }

    /// The whole page.
    pub fn into_text(self) -> String {
        let mut text = String::new();
        for (name, (kind, lines)) in self.0 {
            let kind = if kind == Some(Kind::Counter) {
                "counter"
            } else {
                "gauge"
            };
            if is_plain(&name) {
                let _ = writeln!(text, "# TYPE {name} {kind}");
            }
            for line in lines {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }
}

/// Whether a name needs no quotes in the text format.
fn is_plain(name: &str) -> bool {
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    !name.starts_with(|letter: char| letter.is_ascii_digit()) && name.chars().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_counter_keeps_what_it_counted_when_its_rate_changes() {
        let mut series = Series::new(Kind::Counter, "jobs_total", &[]);
        series.set(seconds(10), Kind::Counter, 2.0);
        series.set(seconds(15), Kind::Counter, 0.0);
        series.set(seconds(20), Kind::Counter, 1.0);
        let mut page = Page::default();
        series.write(seconds(23), &mut page);
        assert_eq!(page.into_text(), "# TYPE jobs_total counter\njobs_total 13\n");
    }

    #[test]
    fn labels_are_escaped_and_samples_grouped_by_name() {
        let mut page = Page::default();
        page.sample(Kind::Gauge, "b", &[("pod", "a\"b\\c\nd")], 1.5);
        page.sample(Kind::Gauge, "a", &[], f64::NAN);
        page.sample(
            Kind::Gauge,
            "b",
            &[("pod", "x"), ("zone", "y")],
            f64::NEG_INFINITY,
        );
        page.sample(Kind::Gauge, "c.d", &[("k8s.pod", "x")], 1.0);
        let want = "# TYPE a gauge\na NaN\n# TYPE b gauge\nb{pod=\"a\\\"b\\\\c\\nd\"} 1.5\nb{pod=\"x\",zone=\"y\"} -Inf\n{\"c.d\",\"k8s.pod\"=\"x\"} 1\n";
        assert_eq!(page.into_text(), want);
    }
}
