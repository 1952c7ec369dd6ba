//! Import and export of prometheus-adapter's configuration: what goes in comes out.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use metricrule::{
    api::rule_spec::Semantics,
    document::{Document, SourceFile},
    export,
    import::{
        Import, Severity,
        adapter::{self, Options},
    },
};
use serde_json::Value as Json;

use crate::cli::{Folder, metricrule};
use crate::repository;

const FIXTURES: &str = "tests/fixtures/adapter";

fn options() -> Options {
    Options {
        semantics: Semantics::PrometheusAdapter,
        refresh: Some("0s".to_owned()),
        split: false,
    }
}

fn import(text: &str) -> Import {
    let file = SourceFile {
        name: "config.yaml".to_owned(),
        text: text.to_owned(),
    };
    adapter::import(&[file], &options())
}

/// As prometheus-adapter tells configurations apart: what is empty is absent.
fn meaning(text: &str) -> Result<Json> {
    fn prune(value: &mut Json) -> bool {
        match value {
            Json::Null => return false,
            Json::String(text) => return !text.is_empty(),
            Json::Array(items) => items.iter_mut().for_each(|item| {
                prune(item);
            }),
            Json::Object(fields) => fields.retain(|_, value| prune(value)),
            Json::Bool(_) | Json::Number(_) => return true,
        }
        !value.as_array().is_some_and(Vec::is_empty)
            && !value.as_object().is_some_and(serde_json::Map::is_empty)
    }
    let documents = Document::parse_stream(text)?;
    let mut value = documents.first().context("a document")?.root.to_json();
    prune(&mut value);
    Ok(value)
}

/// Imports a configuration, exports the outcome, and compares field by field, in order.
fn comes_back(name: &str, text: &str) -> Result<Import> {
    let imported = import(text);
    let bad = |severity| severity == Severity::Error || severity == Severity::Unsupported;
    let notes: Vec<_> = imported.notes.iter().filter(|note| bad(note.severity)).collect();
    ensure!(notes.is_empty(), "{name}: {notes:?}");
    let exported = export::export([("rules.yaml", imported.yaml().as_str())]);
    ensure!(exported.findings.is_empty(), "{name}: {:?}", exported.findings);
    let (want, got) = (meaning(text)?, meaning(&exported.yaml)?);
    ensure!(want == got, "{name}:\n{want:#}\ncame back as\n{got:#}");
    Ok(imported)
}

#[test]
fn configurations_come_back_field_by_field() -> Result<()> {
    let mut count = 0;
    for path in repository::files(FIXTURES, "yaml")? {
        let text = repository::read(&path)?;
        let rules = text.matches("seriesQuery:").count();
        let imported = comes_back(&path.display().to_string(), &text)?;
        ensure!(
            imported.objects.len() == rules,
            "{}: {:?}",
            path.display(),
            imported.notes
        );
        count += 1;
    }
    ensure!(count >= 40, "only {count} configurations");
    Ok(())
}

/// Each configuration with another one in the same file: rules keep their order, and none takes another's name.
#[test]
fn configurations_come_back_together() -> Result<()> {
    let texts = texts()?;
    for (index, one) in texts.iter().enumerate() {
        // 11 is prime to the number of configurations, so that each stands once in front and once behind.
        let other = &texts[(index + 11) % texts.len()];
        let imported = comes_back("both", &joined(one, other)?)?;
        let names: BTreeSet<_> = imported.objects.iter().map(|it| (it.kind(), it.name())).collect();
        ensure!(
            names.len() == imported.objects.len(),
            "two objects of one name: {names:?}"
        );
    }
    Ok(())
}

fn texts() -> Result<Vec<String>> {
    repository::files(FIXTURES, "yaml")?
        .into_iter()
        .map(repository::read)
        .collect()
}

/// The rules of two configurations, those of the first in front, as JSON.
fn joined(one: &str, other: &str) -> Result<String> {
    let (mut one, other) = (meaning(one)?, meaning(other)?);
    for key in ["rules", "externalRules"] {
        let Some(more) = other.get(key).and_then(Json::as_array) else {
            continue;
        };
        let mut rules = one.get(key).and_then(Json::as_array).cloned().unwrap_or_default();
        rules.extend(more.iter().cloned());
        one[key] = rules.into();
    }
    Ok(one.to_string())
}

/// A rule that is put in front of others, or between them, renames none of them.
#[test]
fn names_are_stable() -> Result<()> {
    let texts = texts()?;
    let new = "rules: [{seriesQuery: 'brand_new{pod!=\"\"}', resources: {template: <<.Resource>>}, metricsQuery: brand_new}]";
    for text in &texts {
        let names = |import: &Import| -> Vec<String> {
            let names = import.objects.iter().map(|it| it.name().to_owned());
            names.filter(|name| name != "brand-new").collect()
        };
        let alone = import(text);
        ensure!(
            names(&alone) == names(&import(text)),
            "the same input, other names"
        );
        let behind = import(&joined(new, text)?);
        ensure!(
            names(&alone) == names(&behind),
            "{:?} {:?}",
            names(&alone),
            names(&behind)
        );
        for name in names(&alone) {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            ensure!(
                name.chars().all(good) && name.len() <= 63 && !name.starts_with('-') && !name.ends_with('-'),
                "{name}"
            );
        }
    }
    Ok(())
}

/// Runs the binary; its exit code, standard output and standard error.
fn run(arguments: &[&str]) -> Result<(i32, String, String)> {
    let output = metricrule(arguments)?;
    let text = |bytes| String::from_utf8(bytes).context("UTF-8");
    let code = output.status.code().context("an exit code")?;
    Ok((code, text(output.stdout)?, text(output.stderr)?))
}

