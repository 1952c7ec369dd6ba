//! Text output of a preview, for people.

use std::fmt::{self, Write as _};

use super::report::{
    Claim, Dropped, Finding, HpaReport, MetricReport, QueryReport, Report, RuleReport, SeriesReport,
};
use language::terminal::shown;

/// The longest line, in characters: as long as the longest query.
const LONGEST: usize = 20_000;

/// A line, whatever is in it: names of pods and series are their workloads', answers a backend's, names of files and fields a pull
/// request's.
fn line(f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "{}", shown(&text.to_string()).at_most(LONGEST))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            rule.fmt(f)?;
        }
        for note in &self.notes {
            writeln!(f)?;
            line(f, format_args!("note: {note}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for RuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = if self.accepted { "accepted" } else { "NOT ACCEPTED" };
        line(f, format_args!("{} ({}): {accepted}", self.rule, self.file))?;
        for finding in &self.findings {
            line(f, format_args!("  {finding}"))?;
        }
        if let Some(backend) = &self.backend {
            match &backend.problem {
                Some(problem) => line(
                    f,
                    format_args!("  backend {}: NOT REACHED: {problem}", backend.name),
                )?,
                None => line(f, format_args!("  backend {}: {}", backend.name, backend.way))?,
            }
        }
        if let Some(series) = &self.series {
            series.fmt(f)?;
        }
        line(f, format_args!("  metrics: {}", self.metrics.len()))?;
        for metric in &self.metrics {
            metric.fmt(f)?;
        }
        for metric in self.empty() {
            line(f, format_args!("  FAILS: {metric} has no value at all"))?;
        }
        let Some(hpas) = &self.hpas else { return Ok(()) };
        if hpas.is_empty() {
            line(f, format_args!("  HPAs: none uses a metric of this rule"))?;
        } else {
            line(f, format_args!("  HPAs:"))?;
        }
        for hpa in hpas {
            hpa.fmt(f)?;
        }
        Ok(())
    }
}

/// `rule.yaml:12:5: error: InvalidTemplate: spec.metricsQuery: …`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            reason,
            file,
            line,
            column,
            path,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {severity}: {reason}: ")?;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(message)
    }
}

impl fmt::Display for SeriesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Some(problem) => line(
                f,
                format_args!("  series {}: NOT LISTED: {problem}", self.selector),
            )?,
            None => line(
                f,
                format_args!("  series {}: {} found", self.selector, self.found),
            )?,
        }
        dropped(f, "    ", &self.dropped)
    }
}

impl fmt::Display for MetricReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = match &self.resource {
            Some(resource) => format!("    {} of {resource}", self.metric),
            None => format!("    external metric {}", self.metric),
        };
        if !self.series.is_empty() {
            write!(head, ", from {}", self.series)?;
        }
        line(f, format_args!("{head}"))?;
        for claim in &self.answered_by {
            line(f, format_args!("      answered by {claim}"))?;
        }
        for claim in &self.takes_over {
            line(f, format_args!("      until now by {claim}"))?;
        }
        for query in &self.queries {
            query.fmt(f)?;
        }
        for value in &self.values {
            line(f, format_args!("      {} = {}", value.of, value.value))?;
        }
        dropped(f, "      rows ", &self.rows_dropped)?;
        for failure in &self.failures {
            line(f, format_args!("      FAILS: {failure}"))?;
        }
        for warning in &self.warnings {
            line(f, format_args!("      warning: {warning}"))?;
        }
        if let Some(note) = &self.note {
            line(f, format_args!("      note: {note}"))?;
        }
        Ok(())
    }
}

/// `ClusterMetricRule requests in shop, bank`
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule.as_deref().unwrap_or("nobody"))?;
        match self.namespaces.as_slice() {
            [] => f.write_str(" for requests without a namespace"),
            namespaces if namespaces.len() > 8 => {
                write!(
                    f,
                    " in {} and {} more namespaces",
                    namespaces[..8].join(", "),
                    namespaces.len() - 8
                )
            }
            namespaces => write!(f, " in {}", namespaces.join(", ")),
        }
    }
}

impl fmt::Display for QueryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, format_args!("      {}", self.request))?;
        for text in self.query.iter().flat_map(|query| query.lines()) {
            line(f, format_args!("        {text}"))?;
        }
        match &self.problem {
            Some(problem) => line(f, format_args!("        FAILS: {problem}")),
            None => Ok(()),
        }
    }
}

impl fmt::Display for HpaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            hpa,
            index,
            question,
            answered_by,
            uses,
            query,
            problem,
        } = self;
        let by = match (uses, answered_by) {
            (true, _) => "this rule",
            (false, Some(other)) => other,
            (false, None) => "nobody",
        };
        line(
            f,
            format_args!("    {hpa}, spec.metrics[{index}]: {question}: answered by {by}"),
        )?;
        for text in query.iter().flat_map(|query| query.lines()) {
            line(f, format_args!("      {text}"))?;
        }
        match problem {
            Some(problem) => line(f, format_args!("      FAILS: {problem}")),
            None => Ok(()),
        }
    }
}

fn dropped(f: &mut fmt::Formatter<'_>, indent: &str, dropped: &[Dropped]) -> fmt::Result {
    for Dropped {
        reason,
        count,
        sample,
        meaning,
    } in dropped
    {
        let such = if sample.is_empty() {
            String::new()
        } else {
            format!(" (such as {})", sample.join(", "))
        };
        line(
            f,
            format_args!("{indent}dropped: {count} {reason}{such}: {meaning}"),
        )?;
    }
    Ok(())
}
