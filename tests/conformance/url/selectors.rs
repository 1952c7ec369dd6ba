//! Which objects and series are chosen, and the other parameters (points 16 to 25).

mod options;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use language::selector::Selector;
use serde_json::Value;

use crate::expect::{names, same, values};
use crate::point::{Point, url};
use crate::target::{CUSTOM, EXTERNAL, Target};
use crate::uri::with;

pub(super) const POINTS: &[Point] = &[
    url(
        16,
        "`labelSelector` chooses objects and `metricLabelSelector` series, in both versions",
        |target| Box::pin(objects_and_series(target)),
    ),
    url(
        17,
        "of an external metric `labelSelector` chooses series",
        |target| Box::pin(external_series(target)),
    ),
    url(
        18,
        "every operator of label selectors is understood; texts, canonical forms and errors are those of apimachinery",
        |target| Box::pin(operators(target)),
    )
    .and_unit(|| Box::pin(async { grammar() })),
    url(
        19,
        "a bad `labelSelector` is 400 BadRequest with the parser's text",
        |target| Box::pin(bad_label_selector(target)),
    ),
    url(20, "a bad `metricLabelSelector` is 400 BadRequest", |target| {
        Box::pin(bad_metric_selector(target))
    })
    .beyond("500 without a reason, although it is the client's mistake, and clients retry a 500"),
    url(
        21,
        "`limit`, `continue` and `resourceVersion` are ignored: the list is complete, its metadata empty",
        |target| Box::pin(options::no_pages(target)),
    ),
    url(
        22,
        "`watch=true` is 405 for external metrics and ignored for custom ones",
        |target| Box::pin(options::no_watch(target)),
    )
    .in_part("metrics.k8s.io is not served"),
    url(
        23,
        "`fieldSelector` has to name the object of the path; other fields are 400; external metrics ignore it",
        |target| Box::pin(options::fields(target)),
    ),
    url(
        24,
        "`timeout=abc` is 400; `timeout=1s` ends in 504 after a second",
        |target| Box::pin(options::bad_timeout(target)),
    )
    .and_lab(|| Box::pin(crate::lab::backends::timeout_of_the_request())),
    url(
        25,
        "`pretty=true`, curl, Wget and browsers get indented JSON",
        |target| Box::pin(options::pretty(target)),
    ),
];

/// Selectors as written, and their canonical form.
const VALID: &[(&str, &str)] = &[
    ("a=b", "a=b"),
    ("a==b", "a==b"),
    ("a!=b", "a!=b"),
    ("a in (b,c)", "a in (b,c)"),
    ("a notin (b)", "a notin (b)"),
    ("a", "a"),
    ("!a", "!a"),
    ("a>5", "a>5"),
    ("a<5", "a<5"),
    ("a=b,c", "a=b,c"),
    ("a=", "a="),
    ("a in ()", "a in ()"),
    ("example.com/x=y", "example.com/x=y"),
    ("a =  b , c in ( x , y )", "a=b,c in (x,y)"),
    ("", ""),
    ("a in (c,b,a)", "a in (a,b,c)"),
    ("z=1,a=2", "a=2,z=1"),
    ("in in (in)", "in in (in)"),
    ("a=b.c-d_e", "a=b.c-d_e"),
];

const NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
                     start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
                     for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Texts that are no selectors, and what the parser says; `{NAME}` and `{VALUE}` stand for the texts above.
