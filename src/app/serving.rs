//! Serving certificate and the APIServices' CA bundle: from files, or from the operator's own CA.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::tasks::Tasks;
use crate::pki::{self, ServingCertificate};

/// Ends when there is a certificate; gives that and those to come.
pub(super) type FirstCertificate =
    BoxFuture<'static, anyhow::Result<watch::Receiver<Arc<ServingCertificate>>>>;

/// How often a bundle is read again. Files of a mounted Secret change by a swap of folders, which no watch of one file sees.
const REREAD: Duration = Duration::from_secs(30);

/// The leaves of the operator's own CA.
pub(super) fn issued(
    mut leaves: watch::Receiver<Option<Arc<ServingCertificate>>>,
    tasks: &mut Tasks,
) -> FirstCertificate {
    let (first, mut receiver) = watch::channel(None::<watch::Receiver<Arc<ServingCertificate>>>);
    tasks.spawn_fallible("serving", async move {
        let Ok(leaf) = leaves.wait_for(Option::is_some).await.map(|leaf| leaf.clone()) else {
            return std::future::pending().await;
        };
        let Some(leaf) = leaf else {
            return "no certificate is available";
        };
        let (sender, certificates) = watch::channel(leaf);
        first.send_replace(Some(certificates));
        while leaves.changed().await.is_ok() {
            if let Some(leaf) = leaves.borrow_and_update().clone() {
                sender.send_replace(leaf);
            }
        }
        std::future::pending().await
    });
    Box::pin(async move {
        let certificates = receiver
            .wait_for(Option::is_some)
            .await
            .map(|certificates| certificates.clone());
        certificates
            .ok()
            .flatten()
            .ok_or_else(|| anyhow!("the operator's CA stopped before it issued a certificate"))
    })
}

/// The CA bundle of a file, read again as it changes; one that cannot be read leaves the former in force.
pub(super) fn bundle_file(
    path: PathBuf,
    tasks: &mut Tasks,
) -> anyhow::Result<watch::Receiver<Option<Arc<[u8]>>>> {
    let bundle =
        std::fs::read(&path).with_context(|| format!("the CA bundle {} cannot be read", path.display()))?;
    pki::check_bundle(&bundle).with_context(|| format!("the CA bundle {} cannot be used", path.display()))?;
    let (sender, receiver) = watch::channel(Some(bundle.into()));
    tasks.spawn("ca bundle", async move {
        loop {
            tokio::time::sleep(REREAD).await;
            let read = tokio::fs::read(&path).await.map_err(anyhow::Error::from);
            let checked = read.and_then(|bundle| {
                pki::check_bundle(&bundle)?;
                Ok(bundle)
            });
            match checked {
                Ok(bundle) => {
                    _ = sender.send_if_modified(|known| {
                        let changed = known.as_deref() != Some(bundle.as_slice());
                        *known = Some(bundle.into());
                        changed
                    });
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "the CA bundle could not be reloaded; the old one stays in use");
                }
            }
        }
    });
    Ok(receiver)
}
