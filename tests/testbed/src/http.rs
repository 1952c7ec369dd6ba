//! Plain HTTP on loopback, for probes and queries.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::RequestBuilder;

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
    send(client()?.get(url).timeout(timeout))
        .await
        .with_context(|| format!("GET {url}"))
}

/// Posts JSON to a URL; gives the status code and the body.
///
/// # Errors
/// The server cannot be reached or does not answer within `timeout`.
pub async fn post(url: &str, json: String, timeout: Duration) -> Result<(u16, String)> {
    let request = client()?
        .post(url)
        .header("content-type", "application/json")
        .body(json);
    send(request.timeout(timeout))
        .await
        .with_context(|| format!("POST {url}"))
}

fn client() -> Result<&'static reqwest::Client> {
    CLIENT.as_ref().context("the HTTP client could not be made")
}

async fn send(request: RequestBuilder) -> Result<(u16, String)> {
    runtime::run(async move {
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    })
    .await
}
