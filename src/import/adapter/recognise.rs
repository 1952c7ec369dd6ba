//! Recognition of documents by their content.

mod inline;

use std::rc::Rc;

use super::{
    Part, chart,
    config::{self, RawRule},
    flags::Flags,
    release, workload,
};
use crate::{
    document::{Document, Node, SourceFile, Value},
    import::{Import, Note, Place, Severity, autoscaler},
    reason::Reason,
};

/// More objects than this are not made: those of some 20,000 `ScaledObject`s.
const MOST: usize = 50_000;
/// How deep values may stand inside those of other charts.
const MAX_DEPTH: usize = 4;
/// The key of the chart in the values of a chart that has it as a part.
const SUBCHART: &str = "prometheus-adapter";
/// Keys of a `ConfigMap` by which Flux finds values.
const VALUES: [&str; 2] = ["values.yaml", "values.yml"];
/// The documents of a longer text are not in memory all at once: it is read twice, since nothing is made of one that is no YAML.
const AT_ONCE: usize = 1 << 20;
const ONLY_FIRST: &str = "prometheus-adapter reads only the first document of its configuration";

/// What the files hold.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rules: Vec<RawRule>,
    pub(super) flags: Vec<Flags>,
    /// Whether the present file had something that was understood.
    understood: bool,
    /// Whether it was said that there is too much.
    full: bool,
}

/// Reads one file.
pub(super) fn file(file: &SourceFile, found: &mut Found, import: &mut Import) {
    let name: Rc<str> = file.name.as_str().into();
    found.understood = false;
    let whole = |position| Place {
        file: file.name.clone(),
        position,
    };
    let large = file.text.len() > AT_ONCE;
    let read = if large {
        Document::parse_each(&file.text, |_| {}).map(|()| Vec::new())
    } else {
        Document::parse_stream(&file.text)
    };
    let documents = match read {
        Ok(documents) => documents,
        Err(error) => {
            let place = whole(Some(error.position));
            match Document::parse_first(&file.text) {
                Ok(Some(first)) if is_bare(&first.root) => {
                    let message = format!("{ONLY_FIRST}; the rest is not YAML: {error}");
                    import
                        .notes
                        .push(Note::new(Severity::Warning, place, Reason::Ineffective, message));
                    vec![first]
                }
                _ => {
                    let message = format!("not YAML: {error}");
                    return import.notes.push(Note::new(
                        Severity::Error,
                        place,
                        Reason::Undecodable,
                        message,
                    ));
                }
            }
        }
    };
    let (mut empty, mut bare) = (true, false);
    let take = |document: Document| {
        empty = false;
        let part = Part::whole(&name, document);
        let another = part.node().is_some_and(is_bare);
        if bare && another {
            let note = Note::new(
                Severity::Warning,
                part.place("", None),
                Reason::Ineffective,
                ONLY_FIRST,
            );
            return import.notes.push(note);
        }
        bare |= another;
        found.document(&part, import);
    };
    if large && documents.is_empty() {
        // It was read to the end before.
        let _ = Document::parse_each(&file.text, take);
    } else {
        documents.into_iter().for_each(take);
    }
    if empty {
        let note = Note::new(
            Severity::Warning,
            whole(None),
            Reason::Imported,
            "the file is empty",
        );
        import.notes.push(note);
    } else if !found.understood && !import.notes.iter().any(|note| note.place.file == file.name) {
        let message = "the input is none of these: a configuration of prometheus-adapter, its ConfigMap, its \
                       Deployment, values of its chart, a ScaledObject of KEDA, an HPA of kube-metrics-adapter";
        let note = Note::new(Severity::Warning, whole(None), Reason::Imported, message);
        import.notes.push(note);
    }
}

// === impl Found ===

impl Found {
    fn document(&mut self, part: &Part, import: &mut Import) {
        let Some(root) = part.node() else { return };
        if self.is_full(part, import) {
            return;
        }
        if root.get("kind").is_some() && root.get("apiVersion").is_some() {
            return self.object(part, import);
        }
        if !matches!(root.value, Value::Mapping(_)) {
            let message = format!(
                "expected a configuration, a Kubernetes object or values of the chart, not a {}",
                root.kind()
            );
            return refuse(part, root, message, import);
        }
        self.mapping(part, false, import);
    }

