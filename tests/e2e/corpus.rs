//! Configurations of prometheus-adapter in every form that the import knows: accepted by the API server and by the controller.

use std::path::Path;

use anyhow::{Result, ensure};
use testbed::{corpus, programs};

use crate::support::builder;

#[tokio::test]
async fn imported_configurations_are_accepted() -> Result<()> {
    // A cluster of its own: among the rules are some that claim every metric there is.
    let testbed = builder().replicas(1).prometheus(false).start().await?;
    let binary = Path::new(env!("CARGO_BIN_EXE_metricrule"));
    let files = corpus::files(&programs::repository().join("tests/fixtures/adapter"))?;
    ensure!(files.len() >= 40, "only {} configurations", files.len());
    for file in files {
        let outcome = corpus::judge(&testbed, binary, &file).await?;
        ensure!(
            matches!(outcome.verdict, corpus::Verdict::Accepted { left_out: None, .. }),
            "{outcome}"
        );
    }
    Ok(())
}