const INVALID: &[(&str, &str)] = &[
    (
        "!!bad",
        "unable to parse requirement: found '!', expected: identifier",
    ),
    ("a=b=c", "found '=', expected: ',' or 'end of string'"),
    (
        "a b",
        "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
    ),
    (
        "a in (b",
        "unable to parse requirement: found '', expected: ',' or ')'",
    ),
    (
        "_a=b",
        "unable to parse requirement: <nil>: Invalid value: \"_a\": {NAME}",
    ),
    (
        "a=b/c",
        "unable to parse requirement: values[0][a]: Invalid value: \"b/c\": {VALUE}",
    ),
    (
        "a=.b",
        "unable to parse requirement: values[0][a]: Invalid value: \".b\": {VALUE}",
    ),
    (
        "a>x",
        "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
    ),
    (",", "found ',', expected: !, identifier, or 'end of string'"),
    ("a=b,,c", "found ',', expected: identifier after ','"),
    (
        "A=ü",
        "unable to parse requirement: values[0][A]: Invalid value: \"ü\": {VALUE}",
    ),
    ("a=b c", "found 'c', expected: ',' or 'end of string'"),
    (
        "a=\"b\"",
        "unable to parse requirement: values[0][a]: Invalid value: \"\\\"b\\\"\": {VALUE}",
    ),
    (
        "a=~b",
        "unable to parse requirement: values[0][a]: Invalid value: \"~b\": {VALUE}",
    ),
    (
        "__name__=x",
        "unable to parse requirement: <nil>: Invalid value: \"__name__\": {NAME}",
    ),
];

fn said(template: &str) -> String {
    template.replace("{NAME}", NAME).replace("{VALUE}", VALUE)
}

async fn list(target: &Target, path: &str, version: &str, parameters: &[(&str, &str)]) -> Result<Vec<Value>> {
    target.admin.get(&with(path, parameters)).await?.list(version)
}

async fn objects_and_series(target: Arc<Target>) -> Result<()> {
    for version in CUSTOM {
        for (position, namespace) in target.data.namespaces.iter().enumerate() {
            let all = target.pods_in(position, version, "*");
            for (selector, want) in [("app=web", &namespace.web), ("app=db", &namespace.db)] {
                for series in [None, Some("verb=GET")] {
                    let mut parameters = vec![("labelSelector", selector)];
                    parameters.extend(series.map(|series| ("metricLabelSelector", series)));
                    let items = list(&target, &all, version, &parameters).await?;
                    let found: Vec<_> = names(&items).into_iter().zip(values(&items)).collect();
                    let want = want.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    same(&found, &want.collect(), &format!("{all} {parameters:?}"))?;
                }
            }
            let every = list(&target, &all, version, &[("metricLabelSelector", "verb=GET")]).await?;
            same(&every.len(), &namespace.pods().len(), "the pods with verb=GET")?;
            for none in [
                &[("labelSelector", "app=nobody")][..],
                &[("metricLabelSelector", "verb=POST")],
                &[
                    ("labelSelector", "app=web"),
                    ("metricLabelSelector", "verb in (POST,PUT)"),
                ],
            ] {
                let items = list(&target, &all, version, none).await?;
                ensure!(items.is_empty(), "{all} {none:?}: {items:?}");
            }
        }
        let (pod, value) = target.data.first().pod();
        let one = target.pods(version, pod);
        let item = target
            .admin
            .get(&with(&one, &[("metricLabelSelector", "verb=GET")]))
            .await?;
        same(
            &item.item(version)?["value"],
            &Value::from(value),
            "the value by name",
        )?;
        let none = with(&one, &[("metricLabelSelector", "verb=POST")]);
        target.admin.get(&none).await?.failure(404, "NotFound")?;
    }
    Ok(())
}

async fn external_series(target: Arc<Target>) -> Result<()> {
    let label = |item: &Value| item["metricLabels"]["foo"].as_str().unwrap_or("?").to_owned();
    for namespace in &target.data.namespaces {
        let path = format!(
            "/apis/{EXTERNAL}/namespaces/{}/{}",
            namespace.name, target.data.metrics.external
        );
        for (selector, want) in [
            ("", &["bar", "baz"][..]),
            ("foo=bar", &["bar"]),
            ("foo==baz", &["baz"]),
            ("foo!=bar", &["baz"]),
            ("foo in (baz,bar,boo)", &["bar", "baz"]),
            ("foo notin (bar)", &["baz"]),
            ("foo", &["bar", "baz"]),
            ("foo=bar,foo!=baz", &["bar"]),
            ("!foo", &[]),
            ("foo=nothing", &[]),
        ] {
            let items = list(&target, &path, EXTERNAL, &[("labelSelector", selector)]).await?;
            same(
                &items.iter().map(label).collect(),
                &want.iter().map(ToString::to_string).collect::<Vec<_>>(),
                selector,
            )?;
            for item in &items {
                let series = namespace
                    .external
                    .iter()
                    .find(|series| series.labels["foo"] == label(item));
                let series = series.with_context(|| format!("no such series: {item}"))?;
                same(&item["value"], &Value::from(series.value.as_str()), selector)?;
            }
        }
        // that one is no parameter of external metrics
        let items = list(&target, &path, EXTERNAL, &[("metricLabelSelector", "foo=bar")]).await?;
        same(
            &items.len(),
            &namespace.external.len(),
            "with metricLabelSelector",
        )?;
    }
    Ok(())
}

