//! Go's own clients as judges: what the HPA controller, controllers that walk through discovery and people with kubectl, old and
//! new, make of the answers that come through a real kube-apiserver.

mod cases;
mod documents;
mod kubectl;
mod older;
mod program;
mod reference;
mod scene;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use self::cases::{Case, Want};
use self::program::{Answer, Item, JSON, PROTOBUF, Program};
use self::scene::in_scene;

/// How much older than now a value may be: a scrape a second, an answer that is used again for five, and a busy machine.
const FRESH: i64 = 60;

#[tokio::test]
async fn go_decodes_every_answer_and_every_refusal() -> Result<()> {
    in_scene("clients", async |scene| {
        // v1beta1 is asked as by a client that finds no other version
        for version in ["", "v1beta1"] {
            for content_type in [PROTOBUF, JSON] {
                let program = Program::new(&scene, scene.admin())
                    .custom_version(version)
                    .content_type(content_type);
                judge(&program, &cases::all(&scene.namespace))
                    .await
                    .with_context(|| format!("as {content_type}, custom metrics {version:?}"))?;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn go_sees_what_a_restricted_user_may_and_why_not_more() -> Result<()> {
    in_scene("clients-user", async |scene| {
        let user = scene.user("reader").await?;
        for version in ["", "v1beta1"] {
            let program = Program::new(&scene, &user).custom_version(version);
            judge(&program, &cases::of_reader(&scene.namespace)).await?;
        }
        Ok(())
    })
    .await
}

/// Runs the cases and tells all that are not as wanted.
async fn judge(program: &Program<'_>, cases: &[Case]) -> Result<()> {
    let calls: Vec<_> = cases.iter().map(|case| case.call.clone()).collect();
    let answers = program.run(&calls).await?;
    let mut wrong = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        if let Err(error) = check(program, case, answer) {
            wrong.push(format!("{}: {error:#}", answer.name));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {} calls:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    Ok(())
}

fn check(program: &Program<'_>, case: &Case, answer: &Answer) -> Result<()> {
    ensure!(answer.warnings.is_empty(), "it is warned: {:?}", answer.warnings);
    let sent = answer.requests.last().context("nothing was sent")?;
    ensure!(
        sent.accept == program.accepts(),
        "it is no client as the HPA controller's: it sends Accept: {}",
        sent.accept
    );
    // kube-apiserver says itself what is forbidden, and in protobuf to who prefers that
    let itself = answer.error.as_ref().is_some_and(|error| error.code == 403);
    ensure!(itself || sent.content_type == JSON, "{sent:?}");
    if sent.uri.starts_with("/apis/custom.metrics.k8s.io/") {
        let version = format!("/{}/", program.expected());
        ensure!(sent.uri.contains(&version), "not of {version}: {sent:?}");
    }
    match &case.want {
        Want::Values(values) => {
            let items = answer.values()?;
            let found: Vec<String> = items.iter().map(Item::summary).collect();
            ensure!(found == *values, "{found:?}, not {values:?}");
            let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
            for item in &items {
                ensure!(
                    (now - item.time).abs() < FRESH,
                    "its time is {}: {item:?}",
                    item.time
                );
                ensure!(item.metric == case.metric(), "{item:?}");
                case.check(item)?;
            }
        }
        Want::Refused { is, code, says } => {
            let error = answer
                .error
                .as_ref()
                .with_context(|| format!("it is answered {:?}", answer.result))?;
            ensure!(
                error.is == *is && error.code == *code,
                "{error:?}, not {code} {is:?}"
            );
            for text in says {
                ensure!(error.message.contains(text), "{error:?} does not say {text:?}");
            }
            ensure!(
                !error.message.contains("127.0.0.1"),
                "it tells where the backend is: {error:?}"
            );
            ensure!(
                answer.requests.len() == 1,
                "it was tried again: {:?}",
                answer.requests
            );
        }
    }
    Ok(())
}