const GOOD: &str = "rules:\n- seriesQuery: orders_total{pod!=\"\"}\n  resources: {template: <<.Resource>>}\n  metricsQuery: a{<<.LabelMatchers>>}\n";

#[test]
fn exit_codes_tell_what_was_left_out() -> Result<()> {
    let folder = Folder::new("import")?;
    let good = folder.write("good.yaml", GOOD)?;
    let cases = [
        ("fine.yaml", GOOD.to_owned(), 0, ""),
        (
            "resources.yaml",
            format!("{GOOD}resourceRules: {{window: 1m}}\n"),
            3,
            ":5:1: unsupported: Unsupported: ",
        ),
        (
            "typo.yaml",
            GOOD.replace("metricsQuery", "metricQuery"),
            1,
            ":4:3: error: Undecodable: ",
        ),
        (
            "tab.yaml",
            "rules:\n\t- a".to_owned(),
            1,
            ":2:1: error: Undecodable: ",
        ),
    ];
    for (name, text, want, finding) in cases {
        let file = folder.write(name, &text)?;
        let (code, out, said) = run(&["import", &good, &file])?;
        ensure!(code == want, "{name}: {code}: {said}");
        // What is good is printed all the same.
        ensure!(
            out.contains("\nkind: ClusterMetricRule\n") && out.contains("\n  name: orders-total\n"),
            "{name}: {out}"
        );
        ensure!(
            said.contains(&format!("{file}{finding}")) || finding.is_empty(),
            "{name}: {said}"
        );
        ensure!(said.contains("\nmade: "), "{name}: {said}");
    }
    let (code, out, said) = run(&["import", "/nowhere/at/all.yaml"])?;
    ensure!(
        code == 1 && !out.contains("kind") && said.contains("/nowhere/at/all.yaml"),
        "{code}: {said}"
    );
    Ok(())
}

#[test]
fn a_folder_is_read_in_the_order_of_names() -> Result<()> {
    let folder = Folder::new("import-folder")?;
    std::fs::create_dir_all(folder.0.join("b"))?;
    for (name, series) in [
        ("a.yml", "one"),
        ("b/x.json", "two"),
        ("c.yaml", "three"),
        ("notes.txt", "four"),
    ] {
        folder.write(name, &GOOD.replace("orders_total", series))?;
    }
    let path = folder.0.display().to_string();
    let report = folder.0.join("report").display().to_string();
    let (code, out, said) = run(&["import", &path, "--report=json", "--report-file", &report])?;
    ensure!(code == 0 && said.is_empty(), "{code}: {said}");
    let at = |name: &str| out.find(&format!("\n  name: {name}\n"));
    ensure!(
        at("one").is_some() && at("one") < at("two") && at("two") < at("three"),
        "{out}"
    );
    ensure!(at("four").is_none(), "{out}");
    let report: Json = serde_json::from_str(&std::fs::read_to_string(&report)?)?;
    let became = report.as_array().context("a list")?.iter();
    ensure!(
        became
            .filter(|note| note["reason"] == "Imported" && note["line"] == 2)
            .count()
            == 3,
        "{report:#}"
    );
    let (_, only, _) = run(&["import", &path, "--only=two"])?;
    ensure!(
        only.matches("\nkind: ").count() == 1 && only.contains("\n  name: two\n"),
        "{only}"
    );
    let (code, none, said) = run(&["import", &path, "--only=nothing"])?;
    ensure!(
        code == 1 && none.is_empty() && said.contains("--only nothing"),
        "{code}: {said}"
    );
    Ok(())
}

#[test]
fn an_export_says_what_it_leaves_out() -> Result<()> {
    let folder = Folder::new("export")?;
    let cases = [
        (
            "seriesQuery: a, resources: {template: <<.Resource>>}, metricsQuery: a",
            0,
            "",
        ),
        (
            "name: {as: a}, resources: {overrides: {pod: {resource: pod}}}, metricsQuery: a",
            3,
            ":1:91: unsupported: ",
        ),
        (
            "seriesQuery: a, resources: {template: <<.Resource>>}, metricsQuery: a, namespaceSelector: {matchLabels: {a: b}}",
            3,
            ": unsupported: ",
        ),
        (
            "seriesQuery: a, resources: {template: <<.Resource>>}, metricsQuery: a, backendRef: {name: other}",
            3,
            ": unsupported: ",
        ),
        (
            "seriesQuery: a, metricsQuery: [a]",
            1,
            ": unsupported: Undecodable: ",
        ),
    ];
    for (spec, want, finding) in cases {
        let text = format!(
            "{{apiVersion: metricrule.dev/v1alpha1, kind: ClusterMetricRule, metadata: {{name: a}}, spec: {{{spec}}}}}\n"
        );
        let file = folder.write("rule.yaml", &text)?;
        let (code, out, said) = run(&["export", &file])?;
        ensure!(code == want && said.contains(finding), "{spec}: {code}: {said}");
        ensure!(out.contains("seriesQuery: a") == (want == 0), "{spec}: {out}");
    }
    let namespaced = "{apiVersion: metricrule.dev/v1alpha1, kind: MetricRule, metadata: {name: a}, spec: {seriesQuery: a, metricsQuery: a}}";
    let file = folder.write("rule.yaml", namespaced)?;
    ensure!(run(&["export", &file])?.0 == 3);
    Ok(())
}
