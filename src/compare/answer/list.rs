//! List of values as JSON: what is read of it, and how much at most.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Item, Values};
use language::quantity::Quantity;

/// The most values that are read of one answer.
const ITEMS: usize = 20_000;
/// The most labels of one external value.
const LABELS: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    items: Option<Items>,
}

/// At most [`ITEMS`] of them.
struct Items(Vec<Raw>);

/// A value of either API, in any of its versions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    described_object: Described,
    metric: Option<Metric>,
    #[serde(default)]
    metric_name: String,
    #[serde(default)]
    metric_labels: Labels,
    #[serde(default, deserialize_with = "selector")]
    selector: Option<String>,
    window_seconds: Option<i64>,
    window: Option<i64>,
    value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Described {
    kind: String,
    namespace: String,
    name: String,
    api_version: String,
}

#[derive(Deserialize)]
struct Metric {
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "selector")]
    selector: Option<String>,
}

/// `{queue="a"}`, in the order of names.
struct Labels(String);

/// Reads the body of an answer.
pub(super) fn read(body: &[u8]) -> Result<Values, String> {
    let list: List = serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            format!("it is not a valid list of values: {error}")
        } else {
            "the body is not valid JSON".to_owned()
        }
    })?;
    let items = list.items.ok_or("it has no list `items`")?;
    let external = list.kind == "ExternalMetricValueList";
    let items = items.0.into_iter().map(|raw| raw.item(external));
    Ok(Values {
        list: format!("{} of {}", list.kind, list.api_version),
        external,
        items: items.collect::<Result<_, _>>()?,
    })
}

// === impl Raw ===

impl Raw {
    fn item(self, external: bool) -> Result<Item, String> {
        let mut rest = BTreeMap::new();
        // `window` and `windowSeconds` are the same thing in different versions.
        if let Some(seconds) = self.window_seconds.or(self.window) {
            rest.insert("window", format!("{seconds} s"));
        }
        if external {
            rest.insert("metric name", self.metric_name);
            return value(self.value, self.metric_labels.0, rest);
        }
        let object = self.described_object;
        let of = match object.namespace.as_str() {
            "" => format!("{} {}", object.kind, object.name),
            namespace => format!("{} {namespace}/{}", object.kind, object.name),
        };
        // v1beta1 has the name and selector beside the value, v1beta2 in `metric`.
        let (name, selector) = match self.metric {
            Some(metric) => (metric.name, metric.selector),
            None => (self.metric_name, self.selector),
        };
        rest.insert("metric name", name);
        rest.insert("object's apiVersion", object.api_version);
        if let Some(selector) = selector {
            rest.insert("selector", selector);
        }
        value(self.value, of, rest)
    }
}

fn value(text: Option<String>, of: String, rest: BTreeMap<&'static str, String>) -> Result<Item, String> {
    let text = text.ok_or_else(|| format!("the item of {of} has no value"))?;
    let quantity =
        Quantity::parse(&text).map_err(|_| format!("the value {text:?} of {of} is not a quantity"))?;
    Ok(Item {
        of,
        milli: quantity.to_milli().get(),
        canonical: quantity.to_string(),
        text,
        rest,
    })
}

/// Read as what it has to be, and kept as text.
fn selector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let selector = Option::<LabelSelector>::deserialize(deserializer)?;
    selector
        .map(|selector| serde_json::to_string(&selector).map_err(D::Error::custom))
        .transpose()
}

// === impl Items ===

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Items;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() >= ITEMS {
                        return Err(A::Error::custom(format!("it has more than {ITEMS} values")));
                    }
                    items.push(item);
                }
                Ok(Items(items))
            }
        }

        deserializer.deserialize_seq(Reader)
    }
}

// === impl Labels ===

impl Default for Labels {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_unit<E>(self) -> Result<Labels, E> {
                Ok(Labels::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut labels: BTreeMap<String, String> = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if labels.len() >= LABELS {
                        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Err(A::Error::custom(format!("a value has more than {LABELS} labels")));
                    }
                    labels.insert(name, value);
                }
                let pairs: Vec<String> = labels
                    .iter()
                    .map(|(name, value)| format!("{name}={value:?}"))
                    .collect();
                Ok(Labels(format!("{{{}}}", pairs.join(","))))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_peer_was_held_in_memory_whole() {
        // 56 MB of these took 7.7 GB.
        let many = format!(r#"{{"items":[{}]}}"#, vec![r#"{"value":"1"}"#; 100_000].join(","));
        let error = read(many.as_bytes()).unwrap_err();
        assert!(error.contains("more than 20000 values"), "{error}");
        let labels: Vec<String> = (0..1000).map(|number| format!(r#""l{number}":"""#)).collect();
        let wide = format!(
            r#"{{"kind":"ExternalMetricValueList","items":[{{"value":"1","metricLabels":{{{}}}}}]}}"#,
            labels.join(",")
        );
        let error = read(wide.as_bytes()).unwrap_err();
        assert!(error.contains("more than 256 labels"), "{error}");
        // Neither is a field that nobody reads, however deep.
        let deep = format!(
            r#"{{"items":[],"x":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(read(deep.as_bytes()).is_ok_and(|values| values.items.is_empty()));
        let selector = format!(r#"{{"items":[{{"value":"1","selector":{}"#, "[".repeat(100_000));
        assert!(read(selector.as_bytes()).is_err());
    }

    #[test]
    fn what_is_not_a_list_says_what_it_is() {
        for (body, expected) in [
            ("<html>", "the body is not valid JSON"),
            (r#"{"items":"#, "the body is not valid JSON"),
            ("{}", "it has no list `items`"),
            (r#"{"items":null}"#, "it has no list `items`"),
            (r#"{"items":{}}"#, "it is not a valid list of values"),
            (r#"{"items":[{"value":1}]}"#, "it is not a valid list of values"),
            (r#"{"items":[{}]}"#, "has no value"),
            (r#"{"items":[{"value":"x"}]}"#, "is not a quantity"),
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }
}
