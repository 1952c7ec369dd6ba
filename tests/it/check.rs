//! `metricrule check`: every reason at its place, nothing where nothing is wrong, and outputs that programs can read.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use metricrule::reason::Reason;
use metricrule::rule::{Severity, advice};
use metricrule::{
    check::{Diagnostic, Options, check, output},
    document::SourceFile,
};
use serde_json::Value;

use crate::repository;

/// What a file of `tests/fixtures/broken` says of itself, in its first two lines:
/// ``# check: error InvalidTemplate 12:30 `token` `` and `# cluster: …`, which is for the test against a real cluster.
struct Expected {
    severity: String,
    reason: String,
    place: String,
    token: String,
}

fn expected(text: &str) -> Result<Expected> {
    let line = text.lines().next().context("an empty file")?;
    let line = line.strip_prefix("# check: ").context("no `# check:` line")?;
    let (said, token) = line.split_once(" `").context("no token")?;
    let [severity, reason, place] = said.split(' ').collect::<Vec<_>>()[..] else {
        anyhow::bail!("{line}");
    };
    Ok(Expected {
        severity: severity.to_owned(),
        reason: reason.to_owned(),
        place: place.to_owned(),
        token: token.trim_end_matches('`').to_owned(),
    })
}

fn source(path: &Path) -> Result<SourceFile> {
    Ok(SourceFile {
        name: path.display().to_string(),
        text: repository::read(path)?,
    })
}

/// The text from a place to the end of its line.
fn text_at(text: &str, found: &Diagnostic) -> String {
    let line = text
        .lines()
        .nth(found.start.line as usize - 1)
        .unwrap_or_default();
    line.chars().skip(found.start.column as usize - 1).collect()
}

fn lines(files: &[SourceFile]) -> String {
    output::text(&check(files, &Options::default()), files)
}

#[test]
fn every_reason_is_given_at_its_place() -> Result<()> {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for path in repository::files("tests/fixtures/broken", "yaml")? {
        let file = source(&path)?;
        let expected = expected(&file.text).with_context(|| path.display().to_string())?;
        let report = check(std::slice::from_ref(&file), &Options::default());
        let [found] = &report.diagnostics[..] else {
            anyhow::bail!("{}: not one finding: {:#?}", path.display(), report.diagnostics);
        };
        let is = (
            found.severity.as_str(),
            found.problem.reason.code(),
            found.start.to_string(),
        );
        ensure!(
            is == (
                expected.severity.as_str(),
                expected.reason.as_str(),
                expected.place.clone()
            ),
            "{}: {is:?}, not {} {} {}",
            path.display(),
            expected.severity,
            expected.reason,
            expected.place
        );
        let there = text_at(&file.text, found);
        ensure!(
            there.starts_with(&expected.token),
            "{}: {there:?} is no {:?}",
            path.display(),
            expected.token
        );
        ensure!(!found.problem.message.is_empty());
        *count.entry(expected.reason).or_default() += 1;
    }
    let of_rules = [
        "InvalidSpec",
        "InvalidTemplate",
        "InvalidQuery",
        "InvalidPattern",
        "InvalidName",
        "DuplicateResource",
        "MatchAll",
        "NotConfinable",
        "Undecodable",
        "BackendNotFound",
        "AmbiguousDefault",
        "BackendNotAllowed",
        "UnknownResource",
        "DuplicateName",
    ];
    for reason in of_rules
        .into_iter()
        .chain(advice::REASONS.iter().map(|reason| reason.code()))
    {
        let count = count.get(reason).copied().unwrap_or_default();
        ensure!(count >= 3, "{reason} has {count} broken rules, and 3 are wanted");
    }
    Ok(())
}

#[test]
fn nothing_is_found_in_what_is_sound() -> Result<()> {
    let mut files = Vec::new();
    for path in repository::files("examples", "yaml")? {
        files.push(source(&path)?);
    }
    ensure!(files.len() > 10, "the examples are not read");
    let mut documents = repository::files("docs", "md")?;
    documents.extend(repository::files("examples", "md")?);
    documents.push("README.md".into());
    for path in documents {
        let markdown = source(&path)?;
        files.extend(snippets(&markdown));
    }
    let mut rules = 0;
    for file in files {
        let report = check(std::slice::from_ref(&file), &Options::default());
        rules += report.rules;
        ensure!(report.diagnostics.is_empty(), "{}", lines(&[file]));
    }
    ensure!(rules >= 6, "only {rules} rules were looked at");
    Ok(())
}

