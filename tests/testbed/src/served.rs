//! A server of a test's own on loopback: a router, on a free port, for as long as it is held.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::runtime;

/// A router that is served. It ends when it is dropped.
#[derive(Debug)]
pub struct Served {
    port: u16,
    task: JoinHandle<()>,
}

// === impl Served ===

impl Served {
    /// Serves `app` over plain HTTP, on the runtime that outlives a test's own.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn start(app: Router) -> Result<Self> {
        runtime::run(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .context("the port of a test's server")?;
            let port = listener.local_addr()?.port();
            let task = tokio::spawn(async move {
                // ends only with the listener
                let _ = axum::serve(listener, app).await;
            });
            Ok(Self { port, task })
        })
        .await
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}
