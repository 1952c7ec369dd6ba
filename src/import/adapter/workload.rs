//! Workload of the adapter: a Pod, or what makes Pods.

use super::{
    Part,
    flags::{Flags, MAX_VOLUMES},
};
use crate::api::metric_backend::CaRefKind;

/// Flags by which the adapter is told from other programs.
const OWN: [&str; 3] = ["prometheus-url", "metrics-relist-interval", "metrics-max-age"];

/// The flags of the adapter's container; `None` where there is none.
pub(super) fn flags(part: &Part) -> Option<Flags> {
    let pod = [
        "spec.template.spec",
        "spec.jobTemplate.spec.template.spec",
        "spec",
    ];
    let pod = pod
        .into_iter()
        .map(|path| part.below(path))
        .find(|pod| pod.get("containers").is_some())?;
    let count = pod.get("containers")?.items().len();
    (0..count)
        .map(|index| pod.below(&format!("containers[{index}]")))
        .find_map(|container| {
            let mut flags = Flags::new(container.clone());
            for list in ["command", "args"] {
                for index in 0..container.get(list).map_or(0, |list| list.items().len()) {
                    let field = format!("{list}[{index}]");
                    if let Some(text) = container.text(&field) {
                        flags.argument(text, &field);
                    }
                }
            }
            let image = container.text("image").unwrap_or_default();
            let known = image.contains("prometheus-adapter") || OWN.iter().any(|name| flags.has(name));
            known.then(|| {
                mounts(&pod, &container, &mut flags);
                flags
            })
        })
}

/// Which Secret or `ConfigMap` a file of the container comes from.
fn mounts(pod: &Part, container: &Part, flags: &mut Flags) {
    let count = |part: &Part, field| {
        part.get(field)
            .map_or(0, |list| list.items().len())
            .min(MAX_VOLUMES)
    };
    let volumes = count(pod, "volumes");
    for index in 0..count(container, "volumeMounts") {
        let mount = container.below(&format!("volumeMounts[{index}]"));
        let (Some(path), Some(name)) = (mount.text("mountPath"), mount.text("name")) else {
            continue;
        };
        let mut found = (0..volumes).map(|index| pod.below(&format!("volumes[{index}]")));
        let Some(volume) = found.find(|volume| volume.text("name") == Some(name)) else {
            continue;
        };
        if let Some(object) = volume.text("secret.secretName") {
            flags.mount(path, CaRefKind::Secret, object);
        } else if let Some(object) = volume.text("configMap.name") {
            flags.mount(path, CaRefKind::ConfigMap, object);
        }
    }
}
