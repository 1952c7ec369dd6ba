//! prometheus-adapter's flags (`cmd/adapter/adapter.go`), and the `MetricBackend` that says the same.

mod backend;

use super::Part;
use crate::{
    api::metric_backend::CaRefKind,
    document::Position,
    import::{Note, Object, Place, Severity},
    reason::Reason,
};

/// More volumes, and mounts of them, are not looked at: each mount is looked for in all volumes.
pub(super) const MAX_VOLUMES: usize = 500;

/// The flags of one adapter.
#[derive(Clone, Debug)]
pub(super) struct Flags {
    part: Part,
    given: Vec<Flag>,
    mounts: Vec<Mount>,
}

/// One flag, and the field that it is written in.
#[derive(Clone, Debug)]
struct Flag {
    name: String,
    value: Option<String>,
    field: String,
}

/// Where files of the container come from.
#[derive(Clone, Debug)]
struct Mount {
    path: String,
    kind: CaRefKind,
    object: String,
}

/// The backend of the first adapter; several would need rules that name one.
pub(super) fn backend(found: &[Flags], notes: &mut Vec<Note>) -> Option<Object> {
    let (first, others) = found.split_first()?;
    for other in others
        .iter()
        .filter(|other| other.get("prometheus-url") != first.get("prometheus-url"))
    {
        let place = other.place("prometheus-url");
        let message = "these flags belong to another prometheus-adapter, but only those of the first one become a \
                       MetricBackend: import each by itself";
        notes.push(Note::new(
            Severity::Unsupported,
            place,
            Reason::Unsupported,
            message,
        ));
    }
    let backend = backend::backend(first, notes)?;
    Some(Object::MetricBackend(Box::new(backend)))
}

// === impl Flags ===

impl Flags {
    /// None yet, of the container or values at `part`.
    pub(super) fn new(part: Part) -> Self {
        Self {
            part,
            given: Vec::new(),
            mounts: Vec::new(),
        }
    }

    /// One that is written in another form.
    pub(super) fn set(&mut self, name: &str, value: &str, field: &str) {
        self.given.push(Flag {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            field: field.to_owned(),
        });
    }

    /// One argument: `--name=value`, `--name`, the value of the one before, or a shell's command line with such.
    pub(super) fn argument(&mut self, text: &str, field: &str) {
        let text = text.trim();
        if !text.starts_with('-') && text.split_whitespace().any(|word| word.starts_with("--")) {
            let words = text.split_whitespace().filter(|word| *word != "\\");
            return words.for_each(|word| self.word(&word.replace(['"', '\''], ""), field));
        }
        self.word(text, field);
    }

    fn word(&mut self, text: &str, field: &str) {
        if let Some(flag) = text.strip_prefix("--").or_else(|| text.strip_prefix('-')) {
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            self.given.push(Flag {
                name: name.to_owned(),
                value,
                field: field.to_owned(),
            });
        } else if let Some(flag) = self.given.last_mut().filter(|flag| flag.value.is_none()) {
            flag.value = Some(text.to_owned());
        }
    }

    /// Files below `path` are the keys of an object.
    pub(super) fn mount(&mut self, path: &str, kind: CaRefKind, object: &str) {
        self.mounts.push(Mount {
            path: path.trim_end_matches('/').to_owned(),
            kind,
            object: object.to_owned(),
        });
    }

    /// The mounts that values of the chart add.
    pub(super) fn mounts_of_values(&mut self) {
        let part = self.part.clone();
        let count = |field| {
            part.get(field)
                .map_or(0, |list| list.items().len())
                .min(MAX_VOLUMES)
        };
        let volumes = count("extraVolumes");
        for index in 0..count("extraVolumeMounts") {
            let mount = part.below(&format!("extraVolumeMounts[{index}]"));
            let mut found = (0..volumes).map(|index| part.below(&format!("extraVolumes[{index}]")));
            let volume = found
                .find(|volume| volume.text("name").is_some() && volume.text("name") == mount.text("name"));
            let (Some(path), Some(volume)) = (mount.text("mountPath"), volume) else {
                continue;
            };
            if let Some(object) = volume.text("secret.secretName") {
                self.mount(path, CaRefKind::Secret, object);
            } else if let Some(object) = volume.text("configMap.name") {
                self.mount(path, CaRefKind::ConfigMap, object);
            }
        }
    }

    /// Whether it is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|flag| flag.name == name)
    }

    /// The last value, which is the one that counts.
    fn get(&self, name: &str) -> Option<&str> {
        let mut flags = self.given.iter().rev();
        flags
            .find(|flag| flag.name == name)?
            .value
            .as_deref()
            .filter(|value| !value.is_empty())
    }

    /// A flag without a value, or with one that Go takes for true.
    fn is_set(&self, name: &str) -> bool {
        let mut flags = self.given.iter().rev();
        flags.find(|flag| flag.name == name).is_some_and(|flag| {
            flag.value
                .as_deref()
                .is_none_or(|value| matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True"))
        })
    }

    /// Every value of a flag that may be repeated.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.given
            .iter()
            .filter(move |flag| flag.name == name)
            .filter_map(|flag| flag.value.as_deref())
    }

    /// Where a flag stands; the whole where it is not given.
    fn place(&self, name: &str) -> Place {
        let mut flags = self.given.iter().rev();
        let field = flags
            .find(|flag| flag.name == name)
            .map_or("", |flag| flag.field.as_str());
        self.part.place(field, None::<Position>)
    }

    /// The object and the key that a file of the container comes from.
    fn source<'a>(&'a self, file: &'a str) -> Option<(CaRefKind, &'a str, &'a str)> {
        let mount = |mount: &Mount| file.strip_prefix(&mount.path)?.strip_prefix('/').map(str::len);
        let best = self
            .mounts
            .iter()
            .filter(|it| mount(it).is_some())
            .max_by_key(|it| it.path.len())?;
        let key = file
            .get(best.path.len() + 1..)
            .filter(|key| !key.is_empty() && !key.contains('/'))?;
        Some((best.kind, &best.object, key))
    }
}
