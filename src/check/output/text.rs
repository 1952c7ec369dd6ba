//! Text output, for a terminal.

use std::fmt::Write as _;

use language::terminal::shown;

use crate::{
    check::{Diagnostic, Report, SourceFile},
    document::Excerpt,
};

/// `file:line:column: error[Reason]: message`, the line with a mark below the place, and what to write instead.
pub fn text(report: &Report, files: &[SourceFile]) -> String {
    let mut out = String::new();
    for diagnostic in &report.diagnostics {
        // Writing to a String cannot fail.
        let _ = write(&mut out, diagnostic, files);
    }
    out
}

fn write(out: &mut String, diagnostic: &Diagnostic, files: &[SourceFile]) -> std::fmt::Result {
    let problem = &diagnostic.problem;
    let file = files.get(diagnostic.file);
    let name = file.map_or("", |file| file.name.as_str());
    let (start, severity) = (diagnostic.start, diagnostic.severity);
    writeln!(
        out,
        "{}:{start}: {severity}[{}]: {}",
        shown(name),
        problem.reason,
        shown(&problem.message)
    )?;
    let number = start.line.to_string();
    let margin = " ".repeat(number.len());
    if let Some(Excerpt { before, behind }) = &diagnostic.excerpt {
        // A tab has no width that is known here.
        let line = format!("{before}{behind}").replace('\t', " ");
        let line = shown(&line).behind();
        let width = diagnostic
            .end
            .map_or(1, |end| end.column.saturating_sub(start.column).max(1));
        let first = before.chars().count();
        let marked = (width as usize).min(behind.chars().count());
        let (indent, end) = (line.width_of(first), line.width_of(first + marked));
        let mark = "^".repeat((end - indent).max(1));
        writeln!(out, " {number} | {line}")?;
        writeln!(out, " {margin} | {}{mark}", " ".repeat(indent))?;
    }
    if let Some(suggestion) = &problem.suggestion {
        writeln!(out, " {margin} = help: {}", shown(suggestion))?;
    }
    if let Some(object) = &diagnostic.object {
        let field = if problem.path.is_empty() {
            String::new()
        } else {
            format!(", {}", shown(&problem.path))
        };
        writeln!(out, " {margin} = in {}{field}", shown(object))?;
    }
    writeln!(out)
}
