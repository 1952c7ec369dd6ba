//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>), as code scanning services read it.

use language::terminal::{self, shown};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    check::{Diagnostic, Report, SourceFile},
    reason::Reason,
};

/// What may stand in the path of a URI as it is (RFC 3986, `pchar` and `/`).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// One run; a rule for each reason that was found.
pub fn sarif(report: &Report, files: &[SourceFile]) -> String {
    let mut reasons: Vec<Reason> = report
        .diagnostics
        .iter()
        .map(|found| found.problem.reason)
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    let rules: Vec<Value> = reasons.iter().map(|reason| rule(*reason)).collect();
    let results = report
        .diagnostics
        .iter()
        .map(|found| result(found, &reasons, files));
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "metricrule",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": REPOSITORY,
                "rules": rules,
            }},
            // Findings of a file that was not read are not gone.
            "invocations": [{"executionSuccessful": report.unread == 0}],
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    });
    terminal::json(&format!("{log:#}\n"))
}

fn rule(reason: Reason) -> Value {
    json!({
        "id": reason.code(),
        "name": reason.code(),
        "shortDescription": {"text": reason.text()},
        "help": {"text": reason.text()},
        "helpUri": format!("{REPOSITORY}/blob/main/docs/reasons.md"),
    })
}

/// A plain text message: in it `[…](…)` is a link, unless the brackets are escaped (3.11.6).
fn plain(text: &str) -> String {
    let shown = shown(text).to_string();
    shown
        .replace('\\', "\\\\")
        .replace('[', "\\[")
        .replace(']', "\\]")
}

fn result(found: &Diagnostic, reasons: &[Reason], files: &[SourceFile]) -> Value {
    let name = files.get(found.file).map_or("", |file| file.name.as_str());
    let uri = utf8_percent_encode(name.trim_start_matches("./"), PATH).to_string();
    let mut region = json!({"startLine": found.start.line, "startColumn": found.start.column});
    if let Some(end) = found.end {
        region["endLine"] = end.line.into();
        region["endColumn"] = end.column.into();
    }
    let mut location = json!({"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}});
    if let Some(object) = &found.object {
        location["logicalLocations"] =
            json!([{"fullyQualifiedName": format!("{object} {}", found.problem.path).trim_end()}]);
    }
    json!({
        "ruleId": found.problem.reason.code(),
        "ruleIndex": reasons.binary_search(&found.problem.reason).ok(),
        "level": found.severity.as_str(),
        "kind": "fail",
        "message": {"text": plain(&found.problem.text())},
        "locations": [location],
    })
}
