//! A Prometheus that answers from made-up series: which of them a selector selects, and the rows of every query.
//!
//! A query gets one row for each known object, two for `web-1`, with values that tell rounding, NaN and sign apart. Every label
//! that can name an object holds the object's name, so whichever label the asker reads, it finds its object: what differs between
//! two askers is the text of the query and what is made of the rows. A query that asks for `"nothing"` gets no row.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql::SeriesSelector;
use serde_json::{Value, json};
use testbed::recorder::{Ask, Source};

use crate::select::{Labels, selects};

/// Names of objects, and the values of their rows.
const ROWS: [(&str, &str); 6] = [
    ("web-0", "1.0005"),
    ("web-1", "0.0009"),
    ("web-2", "NaN"),
    ("web", "2.5"),
    ("node-0", "1000000000000"),
    ("shop", "-0.5"),
];

/// Plays these series; `labels` are those that name objects, with the kind that they name.
pub(crate) fn source(series: Vec<Labels>, labels: BTreeMap<String, String>) -> Source {
    Source::Played(Arc::new(move |ask: &Ask| match ask.endpoint.as_str() {
        "series" => {
            let asked: Vec<_> = ask
                .params("match[]")
                .filter_map(|text| SeriesSelector::parse(text).ok())
                .collect();
            let found = series
                .iter()
                .filter(|one| asked.iter().any(|selector| selects(selector, one)));
            json!(found.collect::<Vec<_>>())
        }
        "query" => json!({"resultType": "vector", "result": rows(ask, &labels)}),
        _ => json!({}),
    }))
}

fn rows(ask: &Ask, labels: &BTreeMap<String, String>) -> Vec<Value> {
    if ask
        .param("query")
        .is_some_and(|query| query.contains("\"nothing\""))
    {
        return Vec::new();
    }
    let time = ask
        .param("time")
        .and_then(|time| time.parse::<f64>().ok())
        .unwrap_or_default();
    let row = |name: &str, queue: &str, value: &str| {
        let mut metric: Labels = labels
            .keys()
            .map(|label| (label.clone(), name.to_owned()))
            .collect();
        for (label, _) in labels
            .iter()
            .filter(|(_, kind)| kind.to_lowercase().trim_end_matches('s') == "namespace")
        {
            metric.insert(label.clone(), "shop".to_owned());
        }
        metric.insert("queue".to_owned(), queue.to_owned());
        json!({"metric": metric, "value": [time, value]})
    };
    let mut all = Vec::new();
    for (name, value) in ROWS {
        all.push(row(name, "orders", value));
        if name == "web-1" {
            all.push(row(name, "returns", "7"));
        }
    }
    all
}
