//! Text output of a comparison, for people.

use std::fmt;

use language::terminal::shown;

use super::{Asked, LeftOut, Report, Skipped, Verdict};
use crate::compare::difference::Difference;

/// A line, whatever is in it: a server's words and labels are its own, names of metrics are an HPA's.
fn line(f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "{}", shown(&text.to_string()))
}

/// What differs first, what is alike as a count.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, peer) in &self.peers {
            line(f, format_args!("peer of {group}: {peer}"))?;
        }
        line(f, format_args!("ours: {}", self.ours))?;
        let told = |asked: &&Asked| !asked.is_alike() || !asked.differences.is_empty();
        for (path, asked) in self.questions.iter().filter(|(_, asked)| told(asked)) {
            question(f, path, asked)?;
        }
        let unexpected = self.skipped.iter().filter(|skipped| !skipped.expected);
        for Skipped {
            hpa, index, reason, ..
        } in unexpected
        {
            writeln!(f)?;
            line(
                f,
                format_args!("NOT COMPARED spec.metrics[{index}] of the HPA {hpa}: {reason}"),
            )?;
        }
        self.absent(f)?;
        self.summary(f)
    }
}

fn question(f: &mut fmt::Formatter<'_>, path: &str, asked: &Asked) -> fmt::Result {
    let word = if asked.is_different() {
        "DIFFERENT"
    } else if asked.failed == asked.samples {
        "NOT COMPARED"
    } else if asked.failed > 0 {
        "INCOMPLETE"
    } else if asked.coarse > 0 {
        "alike, but coarse"
    } else {
        "alike"
    };
    writeln!(f)?;
    line(
        f,
        format_args!("{word} {} (HPA {})", asked.question, asked.hpas.join(", ")),
    )?;
    line(f, format_args!("  GET {path}"))?;
    if asked.samples > 1 {
        writeln!(
            f,
            "  {} rounds: {} differed, and {} only by rounding; metricrule gave no answer in {}, the peer in {}",
            asked.samples, asked.different, asked.coarse, asked.failed_ours, asked.failed_peer
        )?;
    }
    for problem in asked.problem.iter().flat_map(|problem| problem.lines()) {
        line(f, format_args!("  {problem}"))?;
    }
    for difference in &asked.differences {
        line(f, format_args!("  {difference}"))?;
    }
    Ok(())
}

impl Report {
    /// What neither of the two knows.
    fn absent(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut absent = self.questions.values().filter(|asked| asked.refused).peekable();
        if absent.peek().is_some() {
            writeln!(f, "\nrefused by both servers:")?;
        }
        for asked in absent {
            let hpas = asked.hpas.join(", ");
            line(
                f,
                format_args!("  {} (HPA {hpas}): {}", asked.question, asked.ours),
            )?;
        }
        Ok(())
    }

    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Same => "the same",
            Verdict::Coarse => "alike, but coarse",
            Verdict::Different => "DIFFERENT",
            Verdict::Incomplete => "INCOMPLETE",
            Verdict::Nothing => "NOTHING COMPARED",
        };
        let expected = self.skipped.iter().filter(|skipped| skipped.expected).count();
        write!(
            f,
            "\n{verdict}: {} HPAs, {} questions, {} answered alike, {} differently; {} metrics not compared, {expected} more \
             are of metrics.k8s.io",
            self.hpas,
            self.asked,
            self.same,
            self.different,
            self.asked - self.same - self.different + self.skipped.len() - expected,
        )?;
        let LeftOut {
            keda_hpas,
            of_other_api,
        } = self.left_out;
        if keda_hpas > 0 {
            write!(f, "; {keda_hpas} HPAs of KEDA left out")?;
        }
        if of_other_api > 0 {
            write!(f, "; {of_other_api} metrics left out by --api")?;
        }
        let unsteady = self.questions.values().filter(|asked| asked.unsteady > 0).count();
        if unsteady > 0 {
            write!(
                f,
                "; {unsteady} of the questions differed in a round, but not two seconds later"
            )?;
        }
        writeln!(f)?;
        if self.verdict == Verdict::Nothing {
            writeln!(f, "neither server had a value, so nothing was compared")?;
        }
        Ok(())
    }
}

/// `value Pod shop/web-1: 100 there, 102 here (2.0 %)`
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            aspect,
            of,
            peer,
            ours,
            relative,
        } = self;
        write!(f, "{} {of}: {peer} there, {ours} here", aspect.as_str())?;
        match relative {
            Some(relative) => write!(f, " ({:.1} %)", relative * 100.0),
            None => Ok(()),
        }
    }
}
