//! Texts made from the grammar: types fit more often than not.
#![expect(
    clippy::format_push_string,
    reason = "a grammar reads best as the texts it makes, and they are short"
)]

use promql::function::Arity;
use promql::operator::Aggregation;
use promql::{Function, ValueType, Version};

use crate::random::Random;

/// A text for this version; of what only a newer one has there is a little.
pub(crate) fn text(random: &mut Random, version: Version) -> String {
    let depth = 1 + random.below(5);
    let mut generator = Generator { random, version };
    let kind = generator.kind();
    generator.expr(kind, depth)
}

struct Generator<'a> {
    random: &'a mut Random,
    version: Version,
}

const NAMES: [&str; 24] = [
    "a",
    "foo",
    "http_requests_total",
    "job:rate5m",
    ":x",
    "_",
    "A1",
    "sum",
    "Count",
    "by",
    "and",
    "OR",
    "unless",
    "offset",
    "start",
    "end",
    "step",
    "range",
    "fill",
    "anchored",
    "smoothed",
    "max_of",
    "infinity",
    "nano",
];
const LABELS: [&str; 16] = [
    "a",
    "pod",
    "__name__",
    "le",
    "on",
    "by",
    "bool",
    "sum",
    "step",
    "\"a.b\"",
    "'é ü'",
    "`x y`",
    "\"\\u00e9\"",
    "offset",
    "c:d",
    "group_left",
];
const STRINGS: [&str; 20] = [
    "\"\"",
    "\"x\"",
    "'y'",
    "`z`",
    "\"a\\\"b\"",
    "'a\\'b'",
    "`a\\b`",
    "\"\\x41\\101\\u0041\\U00000041\"",
    "\"é😀\"",
    "'\\n\\t\\\\'",
    "\"}\"",
    "\"# c\"",
    "`multi\nline`",
    "\"\\xc3\\xa9\"",
    "\"$1\"",
    "'\\xff'",
    "\".*\"",
    "\"\\q\"",
    "'a\"b'",
    "\"a'b\"",
];
const PATTERNS: [&str; 20] = [
    "\".*\"",
    "\".+\"",
    "\"a|b\"",
    "'5..'",
    "`\\d+`",
    "\"(a|b)?c*\"",
    "\"[^a-z]\"",
    "`\\Qa.b\\E`",
    "\"(?i)x\"",
    "\"a{2,3}\"",
    "\"\"",
    "\"(\"",
    "\"(?=x)\"",
    "\"a**\"",
    "`\\pL`",
    "`[[:alpha:]]`",
    "\"(?P<n>x)\"",
    "`\\b`",
    "\"x{1001}\"",
    "\"é\"",
];
const NUMBERS: [&str; 30] = [
    "0",
    "1",
    "2",
    "3.5",
    ".5",
    "5.",
    "1e3",
    "1E-2",
    "0x1F",
    "0X_aB",
    "017",
    "08",
    "1_000",
    "Inf",
    "nan",
    "5m",
    "1h30m",
    "1d",
    "2w",
    "1y",
    "100ms",
    "0s",
    "1e400",
    "99999999999999999999",
    "0x",
    "1.5h",
    "1m1h",
    "3",
    "7",
    "-0",
];
const DURATIONS: [&str; 18] = [
    "5m",
    "1h",
    "30s",
    "1d12h",
    "100ms",
    "1w",
    "1y",
    "300",
    "1.5",
    "0",
    "0s",
    "0.0001",
    "1e3",
    "0x10",
    "300y",
    "1e10",
    "9223372036",
    "5m5m",
];

