//! Replies letter for letter, as Go's own types and serializer write them: `tests/fixtures/wire.json`, which
//! `tests/oracles/wire` wrote, with what only a run knows put in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use regex::Regex;
use serde::Deserialize;

use crate::ask::Reply;
use crate::target::{EXTERNAL, Target, V1BETA1};

/// The instant of every value in the fixture.
const TIME: &str = "2026-01-02T02:04:05Z";
/// Every value in it.
const VALUE: &str = "1500m";

#[derive(Deserialize)]
struct Row {
    plain: String,
    pretty: String,
}

type Patterns = (Regex, Regex);

static FIXTURE: LazyLock<Option<BTreeMap<String, Row>>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../fixtures/wire.json")).ok());
/// A timestamp, and a window with the comma after it.
static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    let time = Regex::new(r#"("timestamp": ?)"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ""#).ok()?;
    let window = Regex::new(r#"\n? *"window(?:Seconds)?": ?\d+,"#).ok()?;
    Some((time, window))
});

/// A reply as it has to be.
#[derive(Clone, Debug)]
pub(crate) struct Golden(String);

// === impl Golden ===

impl Golden {
    /// A reply of the fixture.
    pub(crate) fn read(name: &str, pretty: bool) -> Result<Self> {
        let rows = FIXTURE
            .as_ref()
            .context("the fixture of replies cannot be read")?;
        let row = rows
            .get(name)
            .with_context(|| format!("no reply {name:?} in the fixture"))?;
        Ok(Self(if pretty {
            row.pretty.clone()
        } else {
            row.plain.clone()
        }))
    }

    /// With a text for a name of the fixture, such as `@metric@`; escaped as JSON needs it.
    pub(crate) fn with(self, name: &str, text: &str) -> Result<Self> {
        ensure!(self.0.contains(name), "no {name} in {}", self.0);
        let quoted = serde_json::to_string(text)?;
        let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        let inner = inner
            .replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e");
        Ok(Self(self.0.replace(name, &inner)))
    }

    /// With a value.
    pub(crate) fn of(self, value: &str) -> Result<Self> {
        self.with(VALUE, value)
    }

    /// One list of the items of several.
    fn joined(lists: &[Self]) -> Result<Self> {
        let parts = |list: &Self| {
            let (head, rest) = list.0.split_once("\"items\":[").context("no items")?;
            let (item, tail) = rest.rsplit_once(']').context("no items")?;
            anyhow::Ok((format!("{head}\"items\":["), item.to_owned(), format!("]{tail}")))
        };
        let parts = lists.iter().map(parts).collect::<Result<Vec<_>>>()?;
        let (head, _, tail) = parts.first().context("no list")?;
        let items: Vec<_> = parts.iter().map(|(_, item, _)| item.as_str()).collect();
        Ok(Self(format!("{head}{}{tail}", items.join(","))))
    }

    /// Fails unless the reply has exactly these bytes, whatever its instants, and its windows if this has none.
    pub(crate) fn ensure_is(&self, reply: &Reply) -> Result<()> {
        let (time, window) = PATTERNS.as_ref().context("a pattern does not compile")?;
        let text = reply.text();
        let text = time.replace_all(&text, format!("${{1}}\"{TIME}\""));
        let text = if window.is_match(&self.0) {
            text
        } else {
            window.replace_all(&text, "").into_owned().into()
        };
        ensure!(
            text == self.0,
            "{}: is\n{text}\nwant, as Go writes it,\n{}",
            reply.asked,
            self.0
        );
        Ok(())
    }
}

/// The first pod of the first namespace.
pub(crate) fn one_pod(target: &Target, version: &str, pretty: bool) -> Result<Golden> {
    let (pod, value) = target.data.first().pod();
    pod_of(target, version, pod, value, pretty)
}

/// All pods of the first namespace, by name.
pub(crate) fn all_pods(target: &Target, version: &str) -> Result<Golden> {
    let pods = target.data.first().pods().into_iter();
    let lists = pods.map(|(pod, value)| pod_of(target, version, pod, value, false));
    Golden::joined(&lists.collect::<Result<Vec<_>>>()?)
}

fn pod_of(target: &Target, version: &str, pod: &str, value: &str, pretty: bool) -> Result<Golden> {
    Golden::read(&format!("{} one", short(version)), pretty)?
        .with("@namespace@", &target.data.first().name)?
        .with("@name@", pod)?
        .with("@metric@", &target.data.metrics.pods)?
        .of(value)
}

/// The external metric of the first namespace.
pub(crate) fn external(target: &Target) -> Result<Golden> {
    let series = target.data.first().external.iter().map(|series| {
        let label = series.labels.get("foo").context("a series without foo")?;
        Golden::read("external one", false)?
            .with("@metric@", &target.data.metrics.external)?
            .with("@foo@", label)?
            .of(&series.value)
    });
    Golden::joined(&series.collect::<Result<Vec<_>>>()?)
}

/// An empty list.
pub(crate) fn nothing(version: &str) -> Result<Golden> {
    Golden::read(&format!("{} none", short(version)), false)
}

/// The name of a version in the fixture.
pub(crate) fn short(version: &str) -> &'static str {
    match version {
        V1BETA1 => "v1beta1",
        EXTERNAL => "external",
        _ => "v1beta2",
    }
}
