//! References of a template to its data, known before any data exist.

use std::collections::BTreeSet;

use super::Position;

/// What of its data a template uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Every use of a field, in the order of the text.
    pub fields: Vec<FieldReference>,
    /// Every read of a constant key of `.LabelValuesByName`, in the order of the text.
    pub keys: Vec<KeyReference>,
}

/// A use of a field of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldReference {
    /// Without the dot, such as `Series`.
    pub name: &'static str,
    /// Where its dot stands.
    pub position: Position,
}

/// A read of `.LabelValuesByName`, as `index .LabelValuesByName "key"` or `.LabelValuesByName.key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReference {
    /// The label.
    pub key: String,
    /// Where the `index` or the dot of the key stands.
    pub position: Position,
    /// Whether the output depends on the key whatever the data are: the read is no condition of an `if` or `with`, no
    /// argument of `and` or `or`, and stands in no branch of an `if` or `with`, no `else`, and no range over
    /// `.LabelValuesByName`. A read into a variable counts where the variable is used.
    pub unconditional: bool,
}

impl References {
    /// Where a field is used first; `name` is without the dot.
    pub fn field(&self, name: &str) -> Option<Position> {
        self.fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| field.position)
    }

    /// The keys that a request must send, each with the first read that needs it.
    pub fn required_keys(&self) -> impl Iterator<Item = &KeyReference> {
        let mut seen = BTreeSet::new();
        self.keys
            .iter()
            .filter(move |key| key.unconditional && seen.insert(key.key.as_str()))
    }
}