impl Generator<'_> {
    fn kind(&mut self) -> ValueType {
        match self.random.below(12) {
            0 => ValueType::Scalar,
            1 => ValueType::Matrix,
            2 => ValueType::String,
            _ => ValueType::Vector,
        }
    }

    fn expr(&mut self, kind: ValueType, depth: usize) -> String {
        // Once in a while the wrong type.
        let kind = if self.random.once_in(60) {
            self.kind()
        } else {
            kind
        };
        if depth > 0 && self.random.once_in(10) {
            return format!("({}{})", self.blank(), self.expr(kind, depth - 1));
        }
        match kind {
            ValueType::Vector => self.vector(depth),
            ValueType::Scalar => self.scalar(depth),
            ValueType::Matrix => self.matrix(depth),
            ValueType::String => self.random.pick(&STRINGS).to_owned(),
        }
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.timed_selector();
        }
        match self.random.below(10) {
            0 => self.timed_selector(),
            1 | 2 => self.aggregate(depth),
            3..=5 => self.call(ValueType::Vector, depth),
            6 => {
                let sign = self.random.pick(&["-", "+", "- -"]).to_owned();
                format!("{sign}{}", self.expr(ValueType::Vector, depth - 1))
            }
            _ => {
                let (left, right) = match self.random.below(4) {
                    0 => (ValueType::Scalar, ValueType::Vector),
                    1 => (ValueType::Vector, ValueType::Scalar),
                    _ => (ValueType::Vector, ValueType::Vector),
                };
                self.binary(left, right, depth)
            }
        }
    }

    fn scalar(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.once_in(3) {
            return self.random.pick(&NUMBERS).to_owned();
        }
        match self.random.below(4) {
            0 => format!("-{}", self.expr(ValueType::Scalar, depth - 1)),
            1 => self.call(ValueType::Scalar, depth),
            _ => self.binary(ValueType::Scalar, ValueType::Scalar, depth),
        }
    }

    fn matrix(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.once_in(2) {
            let (selector, range) = (self.selector(), self.duration(2));
            return format!("{selector}{}[{range}]{}", self.blank(), self.time());
        }
        let inner = if self.random.once_in(3) {
            self.expr(ValueType::Vector, 0)
        } else {
            format!("({})", self.expr(ValueType::Vector, depth - 1))
        };
        let step = if self.random.once_in(2) {
            self.duration(1)
        } else {
            String::new()
        };
        format!("{inner}[{}:{step}]{}", self.duration(2), self.time())
    }

    fn binary(&mut self, left: ValueType, right: ValueType, depth: usize) -> String {
        let operators = [
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "and", "or", "unless",
            "OR", "</", ">/", "+", "^", "==",
        ];
        let operator = self.random.pick(&operators).to_owned();
        let mut modifiers = String::new();
        if self
            .random
            .once_in(if operator.contains(['=', '<', '>']) { 2 } else { 30 })
        {
            modifiers += " bool";
        }
        let rows = left == ValueType::Vector && right == ValueType::Vector;
        if self.random.once_in(if rows { 3 } else { 20 }) {
            modifiers += &format!(
                " {} {}",
                self.random.pick(&["on", "ignoring", "ON"]),
                self.labels()
            );
            if self.random.once_in(3) {
                modifiers += &format!(" {} ", self.random.pick(&["group_left", "group_right"]));
                if self.random.once_in(2) {
                    modifiers += &self.labels();
                }
            }
        }
        if rows && self.random.once_in(12) {
            for _ in 0..=self.random.below(2) {
                let word = self.random.pick(&["fill", "fill_left", "fill_right"]).to_owned();
                modifiers += &format!(" {word} ({})", self.random.pick(&["1", "-2", "Inf", "5m", "+3"]));
            }
        }
        let (left, right) = (self.expr(left, depth - 1), self.expr(right, depth - 1));
        format!("{left}{}{operator}{modifiers} {right}", self.blank())
    }

    fn aggregate(&mut self, depth: usize) -> String {
        let operator = Aggregation::ALL[self.random.below(Aggregation::ALL.len())];
        let mut arguments = String::new();
        if operator.has_parameter() {
            let kind = if operator == Aggregation::CountValues {
                ValueType::String
            } else {
                ValueType::Scalar
            };
            arguments = format!("{}, ", self.expr(kind, depth - 1));
        }
        arguments += &self.expr(ValueType::Vector, depth - 1);
        let name = if self.random.once_in(8) {
            operator.as_str().to_uppercase()
        } else {
            operator.to_string()
        };
        match self.random.below(4) {
            0 => format!(
                "{name} {} {}({arguments})",
                self.random.pick(&["by", "without"]),
                self.labels()
            ),
            1 => format!(
                "{name}({arguments}) {}{}",
                self.random.pick(&["by ", "without", "BY"]),
                self.labels()
            ),
            _ => format!("{name}{}({arguments})", self.blank()),
        }
    }

    fn call(&mut self, kind: ValueType, depth: usize) -> String {
        let all = Function::all();
        let function = loop {
            let function = &all[self.random.below(all.len())];
            if function.result == kind && (function.is_of(self.version) || self.random.once_in(20)) {
                break function;
            }
        };
        let (least, most) = function.argument_counts();
        let mut count = least + self.random.below(most.unwrap_or(least + 3) - least + 1);
        if self.random.once_in(40) {
            count += 1;
        }
        let arguments: Vec<String> = (0..count)
            .map(|index| {
                let kind = function.argument(index).unwrap_or(ValueType::Scalar);
                if function.name == "info" && index == 1 && function.arity == Arity::Optional(1) {
                    return self.braces();
                }
                self.expr(kind, depth - 1)
            })
            .collect();
        format!("{}{}({})", function.name, self.blank(), arguments.join(","))
    }

    fn timed_selector(&mut self) -> String {
        format!("{}{}", self.selector(), self.time())
    }

    fn selector(&mut self) -> String {
        let name = self.random.pick(&NAMES).to_owned();
        match self.random.below(4) {
            0 => self.braces(),
            1 => format!("{name}{}", self.braces()),
            _ => name,
        }
    }

    fn braces(&mut self) -> String {
        let mut matchers: Vec<String> = Vec::new();
        for _ in 0..self.random.below(4) {
            let label = self.random.pick(&LABELS).to_owned();
            if label.starts_with(['"', '\'', '`']) && self.random.once_in(3) {
                matchers.push(label);
                continue;
            }
            let (operator, value) = match self.random.below(5) {
                0 => ("=~", self.random.pick(&PATTERNS)),
                1 => ("!~", self.random.pick(&PATTERNS)),
                2 => ("!=", self.random.pick(&STRINGS)),
                _ => ("=", self.random.pick(&STRINGS)),
            };
            matchers.push(format!("{label}{}{operator}{value}", self.blank()));
        }
        let comma = if !matchers.is_empty() && self.random.once_in(8) {
            ","
        } else {
            ""
        };
        format!("{{{}{comma}}}", matchers.join(","))
    }

    fn labels(&mut self) -> String {
        let labels: Vec<&str> = (0..self.random.below(4))
            .map(|_| self.random.pick(&LABELS))
            .collect();
        let comma = if !labels.is_empty() && self.random.once_in(8) {
            ","
        } else {
            ""
        };
        format!("({}{comma})", labels.join(", "))
    }

    fn time(&mut self) -> String {
        let mut time = String::new();
        while self.random.once_in(3) {
            match self.random.below(6) {
                0 | 1 => {
                    let sign = self.random.pick(&["", "", "-", "+", "--"]).to_owned();
                    time += &format!(" offset {sign}{}", self.duration(2));
                }
                2 => {
                    let sign = self.random.pick(&["", "-"]).to_owned();
                    time += &format!(" @ {sign}{}", self.random.pick(&NUMBERS));
                }
                3 => {
                    time += self
                        .random
                        .pick(&[" @ start()", " @ end ( )", " @end()", " @ 1609746000.123"]);
                }
                4 => time += self.random.pick(&[" anchored", " smoothed"]),
                _ => time += self.blank().as_str(),
            }
        }
        time
    }

    fn duration(&mut self, depth: usize) -> String {
        if depth == 0 || !self.random.once_in(4) {
            return self.random.pick(&DURATIONS).to_owned();
        }
        let (left, right) = (self.duration(depth - 1), self.duration(depth - 1));
        match self.random.below(8) {
            0 => format!("({left})"),
            1 => format!("-{left}"),
            2 => "step()".to_owned(),
            3 => "range()".to_owned(),
            4 => format!(
                "{}({left},{right})",
                self.random.pick(&["max_of", "min_of", "MAX_OF"])
            ),
            _ => format!(
                "{left}{}{right}",
                self.random.pick(&["+", " - ", "*", "/", "%", "^"])
            ),
        }
    }

    /// What may stand between two tokens.
    fn blank(&mut self) -> String {
        match self.random.below(12) {
            0 => "\n\t".to_owned(),
            1 => " # a ) comment \" with {\n".to_owned(),
            2 => "\r\n".to_owned(),
            3 => String::new(),
            _ => " ".to_owned(),
        }
    }
}
