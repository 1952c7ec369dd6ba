//! An answer of a metrics API, as far as an HPA's controller reads it. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::language::quantity::Quantity;

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
    /// By what they are of, in the order of the answer.
    pub items: Vec<Item>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The described object or the labels of an external value: what tells it from the others.
    pub of: String,
    /// In thousandths.
    pub milli: i64,
    /// The value as it was written.
    pub text: String,
    /// Whatever else it says, by field: the window, the selector, the metric's name, `apiVersion` of the object.
    pub rest: BTreeMap<&'static str, String>,
}

// === impl Answer ===

impl Answer {
    /// Reads a response.
    pub fn read(code: u16, body: &[u8]) -> Self {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        if code != 200 {
            let message = json.as_ref().and_then(|json| json["message"].as_str());
            let message = message.map_or_else(|| start(&String::from_utf8_lossy(body)), str::to_owned);
            return Self::Refused { code, message };
        }
        match json
            .ok_or_else(|| "the body is no JSON".to_owned())
            .and_then(|json| Values::read(&json))
        {
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

// === impl Values ===

impl Values {
    fn read(json: &Value) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let items = json["items"].as_array().ok_or("it has no list `items`")?;
        let external = json["kind"] == "ExternalMetricValueList";
        let items = items.iter().map(|item| {
            if external {
                external_item(item)
            } else {
                custom_item(item)
            }
        });
        Ok(Self {
            list: format!("{} of {}", text(&json["kind"]), text(&json["apiVersion"])),
            items: items.collect::<Result<_, _>>()?,
        })
    }
}

fn custom_item(item: &Value) -> Result<Item, String> {
    let object = &item["describedObject"];
    let field = |name: &str| object[name].as_str().unwrap_or_default();
    let of = match field("namespace") {
        "" => format!("{} {}", field("kind"), field("name")),
        namespace => format!("{} {namespace}/{}", field("kind"), field("name")),
    };
    // v1beta1 has the name and selector beside the value, v1beta2 in `metric`.
    let (name, selector) = match item.get("metric") {
        Some(metric) => (&metric["name"], &metric["selector"]),
        None => (&item["metricName"], &item["selector"]),
    };
    let mut rest = window(item);
    rest.insert("metric name", name.as_str().unwrap_or_default().to_owned());
    rest.insert("object's apiVersion", field("apiVersion").to_owned());
    if !selector.is_null() {
        rest.insert("selector", selector.to_string());
    }
    value(item, of, rest)
}

fn external_item(item: &Value) -> Result<Item, String> {
    let labels = item["metricLabels"].as_object();
    let labels = labels.into_iter().flatten();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={:?}", value.as_str().unwrap_or_default()))
        .collect();
    let mut rest = window(item);
    rest.insert(
        "metric name",
        item["metricName"].as_str().unwrap_or_default().to_owned(),
    );
    value(item, format!("{{{}}}", labels.join(",")), rest)
}

/// `window` and `windowSeconds` are the same thing in different versions.
fn window(item: &Value) -> BTreeMap<&'static str, String> {
    let window = item.get("windowSeconds").or_else(|| item.get("window"));
    let seconds = window.and_then(Value::as_i64);
    seconds
        .map(|seconds| ("window", format!("{seconds} s")))
        .into_iter()
        .collect()
}

fn value(item: &Value, of: String, rest: BTreeMap<&'static str, String>) -> Result<Item, String> {
    let text = item["value"]
        .as_str()
        .ok_or_else(|| format!("the item of {of} has no value"))?;
    let quantity = Quantity::parse(text).map_err(|_| format!("the value {text:?} of {of} is no quantity"))?;
    Ok(Item {
        of,
        milli: quantity.to_milli().get(),
        text: text.to_owned(),
        rest,
    })
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
