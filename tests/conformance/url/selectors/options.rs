//! Parameters beside the selectors.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::ask::Ask;
use crate::expect::same;
use crate::golden;
use crate::target::{CUSTOM, EXTERNAL, Target, V1BETA2};
use crate::uri::with;

pub(super) async fn no_pages(target: Arc<Target>) -> Result<()> {
    let namespace = target.data.first();
    for query in [
        "limit=1",
        "limit=1&continue=x",
        "resourceVersion=0",
        "resourceVersion=5&limit=2",
    ] {
        for version in CUSTOM {
            let reply = target
                .admin
                .get(&format!("{}?{query}", target.pods(version, "*")))
                .await?;
            same(&reply.list(version)?.len(), &namespace.pods().len(), query)?;
        }
    }
    for query in ["limit=1", "resourceVersion=0"] {
        let reply = target
            .admin
            .get(&format!("{}?{query}", target.external()))
            .await?;
        same(&reply.list(EXTERNAL)?.len(), &namespace.external.len(), query)?;
    }
    for name in ["limit", "timeoutSeconds"] {
        for path in [target.pods(V1BETA2, "*"), target.external()] {
            let failure = target
                .admin
                .get(&format!("{path}?{name}=abc"))
                .await?
                .failure(400, "BadRequest")?;
            same(
                &failure.message.as_str(),
                &"strconv.ParseInt: parsing \"abc\": invalid syntax",
                name,
            )?;
        }
    }
    Ok(())
}

pub(super) async fn no_watch(target: Arc<Target>) -> Result<()> {
    for value in ["true", "1"] {
        let query = format!("watch={value}");
        let failure = target
            .admin
            .get(&format!("{}?{query}", target.external()))
            .await?
            .failure(405, "MethodNotAllowed")?;
        same(
            &failure.message.as_str(),
            &"watch is not supported on resources of kind \"*.external.metrics.k8s.io\"",
            &query,
        )?;
        same(
            &failure.details,
            &Some(json!({"group": "external.metrics.k8s.io", "kind": "*"})),
            &query,
        )?;
        for version in CUSTOM {
            let reply = target
                .admin
                .get(&format!("{}?{query}", target.pods(version, "*")))
                .await?;
            same(
                &reply.list(version)?.len(),
                &target.data.first().pods().len(),
                &query,
            )?;
        }
    }
    Ok(())
}

pub(super) async fn fields(target: Arc<Target>) -> Result<()> {
    let (pod, value) = target.data.first().pod();
    let other = "fieldSelector metadata.name doesn't match requested name";
    let unknown =
        "\"status.foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
    for version in CUSTOM {
        let one = target.pods(version, pod);
        for exact in [
            format!("metadata.name={pod}"),
            format!("metadata.name=={pod}"),
            String::new(),
        ] {
            let reply = target
                .admin
                .get(&with(&one, &[("fieldSelector", &exact)]))
                .await?;
            same(&reply.item(version)?["value"], &Value::from(value), &exact)?;
        }
        let all = target.pods(version, "*");
        for (path, selector, message) in [
            (&one, "metadata.name=another", other),
            (&one, "metadata.name!=another", other),
            (&one, "metadata.namespace=somewhere", other),
            (&one, "status.foo=x", unknown),
            (&all, "metadata.name=x", other),
            (&all, "metadata.namespace=somewhere", other),
            (&all, "status.foo=x", unknown),
            (
                &one,
                "nonsense",
                "invalid selector: 'nonsense'; can't understand 'nonsense'",
            ),
        ] {
            let path = with(path, &[("fieldSelector", selector)]);
            let failure = target.admin.get(&path).await?.failure(400, "BadRequest")?;
            same(&failure.message.as_str(), &message, &path)?;
            same(&failure.details, &None, &path)?;
        }
    }
    let reply = target
        .admin
        .get(&with(&target.external(), &[("fieldSelector", "metadata.name=x")]))
        .await?;
    same(
        &reply.list(EXTERNAL)?.len(),
        &target.data.first().external.len(),
        "external",
    )
}

pub(super) async fn bad_timeout(target: Arc<Target>) -> Result<()> {
    let namespace = target.data.first();
    for path in [target.pods(V1BETA2, "*"), target.external()] {
        for (wrong, problem) in [
            ("abc", "invalid duration"),
            ("s", "invalid duration"),
            ("1", "missing unit in duration"),
            ("1x", "unknown unit \"x\" in duration"),
        ] {
            let reply = target.admin.get(&format!("{path}?timeout={wrong}")).await?;
            let failure = reply.failure(400, "BadRequest")?;
            let text = format!("invalid timeout specified in the request URL - time: {problem} \"{wrong}\"");
            same(&failure.message, &text, wrong)?;
            same(&failure.details, &None, wrong)?;
        }
    }
    for enough in ["30s", "1m30s", "0", "-5s", "500h"] {
        let reply = target
            .admin
            .get(&format!("{}?timeout={enough}", target.pods(V1BETA2, "*")))
            .await?;
        same(&reply.list(V1BETA2)?.len(), &namespace.pods().len(), enough)?;
    }
    Ok(())
}

pub(super) async fn pretty(target: Arc<Target>) -> Result<()> {
    let pod = target.data.first().pod().0;
    for version in CUSTOM {
        let path = target.pods(version, pod);
        let agent = |name: &str| Ask::get(&path).header("user-agent", name);
        let asked = Ask::get(&format!("{path}?pretty=true"));
        for ask in [
            asked,
            agent("curl/8.5.0"),
            agent("Wget/1.21.4"),
            agent("Mozilla/5.0 (X11; Linux x86_64)"),
        ] {
            let reply = target.admin.send(&ask).await?;
            reply.item(version)?;
            golden::one_pod(&target, version, true)?.ensure_is(&reply)?;
        }
        let kubectl = agent("kubectl/v1.33.0 (linux/amd64) kubernetes/abc");
        let not_asked = Ask::get(&format!("{path}?pretty=false")).header("user-agent", "curl/8.5.0");
        for ask in [Ask::get(&path), kubectl, not_asked] {
            let reply = target.admin.send(&ask).await?;
            golden::one_pod(&target, version, false)?.ensure_is(&reply)?;
        }
        // errors too
        let missing = format!(
            "{}?pretty=true",
            target
                .pods(version, "*")
                .replace(&target.data.metrics.pods, "nobody_makes_this/x")
        );
        let reply = target.admin.get(&missing).await?;
        reply.failure(404, "NotFound")?;
        let text = reply.text();
        let first = text.lines().nth(1).context("one line")?;
        same(&first, &"  \"kind\": \"Status\",", &missing)?;
    }
    Ok(())
}