async fn operators(target: Arc<Target>) -> Result<()> {
    let namespace = target.data.first();
    let web: Vec<_> = namespace.web.keys().map(String::as_str).collect();
    let db: Vec<_> = namespace.db.keys().map(String::as_str).collect();
    let both: Vec<_> = namespace.pods().into_keys().collect();
    for version in CUSTOM {
        let all = target.pods(version, "*");
        for (selector, want) in [
            ("app=web", &web),
            ("app==web", &web),
            ("app!=web", &db),
            ("app in (web)", &web),
            ("app in (db,web)", &both),
            ("app notin (web)", &db),
            ("app", &both),
            ("!app", &Vec::new()),
            ("app>5", &Vec::new()),
            ("app<5", &Vec::new()),
            ("app", &both),
            ("", &both),
            (" app =  web , app in ( web , x ) ", &web),
            ("app in ()", &Vec::new()),
            ("example.com/app=web", &Vec::new()),
            ("!example.com/app", &both),
        ] {
            let items = list(&target, &all, version, &[("labelSelector", selector)]).await?;
            same(&names(&items), want, selector)?;
        }
        for (text, error) in INVALID {
            refused(&target, &with(&all, &[("labelSelector", text)]), &said(error)).await?;
        }
    }
    for (text, error) in INVALID {
        refused(
            &target,
            &with(&target.external(), &[("labelSelector", text)]),
            &said(error),
        )
        .await?;
    }
    Ok(())
}

fn grammar() -> Result<()> {
    for (text, canonical) in VALID {
        let selector = Selector::parse(text).with_context(|| (*text).to_owned())?;
        same(&selector.to_string().as_str(), canonical, text)?;
    }
    for (text, error) in INVALID {
        match Selector::parse(text) {
            Ok(selector) => anyhow::bail!("{text}: is {selector}, want an error"),
            Err(is) => same(&is.to_string(), &said(error), text)?,
        }
    }
    Ok(())
}

/// 400 with this text and without details.
async fn refused(target: &Target, path: &str, message: &str) -> Result<()> {
    let failure = target.admin.get(path).await?.failure(400, "BadRequest")?;
    same(&failure.message.as_str(), &message, path)?;
    same(&failure.details, &None, path)
}

async fn bad_label_selector(target: Arc<Target>) -> Result<()> {
    let text = "unable to parse requirement: found '!', expected: identifier";
    for version in CUSTOM {
        for path in [
            target.pods(version, "*"),
            target.pods(version, target.data.first().pod().0),
        ] {
            refused(&target, &with(&path, &[("labelSelector", "!!bad")]), text).await?;
        }
    }
    refused(
        &target,
        &with(&target.external(), &[("labelSelector", "!!bad")]),
        text,
    )
    .await
}

async fn bad_metric_selector(target: Arc<Target>) -> Result<()> {
    let text = "unable to parse requirement: found '!', expected: identifier";
    for version in CUSTOM {
        for path in [
            target.pods(version, "*"),
            target.pods(version, target.data.first().pod().0),
        ] {
            refused(&target, &with(&path, &[("metricLabelSelector", "!!bad")]), text).await?;
        }
    }
    Ok(())
}
