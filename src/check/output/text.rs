//! For a terminal.

use std::fmt::Write as _;

use crate::check::{Diagnostic, Report, SourceFile};

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
        "{name}:{start}: {severity}[{}]: {}",
        problem.reason, problem.message
    )?;
    let number = start.line.to_string();
    let margin = " ".repeat(number.len());
    let line = file.and_then(|file| file.text.lines().nth(start.line.saturating_sub(1) as usize));
    if let Some(line) = line {
        let column = start.column.saturating_sub(1) as usize;
        // Tabs stay, so that the mark stands below its place whatever their width.
        let before: String = line
            .chars()
            .take(column)
            .map(|c| if c == '\t' { c } else { ' ' })
            .collect();
        let before = format!(
            "{before}{}",
            " ".repeat(column.saturating_sub(line.chars().count()))
        );
        let width = diagnostic
            .end
            .map_or(1, |end| end.column.saturating_sub(start.column).max(1));
        writeln!(out, " {number} | {line}")?;
        writeln!(out, " {margin} | {before}{}", "^".repeat(width as usize))?;
    }
    if let Some(suggestion) = &problem.suggestion {
        writeln!(out, " {margin} = help: {suggestion}")?;
    }
    if let Some(object) = &diagnostic.object {
        let field = if problem.path.is_empty() {
            String::new()
        } else {
            format!(", {}", problem.path)
        };
        writeln!(out, " {margin} = in {object}{field}")?;
    }
    writeln!(out)
}
