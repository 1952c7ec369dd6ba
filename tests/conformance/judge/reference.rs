//! Go's reference server over the suite's data, on the shared control plane.

use anyhow::{Context as _, Result};
use testbed::reference::Reference;

use crate::ask::Client;
use crate::lab;
use crate::target::{Data, Target};

/// The running server and what it is asked; it ends when it is dropped.
pub(super) struct Judged {
    pub(super) target: Target,
    _server: Reference,
}

/// Starts it and gives it the suite's data.
pub(super) async fn start() -> Result<Judged> {
    // the objects of the data are those of the lab
    lab::target().await?;
    let testbed = lab::cluster().await?;
    let server = Reference::start(&testbed).await?;
    let data = data(Data::default_lab()?);
    fill(&server, &data).await?;
    let pki = testbed.control_plane().pki();
    let address = server.url().trim_start_matches("https://").parse()?;
    let client = Client::new(address, "localhost", &pki.cluster.pem())?;
    let target = Target {
        admin: client.with_identity(lab::identity(&pki.admin)?),
        data,
    };
    Ok(Judged {
        target,
        _server: server,
    })
}

/// Its external metrics are built in, the same for each namespace.
fn data(mut data: Data) -> Data {
    for namespace in &mut data.namespaces {
        for (series, value) in namespace.external.iter_mut().zip(["42", "43"]) {
            value.clone_into(&mut series.value);
        }
    }
    data
}

async fn fill(server: &Reference, data: &Data) -> Result<()> {
    let metrics = &data.metrics;
    for namespace in &data.namespaces {
        let name = &namespace.name;
        for (pod, value) in namespace.pods() {
            server
                .write_labelled(name, "pods", pod, &metrics.pods, "verb=GET", milli(value)?)
                .await?;
        }
        let (deployment, ingress) = (&namespace.deployment, &namespace.ingress);
        for (resource, object, metric) in [
            ("deployments.apps", deployment, &metrics.deployments),
            ("ingresses.networking.k8s.io", ingress, &metrics.ingresses),
        ] {
            server
                .write(name, resource, &object.name, metric, milli(&object.value)?)
                .await?;
        }
        let value = milli(&namespace.value)?;
        server
            .write("", "namespaces", name, &metrics.namespaces, value)
            .await?;
    }
    let node = &data.node;
    server
        .write("", "nodes", &node.name, &metrics.nodes, milli(&node.value)?)
        .await
}

/// A quantity of the suite's data in thousandths.
fn milli(quantity: &str) -> Result<i64> {
    let (digits, unit) = match quantity.strip_suffix('m') {
        Some(digits) => (digits, 1),
        None => (quantity, 1000),
    };
    let number: i64 = digits
        .parse()
        .with_context(|| format!("no whole number: {quantity}"))?;
    Ok(number * unit)
}