    /// Whether there are as many rules and objects as one import makes; says so once.
    fn is_full(&mut self, part: &Part, import: &mut Import) -> bool {
        let full = self.rules.len() + import.objects.len() >= MOST;
        if full && !self.full {
            let message = format!(
                "more than {MOST} objects: this object and those after it were left out; import fewer files or namespaces at once"
            );
            let place = part.place("", None);
            let note = Note::new(Severity::Error, place, Reason::Unsupported, message);
            import.notes.push(note);
        }
        self.full |= full;
        full
    }

    /// A Kubernetes object.
    fn object(&mut self, part: &Part, import: &mut Import) {
        let Some(root) = part.node() else { return };
        match part.text("kind").unwrap_or_default() {
            "ConfigMap" => self.config_map(part, import),
            "Secret" if part.text("type") == Some("helm.sh/release.v1") => self.release(part, import),
            "HelmRelease" => inline::release(self, part, import),
            "Application" => inline::application(self, part, import),
            _ if root.get("items").is_some() => {
                for index in 0..part.get("items").map_or(0, |items| items.items().len()) {
                    if self.is_full(part, import) {
                        return;
                    }
                    self.object(&part.below(&format!("items[{index}]")), import);
                }
            }
            _ if autoscaler(&part.document.part(root), &part.file, import) => self.understood = true,
            _ => {
                if let Some(flags) = workload::flags(part) {
                    self.understood = true;
                    self.flags.push(flags);
                }
            }
        }
    }

    /// Every key whose text is a configuration, whatever it is called.
    fn config_map(&mut self, part: &Part, import: &mut Import) {
        let Some(data) = part.get("data") else { return };
        for (key, node) in data.entries() {
            let name = key.text().unwrap_or_default();
            let expected = looks_like_rules(node, name);
            let documents = match part.document.parse_nested(node) {
                Ok(documents) => documents,
                Err(error) if expected => {
                    let place = Place {
                        file: part.file.to_string(),
                        position: Some(error.position),
                    };
                    let message = format!("not YAML: {error}");
                    let note = Note::new(Severity::Error, place, Reason::Undecodable, message);
                    import.notes.push(note);
                    continue;
                }
                Err(_) => continue,
            };
            let mut documents = documents.into_iter();
            let Some(first) = documents.next() else { continue };
            let config = Part::whole(&part.file, first);
            let Some(root) = config.node() else { continue };
            if is_config(root) {
                self.mapping(&config, !VALUES.contains(&name), import);
                if let Some(second) = documents.next() {
                    let second = Part::whole(&part.file, second);
                    let place = second.place("", None);
                    let note = Note::new(Severity::Warning, place, Reason::Ineffective, ONLY_FIRST);
                    import.notes.push(note);
                }
            } else if root.get(SUBCHART).is_some() {
                self.values(&config, import);
            } else if expected {
                let message = match root.value {
                    Value::Mapping(_) => {
                        "prometheus-adapter reads rules, externalRules and resourceRules, but this file has none of \
                         them"
                            .to_owned()
                    }
                    _ => format!(
                        "prometheus-adapter's configuration must be a mapping, not a {}",
                        root.kind()
                    ),
                };
                refuse(&config, root, message, import);
            }
        }
    }

    /// Configuration or values; inside a `ConfigMap` only the former is loaded.
    fn mapping(&mut self, part: &Part, in_config_map: bool, import: &mut Import) {
        let Some(root) = part.node() else { return };
        if chart::is_values(root) {
            if in_config_map {
                let message = "these are values of the chart (rules.custom, rules.external), and import reads them \
                               as such; prometheus-adapter does not start with them, because its own file has \
                               lists: rules, externalRules";
                let at = root.key("rules").unwrap_or(root);
                refuse(part, at, message.to_owned(), import);
            }
            self.understood = true;
            return chart::read(
                part,
                in_config_map,
                &mut self.rules,
                &mut self.flags,
                &mut import.notes,
            );
        }
        if root.get(SUBCHART).is_some() || !is_config(root) {
            return self.values(part, import);
        }
        self.understood = true;
        match part.document.structured(&["overrides"]) {
            Ok(document) => config::read(
                &Part::whole(&part.file, document),
                &mut self.rules,
                &mut import.notes,
            ),
            Err(error) => {
                let place = Place {
                    file: part.file.to_string(),
                    position: Some(error.position),
                };
                let note = Note::new(Severity::Error, place, Reason::Undecodable, error.message);
                import.notes.push(note);
            }
        }
    }

