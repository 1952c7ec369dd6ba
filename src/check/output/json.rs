//! JSON output, for your own programs.

use language::terminal;
use serde_json::{Value, json};

use crate::{
    check::{Diagnostic, Report, SourceFile},
    rule::Severity,
};

/// One object: `diagnostics`, each with `file`, `line`, `column`, `endColumn` (behind the last character, where it is known),
/// `severity`, `reason`, `object`, `path`, `message` and `suggestion`; and a `summary` of numbers. A file that cannot be read has a
/// finding, and is not counted among the `files`.
pub fn json(report: &Report, files: &[SourceFile]) -> String {
    let diagnostics = report.diagnostics.iter().map(|diagnostic| one(diagnostic, files));
    let report = json!({
        "diagnostics": diagnostics.collect::<Vec<_>>(),
        "summary": {
            "errors": report.count(Severity::Error),
            "warnings": report.count(Severity::Warning),
            "notes": report.count(Severity::Note),
            "rules": report.rules,
            "backends": report.backends,
            "files": files.len().saturating_sub(report.unread),
            "unread": report.unread,
        },
    });
    terminal::json(&format!("{report:#}\n"))
}

fn one(diagnostic: &Diagnostic, files: &[SourceFile]) -> Value {
    let problem = &diagnostic.problem;
    let mut object = json!({
        "file": files.get(diagnostic.file).map(|file| file.name.as_str()),
        "line": diagnostic.start.line,
        "column": diagnostic.start.column,
        "endColumn": diagnostic.end.map(|end| end.column),
        "severity": diagnostic.severity.as_str(),
        "reason": problem.reason.code(),
        "object": diagnostic.object,
        "path": (!problem.path.is_empty()).then_some(&problem.path),
        "message": problem.message,
        "suggestion": problem.suggestion,
    });
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}
