//! Annotations of an HPA, by the metric that each describes.

use std::{cell::Cell, collections::BTreeMap};

use crate::{document::Node, import::findings::Findings, reason::Reason};

/// What every such annotation begins with.
pub(super) const PREFIX: &str = "metric-config.";

/// The type of metric that an annotation speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Pods,
    Object,
    External,
}

/// What the annotations say of one metric.
pub(super) struct Config<'a> {
    /// `prometheus`, `json-path`, …
    pub(super) collector: &'a str,
    /// The first of them.
    pub(super) node: &'a Node,
    pub(super) per_replica: bool,
    used: Cell<bool>,
    values: BTreeMap<&'a str, &'a Node>,
}

/// What the annotations say, by the metric. Several metrics of the HPA may have one name.
pub(super) struct Configs<'a>(BTreeMap<(Kind, String), Config<'a>>);

impl<'a> Configs<'a> {
    /// Of a metric; from now on it counts as used.
    pub(super) fn of(&self, kind: Kind, metric: &str) -> Option<&Config<'a>> {
        let config = self.0.get(&(kind, metric.to_owned()))?;
        config.used.set(true);
        Some(config)
    }

    /// Those that no metric asked for.
    pub(super) fn unused(&self) -> impl Iterator<Item = &Config<'a>> {
        self.0.values().filter(|config| !config.used.get())
    }
}

impl<'a> Config<'a> {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.values.get(key).copied()
    }
}

/// Reads them as kube-metrics-adapter does: of exactly four parts and a key; the first collector of a metric wins. What it
/// passes over is reported.
pub(super) fn read<'a>(findings: &mut Findings<'a>) -> Configs<'a> {
    let document = findings.document;
    let annotations = document
        .get("metadata.annotations")
        .map_or(&[][..], Node::entries);
    let mut configs: BTreeMap<(Kind, String), Config<'a>> = BTreeMap::new();
    for (key, value) in annotations {
        let Some(text) = key.text().filter(|text| text.starts_with(PREFIX)) else {
            continue;
        };
        let Some(([_, kind, metric, collector], option)) = parts(text) else {
            let message = "it does not have the form metric-config.<type>.<metric>.<collector>/<key>, so it has no effect";
            findings.info(Reason::Ineffective, key, message);
            continue;
        };
        let kind = match kind {
            "pods" => Kind::Pods,
            "object" => Kind::Object,
            _ => Kind::External,
        };
        let config = configs.entry((kind, metric.to_owned())).or_insert(Config {
            collector,
            node: key,
            per_replica: false,
            used: Cell::new(false),
            values: BTreeMap::new(),
        });
        if config.collector != collector {
            let message = format!(
                "the metric already has the collector {:?}, so this has no effect",
                config.collector
            );
            findings.warn(Reason::Ineffective, key, message);
        } else if option == "per-replica" {
            config.per_replica = true;
        } else {
            config.values.insert(option, value);
        }
    }
    Configs(configs)
}

/// Four parts and the key.
fn parts(text: &str) -> Option<([&str; 4], &str)> {
    let (left, option) = text.split_once('/')?;
    let parts: Vec<&str> = left.split('.').collect();
    let parts = <[&str; 4]>::try_from(parts).ok()?;
    (!option.contains('/')).then_some((parts, option))
}
