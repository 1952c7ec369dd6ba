//! Where kubectl cannot be content: it is not more so with Go's own server.

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use testbed::command::Said;
use testbed::reference::Reference;
use testbed::{Testbed, eventually};

use super::documents::OPENAPI;
use super::kubectl::AGES;
use super::older::register;
use super::scene::{VERSIONS, discovered, in_scene};
use crate::support::get;

/// What kubectl says of kinds that are in no list of resources, it says in the same words of Go's own server: they are in no list
/// of that one either, so there is nothing that it could explain.
#[tokio::test]
async fn kubectl_says_of_our_kinds_what_it_says_of_those_of_gos_own_server() -> Result<()> {
    let lines = [
        "explain --api-version=custom.metrics.k8s.io/v1beta2 pods",
        "explain --api-version=custom.metrics.k8s.io/v1beta1 pods",
        "explain --api-version=custom.metrics.k8s.io/v1beta2 metricvaluelists",
        "explain --api-version=external.metrics.k8s.io/v1beta1 externalmetricvaluelists",
        "explain externalmetricvaluelists.external.metrics.k8s.io",
        "get metricvalues.custom.metrics.k8s.io",
        "get externalmetricvalues.external.metrics.k8s.io",
        "api-resources --api-group=custom.metrics.k8s.io",
        "api-versions",
    ];
    let theirs = Box::pin(said_of_reference(&lines)).await?;
    in_scene("clients-explain", async |scene| {
        documented(&scene.testbed.client().await?).await?;
        let mut ours = Vec::new();
        for (program, _) in AGES {
            for line in lines {
                let args: Vec<&str> = line.split(' ').collect();
                ours.push((
                    program,
                    line,
                    scene.testbed.run(program, scene.admin(), &args, "").await?,
                ));
            }
        }
        for ((program, line, ours), theirs) in ours.iter().zip(&theirs) {
            let ours = (ours.success, &ours.stderr, without_our_kinds(&ours.stdout));
            let theirs = (theirs.success, &theirs.stderr, without_our_kinds(&theirs.stdout));
            ensure!(
                ours == theirs,
                "{program} {line}: {ours:?}, of Go's own server {theirs:?}"
            );
        }
        Ok(())
    })
    .await
}

fn without_our_kinds(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.starts_with("metricrule.dev/"))
        .collect()
}

/// The same lines in a cluster that has Go's own server for its metrics APIs.
async fn said_of_reference(lines: &[&str]) -> Result<Vec<Said>> {
    let testbed = Testbed::builder().prometheus(false).start().await?;
    let reference = Reference::start(&testbed).await?;
    let port: u16 = reference.url().rsplit(':').next().context("no port")?.parse()?;
    register(&testbed, port, &VERSIONS).await?;
    let admin = testbed.control_plane().kubeconfig();
    let client = testbed.client().await?;
    discovered(&client, &VERSIONS).await?;
    documented(&client).await?;
    let mut said = Vec::new();
    for (program, _) in AGES {
        for line in lines {
            let args: Vec<&str> = line.split(' ').collect();
            said.push(testbed.run(program, admin, &args, "").await?);
        }
    }
    Ok(said)
}

/// kube-apiserver has fetched the OpenAPI documents of the metrics APIs: without one, kubectl says something else.
async fn documented(client: &Client) -> Result<()> {
    eventually(OPENAPI, "the metrics APIs are documented", || async {
        let documents = get(client, "/openapi/v3").await?;
        for (group, version) in VERSIONS {
            ensure!(
                documents["paths"][format!("apis/{group}/{version}")].is_object(),
                "{group}/{version} is not"
            );
        }
        Ok(())
    })
    .await
}