    /// Values of a chart that may have the adapter's as a part of it.
    fn values(&mut self, part: &Part, import: &mut Import) {
        self.subchart(part, MAX_DEPTH, import);
    }

    fn subchart(&mut self, part: &Part, depth: usize, import: &mut Import) {
        let Some(node) = part.node().filter(|_| depth > 0) else {
            return;
        };
        // Further down, an address of Prometheus may be that of any program.
        if depth == MAX_DEPTH && chart::is_values(node) || chart::has_rules(node) {
            return self.chart(part, import);
        }
        for (key, value) in node.entries() {
            let Some(name) = key.text() else { continue };
            let below = part.below(&format!("[{name}]"));
            if name == SUBCHART {
                let switch = value
                    .get("enabled")
                    .filter(|switch| switch.text() == Some("false"));
                if let Some(switch) = switch {
                    let message = "the chart installs no prometheus-adapter while this is false; import converts its \
                                   configuration anyway";
                    let place = part.place_of(switch);
                    let said = Note::new(Severity::Warning, place, Reason::Ineffective, message);
                    import.notes.push(said);
                }
                self.chart(&below, import);
            } else if matches!(value.value, Value::Mapping(_)) && name != "global" {
                self.subchart(&below, depth - 1, import);
            }
        }
    }

    /// Values of the adapter's own chart.
    fn chart(&mut self, part: &Part, import: &mut Import) {
        self.understood = true;
        chart::read(part, false, &mut self.rules, &mut self.flags, &mut import.notes);
    }

    fn release(&mut self, part: &Part, import: &mut Import) {
        let Some(data) = part.get("data.release") else {
            return;
        };
        // Helm keeps the former revisions beside the one that runs.
        let status = part
            .node()
            .and_then(|node| node.get("metadata")?.get("labels")?.get("status"));
        if let Some(status) = status.filter(|status| status.text() != Some("deployed")) {
            self.understood = true;
            let message = "this revision of the release is not the deployed one; it was left out";
            let place = part.place_of(status);
            return import
                .notes
                .push(Note::new(Severity::Info, place, Reason::Ineffective, message));
        }
        match release::from_secret(data.text().unwrap_or_default().as_bytes()) {
            Ok(text) => {
                let inner = SourceFile {
                    name: format!("{} (the values of the release)", part.file),
                    text,
                };
                let before = std::mem::take(&mut self.understood);
                file(&inner, self, import);
                self.understood |= before;
            }
            Err(error) => refuse(part, data, error.to_string(), import),
        }
    }
}

/// Whether some key is one of the configuration's, or nearly so.
fn is_config(root: &Node) -> bool {
    let keys = root.entries().iter().filter_map(|(key, _)| key.text());
    let mut keys = keys.filter(|key| config::closest(key, &config::KEYS).is_some());
    keys.next().is_some()
}

/// Whether a document is the file that the adapter reads, not an object or values that hold it.
fn is_bare(root: &Node) -> bool {
    let object = root.get("kind").is_some() && root.get("apiVersion").is_some();
    !object && !chart::is_values(root) && root.get(SUBCHART).is_none() && is_config(root)
}

/// Whether the value of a key of a `ConfigMap` was meant to be a configuration, even if it is none.
fn looks_like_rules(node: &Node, key: &str) -> bool {
    node.text().is_some_and(|text| {
        text.contains("seriesQuery") || (key == "config.yaml" && text.to_lowercase().contains("rules"))
    })
}

fn refuse(part: &Part, at: &Node, message: String, import: &mut Import) {
    import.notes.push(Note::new(
        Severity::Error,
        part.place_of(at),
        Reason::Undecodable,
        message,
    ));
}
