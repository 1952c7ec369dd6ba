//! One replica on an API server that the point plays, with CAs of its own: for what a real cluster does not do on demand.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testbed::folder::Folder;
use testbed::kubeconfig::{self, User};
use testbed::pki::{Authority, Pair};
use testbed::process::Process;
use testbed::{eventually, http as plain, ports};

use super::played::Played;
use super::{SERVER_NAME, identity};
use crate::ask::{Ask, Client, Reply};

/// How long a replica may take to serve, on a machine that is busy building.
const START: Duration = Duration::from_mins(1);

/// A replica and the cluster that is played to it. Both end when it is dropped.
pub(super) struct Stage {
    pub(super) process: Process,
    pub(super) api: Played,
    /// Issues certificates of users.
    pub(super) client_ca: Authority,
    /// Issues the front proxy's certificate.
    pub(super) front_proxy_ca: Authority,
    serving_ca: Authority,
    secure_port: u16,
    http_port: u16,
    folder: Folder,
}

/// The ConfigMap of a cluster, as kube-apiserver writes it.
pub(super) struct Trust<'a> {
    pub(super) client: &'a [&'a Authority],
    pub(super) front_proxy: &'a [&'a Authority],
    pub(super) allowed_names: &'a [&'a str],
    pub(super) uid_headers: &'a [&'a str],
}

// === impl Trust ===

impl Trust<'_> {
    pub(super) fn data(&self) -> BTreeMap<String, String> {
        let bundle = |authorities: &[&Authority]| -> String {
            authorities.iter().map(|authority| authority.pem()).collect()
        };
        let list = |names: &[&str]| Value::from(names.to_vec()).to_string();
        [
            ("client-ca-file", bundle(self.client)),
            ("requestheader-client-ca-file", bundle(self.front_proxy)),
            ("requestheader-allowed-names", list(self.allowed_names)),
            ("requestheader-username-headers", list(&["X-Remote-User"])),
            ("requestheader-group-headers", list(&["X-Remote-Group"])),
            ("requestheader-extra-headers-prefix", list(&["X-Remote-Extra-"])),
            ("requestheader-uid-headers", list(self.uid_headers)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

// === impl Stage ===

impl Stage {
    /// A replica that runs, and has read the ConfigMap.
    pub(super) async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with further arguments.
    pub(super) async fn start_with(args: &[&str]) -> Result<Self> {
        let stage = Self::build(args).await?;
        stage.run().await?;
        Ok(stage)
    }

    /// Starts the replica, and waits until it has read the ConfigMap.
    pub(super) async fn run(&self) -> Result<()> {
        self.process.start()?;
        self.process
            .ready(START, || async {
                let (status, text) = self.plainly("/readyz/authentication").await?;
                ensure!(status == 200, "{status}: {text}");
                self.anonymous()?.send(&Ask::get("/healthz")).await?;
                Ok(())
            })
            .await
    }

    /// Gets a path from its plain port: status and text.
    pub(super) async fn plainly(&self, path: &str) -> Result<(u16, String)> {
        plain::get(&format!("http://127.0.0.1:{}{path}", self.http_port), START).await
    }

    /// Nothing runs yet but the API server.
    pub(super) async fn build(args: &[&str]) -> Result<Self> {
        let folder = Folder::new()?;
        let path = folder.path();
        let client_ca = Authority::new("client-ca", &path.join("client"))?;
        let front_proxy_ca = Authority::new("front-proxy-ca", &path.join("front-proxy"))?;
        let serving_ca = Authority::new("serving-ca", &path.join("serving"))?;
        let serving = serving_ca.server("metricrule", &[SERVER_NAME], &[])?;
        let trust = Trust {
            client: &[&client_ca],
            front_proxy: &[&front_proxy_ca],
            allowed_names: &["front-proxy-client"],
            uid_headers: &["X-Remote-Uid"],
        };
        let api = Played::start(trust.data()).await?;
        let kubeconfig = kubeconfig::write(
            &path.join("kubeconfig"),
            &api.url(),
            Some(&serving_ca.certificate),
            &User::Token("played"),
            "metricrule-system",
        )?;
        let (secure_port, http_port) = (ports::free()?, ports::free()?);
        let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
        let process = Process::new("replica", Path::new(env!("CARGO_BIN_EXE_metricrule")), path)
            .args([
                "serve".to_owned(),
                file("kubeconfig", &kubeconfig),
                file("tls-cert-file", &serving.certificate),
                file("tls-private-key-file", &serving.key),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={secure_port}"),
                format!("--http-port={http_port}"),
                "--register=never".to_owned(),
            ])
            .args(args.iter().copied());
        let process = if args.iter().any(|arg| arg.starts_with("--shutdown-delay")) {
            process
        } else {
            process.args(["--shutdown-delay=0s"])
        };
        Ok(Self {
            process,
            api,
            client_ca,
            front_proxy_ca,
            serving_ca,
            secure_port,
            http_port,
            folder,
        })
    }

    /// What the ConfigMap says at the start, to be changed.
    pub(super) fn trust(&self) -> BTreeMap<String, String> {
        Trust {
            client: &[&self.client_ca],
            front_proxy: &[&self.front_proxy_ca],
            allowed_names: &["front-proxy-client"],
            uid_headers: &["X-Remote-Uid"],
        }
        .data()
    }

    /// A folder for certificates of a point's own.
    pub(super) fn folder(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Issued the replica's serving certificate.
    pub(super) fn serving_ca(&self) -> &Authority {
        &self.serving_ca
    }

    /// A client without credentials.
    pub(super) fn anonymous(&self) -> Result<Client> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.secure_port));
        Client::new(address, SERVER_NAME, &self.serving_ca.pem())
    }

    /// A client that shows this certificate.
    pub(super) fn with(&self, pair: &Pair) -> Result<Client> {
        Ok(self.anonymous()?.with_identity(identity(pair)?))
    }

    /// The front proxy.
    pub(super) fn proxy(&self) -> Result<Client> {
        self.with(&self.front_proxy_ca.client("front-proxy-client", None)?)
    }

    /// Sends a request; gives the reply and the spec of the SubjectAccessReview that was made for it, if one was.
    pub(super) async fn seen(&self, client: &Client, ask: &Ask) -> Result<(Reply, Option<Value>)> {
        let before = self.api.asked_accesses().len();
        let reply = client.send(ask).await?;
        let mut asked = self.api.asked_accesses().split_off(before);
        ensure!(asked.len() < 2, "{}: asked {asked:?}", reply.asked);
        Ok((reply, asked.pop().map(|mut review| review["spec"].take())))
    }

    /// Waits until the log has a text.
    pub(super) async fn logged(&self, text: &str) -> Result<()> {
        eventually(START, "the log says it", || async {
            let log = self.process.log_text();
            ensure!(log.contains(text), "no {text:?}{}", self.process.tail());
            Ok(())
        })
        .await
        .context(text.to_owned())
    }
}