/// The YAML in a Markdown text that holds an object of ours, each with the lines before it left empty.
fn snippets(markdown: &SourceFile) -> Vec<SourceFile> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    for (number, line) in markdown.text.lines().enumerate() {
        match (&mut current, line.trim()) {
            (None, "```yaml") => current = Some("\n".repeat(number + 1)),
            (Some(_), "```") => found.extend(current.take().filter(|text| text.contains("metricrule.dev/"))),
            (Some(text), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    let file = |text| SourceFile {
        name: markdown.name.clone(),
        text,
    };
    found.into_iter().map(file).collect()
}

/// One mistake, `.Seriez`, in every way that YAML can write it.
#[test]
fn a_place_is_exact_in_every_style() -> Result<()> {
    let head = "apiVersion: metricrule.dev/v1alpha1\nkind: MetricRule\nmetadata: {name: a, namespace: b}\nspec:\n  \
                seriesQuery: a{pod!=\"\"}\n  resources: {overrides: {pod: {resource: pods}}}\n";
    let styles = [
        "  metricsQuery: max by (<<.GroupBy>>) (<<.Seriez>>{<<.LabelMatchers>>})\n",
        "  metricsQuery: 'max by (<<.GroupBy>>) (it''s{x=\"ä\"} + <<.Seriez>>{<<.LabelMatchers>>})'\n",
        "  metricsQuery: \"max by (<<.GroupBy>>) (a{x=\\\"\\u00e4\\\"} + <<.Seriez>>{<<.LabelMatchers>>})\"\n",
        "  metricsQuery: |\n    # ä ö\n    max by (<<.GroupBy>>) (\n      <<.Seriez>>{<<.LabelMatchers>>})\n",
        "  metricsQuery: >-\n    max by (<<.GroupBy>>)\n    (<<.Seriez>>{<<.LabelMatchers>>})\n",
        "  metricsQuery:\n    max by (<<.GroupBy>>)\n      (<<.Seriez>>{<<.LabelMatchers>>})\n",
        "  metricsQuery: &q |2-\n      max by (<<.GroupBy>>) (<<.Seriez>>{<<.LabelMatchers>>})\n",
    ];
    let mut texts: Vec<String> = styles.iter().map(|style| format!("{head}{style}")).collect();
    let listed: Vec<String> = texts
        .iter()
        .take(6)
        .map(|text| {
            format!(
                "apiVersion: v1\nkind: List\nitems:\n- {}",
                text.trim_end().replace('\n', "\n  ")
            )
        })
        .collect();
    texts.extend(listed);
    texts.extend(
        texts
            .clone()
            .iter()
            .map(|text| format!("# ä\n---\n{}", text.replace('\n', "\r\n"))),
    );
    texts.push(
        "{\"apiVersion\": \"metricrule.dev/v1alpha1\", \"kind\": \"MetricRule\", \"metadata\": {\"name\": \"a\"},\n\
         \"spec\": {\"seriesQuery\": \"a{pod!=\\\"\\\"}\", \"resources\": {\"overrides\": {\"pod\": {\"resource\": \"pods\"}}},\n\
         \"metricsQuery\": \"max(\\n\\\"\\\"\\n<<.Seriez>>)\"}}"
            .to_owned(),
    );
    for text in texts {
        let file = SourceFile {
            name: "rule.yaml".to_owned(),
            text,
        };
        let report = check(std::slice::from_ref(&file), &Options::default());
        let [found] = &report.diagnostics[..] else {
            anyhow::bail!("{}\n{:#?}", file.text, report.diagnostics);
        };
        ensure!(found.problem.reason == Reason::InvalidTemplate, "{found:?}");
        let there = text_at(&file.text, found);
        ensure!(there.starts_with(".Seriez"), "{there:?} in\n{}", file.text);
        let end = found.end.context("the end of the token")?;
        ensure!(end.column - found.start.column == 7, "{found:?}");
    }
    Ok(())
}

#[test]
fn what_is_no_rule_is_passed_over_and_what_is_no_yaml_is_not() -> Result<()> {
    let file = |text: &str| SourceFile {
        name: "x.yaml".to_owned(),
        text: text.to_owned(),
    };
    for text in [
        "",
        "# nothing\n",
        "apiVersion: v1\nkind: ConfigMap\ndata: {spec: 1}\n",
        "- 1\n- 2\n",
        "just text",
        "kind: MetricRule\napiVersion: other.example/v1\n",
    ] {
        ensure!(
            lines(&[file(text)]).is_empty(),
            "{text}: {}",
            lines(&[file(text)])
        );
    }
    for (text, place) in [("a: 1\n b: 2\n", "2:"), ("a: [1\n", ":"), ("a: 1\na: 2\n", "2:1")] {
        let said = lines(&[file(text)]);
        ensure!(
            said.starts_with(&format!("x.yaml:{place}")) && said.contains("error[Undecodable]")
                || place == ":" && said.contains("error[Undecodable]"),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn a_custom_resource_is_known_by_its_crd() {
    let rule = "apiVersion: metricrule.dev/v1alpha1\nkind: ClusterMetricRule\nmetadata: {name: a}\nspec:\n  \
                seriesQuery: a{widget!=\"\"}\n  resources: {overrides: {widget: {resource: widget}}}\n  \
                metricsQuery: max by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})\n";
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\n\
               spec:\n  group: example.com\n  scope: Namespaced\n  names: {plural: widgets, kind: Widget}\n  \
               versions: [{name: v1}]\n";
    let file = |name: &str, text: &str| SourceFile {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let alone = check(&[file("rule.yaml", rule)], &Options::default());
    assert_eq!(alone.count(Severity::Note), 1, "{alone:?}");
    let both = check(
        &[file("rule.yaml", rule), file("crd.yaml", crd)],
        &Options::default(),
    );
    assert_eq!(both.diagnostics, []);
}

#[test]
fn programs_can_read_the_outputs() -> Result<()> {
    let text = "apiVersion: metricrule.dev/v1alpha1\nkind: MetricRule\nmetadata: {name: a}\nspec:\n  seriesQuery: a_total{pod!=\"\"}\n  \
                resources: {overrides: {pod: {resource: pods}}}\n  metricsQuery: 100%sum(<<.Series>>{<<.LabelMatchers>>}[\n";
    let files = [SourceFile {
        name: "./a b/x,y:z.yaml".to_owned(),
        text: text.to_owned(),
    }];
    let report = check(&files, &Options::default());
    ensure!(report.count(Severity::Error) == 1, "{report:?}");

    let json: Value = serde_json::from_str(&output::json(&report, &files))?;
    ensure!(
        json["summary"]["errors"] == 1 && json["summary"]["rules"] == 1,
        "{json}"
    );
    let first = &json["diagnostics"][0];
    ensure!(
        first["line"] == 7 && first["severity"] == "error" && first["reason"] == "InvalidQuery",
        "{json}"
    );

    let sarif: Value = serde_json::from_str(&output::sarif(&report, &files))?;
    ensure!(sarif["version"] == "2.1.0", "{sarif}");
    let run = &sarif["runs"][0];
    let result = &run["results"][0];
    let index = usize::try_from(result["ruleIndex"].as_u64().context("ruleIndex")?)?;
    let rule = &run["tool"]["driver"]["rules"][index];
    ensure!(
        rule["id"] == result["ruleId"] && rule["helpUri"].is_string() && rule["help"]["text"].is_string()
    );
    let place = &result["locations"][0]["physicalLocation"];
    ensure!(
        place["artifactLocation"]["uri"] == "a%20b/x%2Cy%3Az.yaml",
        "{place}"
    );
    ensure!(place["region"]["startLine"] == 7 && place["region"]["startColumn"].is_u64());
    ensure!(result["level"] == "error" && result["message"]["text"].is_string());

    let github = output::github(&report, &files);
    ensure!(
        github.starts_with("::error file=./a b/x%2Cy%3Az.yaml,line=7,col=")
            && github.contains(",title=InvalidQuery::"),
        "{github}"
    );
    ensure!(github.lines().count() == 1, "{github}");
    Ok(())
}

#[test]
fn the_page_lists_all_advice() -> Result<()> {
    let page = repository::read("docs/checking.md")?;
    for reason in advice::REASONS {
        let row = format!("| `{}` | {} |", reason.code(), reason.text());
        ensure!(page.contains(&row), "docs/checking.md has no row\n{row}");
    }
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("`. ") | line.ends_with(". |"));
    ensure!(rows.count() >= advice::REASONS.len());
    Ok(())
}
