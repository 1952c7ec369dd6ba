//! A preview for people.

use std::fmt;

use super::report::{
    Claim, Dropped, Finding, HpaReport, MetricReport, QueryReport, Report, RuleReport, SeriesReport,
};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            rule.fmt(f)?;
        }
        for note in &self.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = if self.accepted { "accepted" } else { "NOT ACCEPTED" };
        writeln!(f, "{} ({}): {accepted}", self.rule, self.file)?;
        for finding in &self.findings {
            writeln!(f, "  {finding}")?;
        }
        if let Some(backend) = &self.backend {
            match &backend.problem {
                Some(problem) => writeln!(f, "  backend {}: NOT REACHED: {problem}", backend.name)?,
                None => writeln!(f, "  backend {}: {}", backend.name, backend.way)?,
            }
        }
        if let Some(series) = &self.series {
            series.fmt(f)?;
        }
        writeln!(f, "  metrics: {}", self.metrics.len())?;
        for metric in &self.metrics {
            metric.fmt(f)?;
        }
        for metric in self.empty() {
            writeln!(f, "  FAILS: {metric} has no value at all")?;
        }
        let Some(hpas) = &self.hpas else { return Ok(()) };
        if hpas.is_empty() {
            writeln!(f, "  HPAs: none asks for a metric of this rule")?;
        } else {
            writeln!(f, "  HPAs:")?;
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
            Some(problem) => writeln!(f, "  series {}: NOT LISTED: {problem}", self.selector)?,
            None => writeln!(f, "  series {}: {} found", self.selector, self.found)?,
        }
        dropped(f, "    ", &self.dropped)
    }
}

impl fmt::Display for MetricReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            Some(resource) => write!(f, "    {} of {resource}", self.metric)?,
            None => write!(f, "    external metric {}", self.metric)?,
        }
        if self.series.is_empty() {
            writeln!(f)?;
        } else {
            writeln!(f, ", from {}", self.series)?;
        }
        for claim in &self.answered_by {
            writeln!(f, "      answered by {claim}")?;
        }
        for claim in &self.takes_over {
            writeln!(f, "      until now by {claim}")?;
        }
        for query in &self.queries {
            query.fmt(f)?;
        }
        for value in &self.values {
            writeln!(f, "      {} = {}", value.of, value.value)?;
        }
        dropped(f, "      rows ", &self.rows_dropped)?;
        for failure in &self.failures {
            writeln!(f, "      FAILS: {failure}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "      warning: {warning}")?;
        }
        if let Some(note) = &self.note {
            writeln!(f, "      note: {note}")?;
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
        writeln!(f, "      {}", self.request)?;
        for line in self.query.iter().flat_map(|query| query.lines()) {
            writeln!(f, "        {line}")?;
        }
        match &self.problem {
            Some(problem) => writeln!(f, "        FAILS: {problem}"),
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
        write!(f, "    {hpa}, spec.metrics[{index}]: {question}: ")?;
        match (uses, answered_by) {
            (true, _) => writeln!(f, "answered by this rule")?,
            (false, Some(other)) => writeln!(f, "answered by {other}")?,
            (false, None) => writeln!(f, "answered by nobody")?,
        }
        for line in query.iter().flat_map(|query| query.lines()) {
            writeln!(f, "      {line}")?;
        }
        match problem {
            Some(problem) => writeln!(f, "      FAILS: {problem}"),
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
        write!(f, "{indent}dropped: {count} {reason}")?;
        if !sample.is_empty() {
            write!(f, " (such as {})", sample.join(", "))?;
        }
        writeln!(f, ": {meaning}")?;
    }
    Ok(())
}
