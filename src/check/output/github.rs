//! Workflow commands of GitHub Actions: annotations in a pull request
//! (<https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>).

use std::fmt::Write as _;

use language::terminal::shown;

use crate::{
    check::{Report, SourceFile},
    rule::Severity,
};

/// One command on a line for each finding.
pub fn github(report: &Report, files: &[SourceFile]) -> String {
    let mut out = String::new();
    for found in &report.diagnostics {
        let command = match found.severity {
            Severity::Note => "notice",
            severity => severity.as_str(),
        };
        let name = files.get(found.file).map_or("", |file| file.name.as_str());
        let end = found
            .end
            .map(|end| format!(",endColumn={}", end.column))
            .unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "::{command} file={},line={},col={}{end},title={}::{}",
            property(&shown(name).to_string()),
            found.start.line,
            found.start.column,
            property(found.problem.reason.code()),
            data(&shown(&found.problem.text()).to_string()),
        );
    }
    out
}

/// `escapeData` of actions/toolkit.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// `escapeProperty` of the same.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
