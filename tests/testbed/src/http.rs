//! Plain HTTP on loopback, for probes and queries.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::runtime;

static CLIENT: LazyLock<Option<reqwest::Client>> = LazyLock::new(|| {
    // the environment's proxies are no concern of loopback
    reqwest::Client::builder().no_proxy().build().ok()
});

/// Gets a URL; gives the status code and the body.
///
/// # Errors
/// The server cannot be reached or does not answer within `timeout`.
pub async fn get(url: &str, timeout: Duration) -> Result<(u16, String)> {
    let request = url.to_owned();
    runtime::run(async move {
        let client = CLIENT.as_ref().context("the HTTP client could not be made")?;
        let response = client.get(&request).timeout(timeout).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    })
    .await
    .with_context(|| format!("GET {url}"))
}
