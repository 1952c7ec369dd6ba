//! Values inside of what installs a chart: a `HelmRelease` of Flux, an `Application` of Argo CD.

use super::{Found, Part, SUBCHART, refuse};
use crate::{
    document::Value,
    import::{Import, Note, Place, Severity},
    reason::Reason,
};

/// What Argo CD puts over the values, or below them.
const OVER: [&str; 3] = ["parameters", "fileParameters", "valueFiles"];

/// Flux: `spec.values`, over those of `spec.valuesFrom`.
pub(super) fn release(found: &mut Found, part: &Part, import: &mut Import) {
    let own = ["spec.chart.spec.chart", "spec.chartRef.name"]
        .iter()
        .any(|field| part.text(field) == Some(SUBCHART));
    let mine = values(found, &part.below("spec.values"), own, import);
    if own || mine {
        elsewhere(found, part, "spec.valuesFrom", import);
    }
}

/// Argo CD: values as an object, or else as text.
pub(super) fn application(found: &mut Found, part: &Part, import: &mut Import) {
    let count = part
        .get("spec.sources")
        .map_or(0, |sources| sources.items().len());
    let sources = (0..count).map(|index| format!("spec.sources[{index}]"));
    for source in std::iter::once("spec.source".to_owned()).chain(sources) {
        let source = part.below(&source);
        let own = source.text("chart") == Some(SUBCHART);
        let mut mine = values(found, &source.below("helm.valuesObject"), own, import);
        if source.get("helm.valuesObject").is_none() {
            mine = text(found, &source, own, import);
        }
        if own || mine {
            for field in OVER {
                elsewhere(found, &source, &format!("helm.{field}"), import);
            }
        }
    }
}

fn text(found: &mut Found, source: &Part, own: bool, import: &mut Import) -> bool {
    let Some(node) = source.get("helm.values") else {
        return false;
    };
    match source.document.parse_nested(node) {
        // Helm, too, reads the first document only.
        Ok(documents) => documents
            .into_iter()
            .next()
            .is_some_and(|document| values(found, &Part::whole(&source.file, document), own, import)),
        Err(error) => {
            let place = Place {
                file: source.file.to_string(),
                position: Some(error.position),
            };
            let message = format!("not YAML: {error}");
            import
                .notes
                .push(Note::new(Severity::Error, place, Reason::Undecodable, message));
            false
        }
    }
}

/// Reads values, of prometheus-adapter's `own` chart or of any; whether some were the adapter's.
fn values(found: &mut Found, part: &Part, own: bool, import: &mut Import) -> bool {
    let Some(node) = part.node().filter(|node| !node.is_null()) else {
        return false;
    };
    if !matches!(node.value, Value::Mapping(_)) {
        let message = format!("values must be a mapping, not a {}", node.kind());
        refuse(part, node, message, import);
        return false;
    }
    let before = std::mem::take(&mut found.understood);
    if own {
        found.chart(part, import);
    } else {
        found.values(part, import);
    }
    let mine = found.understood;
    found.understood |= before;
    mine
}

/// Says that values are set where nothing is read.
fn elsewhere(found: &mut Found, part: &Part, field: &str, import: &mut Import) {
    let Some(node) = part.get(field).filter(|node| !node.items().is_empty()) else {
        return;
    };
    found.understood = true;
    let name = field.rsplit('.').next().unwrap_or_default();
    let message = format!(
        "{name} set values that import cannot read here: import the deployed release from the cluster \
         (--from-helm-release), or its ConfigMap and Deployment"
    );
    import.notes.push(Note::new(
        Severity::Unsupported,
        part.place_of(node),
        Reason::Unsupported,
        message,
    ));
}
