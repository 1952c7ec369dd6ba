//! What the demo shows: a view that repaints itself on a terminal, else one line a second.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use serde_json::Value;

use super::script::Tick;

const WIDTH: usize = 60;
const REMARKS: usize = 6;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Debug)]
pub(super) struct View {
    live: bool,
    rule: String,
    hpa: String,
    target: f64,
    history: VecDeque<Tick>,
    remarks: VecDeque<String>,
    conditions: String,
}

// === impl View ===

impl View {
    pub(super) fn new(live: bool, rule: &str, hpa: &str, target: f64) -> Self {
        Self {
            live,
            rule: rule.to_owned(),
            hpa: hpa.to_owned(),
            target,
            history: VecDeque::new(),
            remarks: VecDeque::new(),
            conditions: String::new(),
        }
    }

    pub(super) fn show(&mut self, tick: &Tick, conditions: &[Value], remark: Option<&str>) -> Result<()> {
        if self.live {
            self.history.push_back(tick.clone());
            if self.history.len() > WIDTH {
                self.history.pop_front();
            }
            self.keep(tick, remark);
            return write(&self.paint(tick, conditions));
        }
        let mut text = line(tick);
        // the conditions are many words: told when they change
        let words = brief(conditions);
        if words != self.conditions {
            let _ = write!(
                text,
                "\n      rule {}: {}",
                self.rule,
                if words.is_empty() {
                    "no condition yet"
                } else {
                    &words
                }
            );
            self.conditions = words;
        }
        if let Some(remark) = remark {
            let _ = write!(text, "\n      {remark}");
        }
        write(&(text + "\n"))
    }

    pub(super) fn remark(&mut self, text: &str) -> Result<()> {
        if self.live {
            self.remarks.push_back(text.to_owned());
            return Ok(());
        }
        write(&format!("      {text}\n"))
    }

    fn keep(&mut self, tick: &Tick, remark: Option<&str>) {
        if let Some(remark) = remark {
            self.remarks
                .push_back(format!("{:>4} s  {remark}", tick.at.as_secs()));
        }
        while self.remarks.len() > REMARKS {
            self.remarks.pop_front();
        }
    }

    fn paint(&self, tick: &Tick, conditions: &[Value]) -> String {
        // home, and clear what is below; each line clears its own rest, so nothing flickers
        let mut text = String::from("\x1b[H");
        let mut row = |row: &str| {
            let _ = writeln!(text, "{row}\x1b[K");
        };
        let bold = |text: &str| format!("\x1b[1m{text}\x1b[0m");
        row(&bold(&format!(
            "metricrule demo   {} s   Ctrl-C stops all",
            tick.at.as_secs()
        )));
        row("");
        let rates: Vec<f64> = self.history.iter().map(|tick| tick.rate).collect();
        let seen: Vec<f64> = self
            .history
            .iter()
            .map(|tick| tick.seen().unwrap_or_default())
            .collect();
        let replicas: Vec<f64> = self
            .history
            .iter()
            .map(|tick| f64::from(tick.reading.replicas))
            .collect();
        let top = rates.iter().chain(&seen).copied().fold(1.0, f64::max);
        let most = replicas.iter().copied().fold(1.0, f64::max);
        let per_pod = tick
            .reading
            .value
            .map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"));
        let total = tick
            .seen()
            .map_or_else(|| "–".to_owned(), |seen| format!("{seen:.1}"));
        row(&format!(
            "rate set      {:>8.1}/s  {}",
            tick.rate,
            bars(&rates, top)
        ));
        row(&format!("HPA sees      {total:>8}/s  {}", bars(&seen, top)));
        row(&format!(
            "replicas      {:>8}    {}",
            tick.reading.replicas,
            bars(&replicas, most)
        ));
        row("");
        let of = &tick.reading;
        row(&format!(
            "HPA {}: {per_pod}/s per pod, target {:.1}/s; {} replicas, wants {}, {} ready",
            bold(&self.hpa),
            self.target,
            of.replicas,
            of.desired,
            tick.ready
        ));
        row("");
        row(&format!("MetricRule {}", bold(&self.rule)));
        for condition in conditions {
            let word = |name: &str| condition[name].as_str().unwrap_or("");
            let colour = match (word("type"), word("status")) {
                ("Conflicted", "True") | (_, "False")
                    if word("type") != "Conflicted" || word("status") == "True" =>
                {
                    "\x1b[31m"
                }
                _ => "\x1b[32m",
            };
            let message: String = word("message").chars().take(80).collect();
            row(&format!(
                "  {:<13} {colour}{:<8}\x1b[0m {:<14} {message}",
                word("type"),
                word("status"),
                word("reason")
            ));
        }
        if conditions.is_empty() {
            row("  no condition yet");
        }
        row("");
        for remark in &self.remarks {
            row(remark);
        }
        text + "\x1b[J"
    }
}

fn line(tick: &Tick) -> String {
    let of = &tick.reading;
    let seen = match (tick.seen(), of.value) {
        (Some(seen), Some(value)) => format!("{seen:.1}/s ({value:.1} × {})", of.replicas),
        _ => "unknown".to_owned(),
    };
    format!(
        "{:>4} s  rate set {:.1}/s  HPA sees {seen}  replicas {} (wants {}, {} ready)",
        tick.at.as_secs(),
        tick.rate,
        of.replicas,
        of.desired,
        tick.ready
    )
}

fn brief(conditions: &[Value]) -> String {
    let word = |condition: &Value, name: &str| condition[name].as_str().unwrap_or("").to_owned();
    let words = conditions.iter().map(|of| {
        format!(
            "{}={} ({})",
            word(of, "type"),
            word(of, "status"),
            word(of, "reason")
        )
    });
    words.collect::<Vec<_>>().join(" ")
}

fn bars(values: &[f64], top: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 7 after the clamp"
    )]
    let level = |value: f64| (value / top * 7.0).round().clamp(0.0, 7.0) as usize;
    values.iter().map(|&value| BARS[level(value)]).collect()
}

fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
