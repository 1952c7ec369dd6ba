//! Fixtures: Go's verdicts, for the tests.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

/// A fixture: of `tests/fixtures` of the workspace, or of the folder `METRICRULE_FIXTURES` names (`make fixtures SEED=…` writes
/// one).
pub(crate) fn read<T: DeserializeOwned>(name: &str) -> T {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
    let folder = std::env::var_os("METRICRULE_FIXTURES").map_or_else(|| committed.into(), PathBuf::from);
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
