use std::{collections::BTreeSet, fs, path::Path};

use super::*;

#[test]
fn a_reason_is_the_index_of_its_row() {
    for (index, row) in TABLE.iter().enumerate() {
        assert_eq!(row.reason as usize, index, "{}", row.code);
        assert_eq!(row.reason.code(), row.code);
    }
    assert_eq!(
        Reason::all().map(Reason::code).collect::<BTreeSet<_>>().len(),
        TABLE.len()
    );
}

#[test]
fn every_reason_is_fit_for_a_condition() {
    // metav1.Condition: ^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$, CamelCase by convention
    for reason in Reason::all() {
        let code = reason.code();
        assert!(
            code.starts_with(|first: char| first.is_ascii_uppercase()),
            "{code}"
        );
        assert!(code.chars().all(|char| char.is_ascii_alphanumeric()), "{code}");
        assert!(
            matches!(
                reason.http_status(),
                200 | 400 | 401 | 403..=406 | 429 | 500 | 503 | 504
            ),
            "{code}"
        );
        let text = reason.text();
        assert!(
            text.ends_with('.') && !text.contains(['\n', '|']),
            "{code}: {text}"
        );
    }
}

#[test]
fn a_reason_is_its_code_on_the_wire() {
    for reason in Reason::all() {
        let json = serde_json::to_value(reason).unwrap();
        assert_eq!(json, serde_json::json!(reason.code()));
        assert_eq!(serde_json::from_value::<Reason>(json).unwrap(), reason);
        assert_eq!(reason.to_string().parse(), Ok(reason));
    }
    assert_eq!(
        "Whatever".parse::<Reason>(),
        Err(UnknownReason("Whatever".to_owned()))
    );
}

#[test]
fn docs_reasons_md_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reasons.md");
    if std::env::var_os("METRICRULE_WRITE").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, markdown()).unwrap();
    }
    let present = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        present == markdown(),
        "docs/reasons.md differs from src/reason.rs: run `make crds`"
    );
}
