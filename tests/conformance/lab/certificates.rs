//! Serving certificates and versions of TLS (points 79 and 80).

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use testbed::eventually;
use testbed::pki::Pair;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls;

use super::stage::Stage;
use super::{SERVER_NAME, admin, cluster, target};
use crate::ask::{Ask, Authorized, Client, Protocol};
use crate::expect::same;
use crate::point::{Point, lab};

pub(super) const POINTS: &[Point] = &[
    lab(
        79,
        "TLS 1.0 and 1.1 are refused, 1.2 and 1.3 accepted; a new certificate is served within 60 s and drops no \
         connection; while it is half-written, the old one stays in use",
        || Box::pin(versions_and_files()),
    ),
    lab(
        80,
        "the certificate is for `{service}.{namespace}.svc`; an APIService with a caBundle and without insecureSkipTLSVerify is \
         available",
        || Box::pin(names()),
    )
    .beyond("creates one for `localhost` if none is set, so that only insecureSkipTLSVerify works"),
];

/// How soon a new certificate has to be served.
const SOON: Duration = Duration::from_mins(1);

/// A mounted Secret, as the kubelet changes it: the files lead into `..data`, which leads into the folder of one version.
struct Mount {
    folder: PathBuf,
    names: [String; 2],
    versions: usize,
}

// === impl Mount ===

impl Mount {
    /// In place of the files of a pair that is there.
    fn replacing(pair: &Pair) -> Result<Self> {
        let folder = pair.certificate.parent().context("a folder")?.to_path_buf();
        let name = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.map(str::to_owned).context("a name")
        };
        let mut mount = Self {
            names: [name(&pair.certificate)?, name(&pair.key)?],
            folder,
            versions: 0,
        };
        mount.swap(&pair.certificate_pem, &pair.key_pem)?;
        for name in &mount.names {
            let path = mount.folder.join(name);
            std::fs::remove_file(&path)?;
            symlink(format!("..data/{name}"), path)?;
        }
        Ok(mount)
    }

    fn swap(&mut self, certificate: &str, key: &str) -> Result<()> {
        self.versions += 1;
        let version = format!("..{}", self.versions);
        let folder = self.folder.join(&version);
        std::fs::create_dir(&folder)?;
        let [certificate_name, key_name] = &self.names;
        std::fs::write(folder.join(certificate_name), certificate)?;
        std::fs::write(folder.join(key_name), key)?;
        let link = self.folder.join("..data_tmp");
        symlink(version, &link)?;
        Ok(std::fs::rename(link, self.folder.join("..data"))?)
    }

    fn remove(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.folder.join("..data"))?)
    }
}

async fn versions_and_files() -> Result<()> {
    let stage = Stage::build(&[]).await?;
    let first = stage.serving_ca().server("metricrule", &[SERVER_NAME], &[])?;
    let mut mount = Mount::replacing(&first)?;
    stage.run().await?;
    let proxy = stage.proxy()?;

    for minor in [1, 2] {
        refused(&proxy, minor).await?;
    }
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = proxy.tls_of(&[b"h2"], &[version]).await?;
        let agreed = stream.get_ref().1.protocol_version();
        same(&agreed, &Some(version.version), "the version of TLS")?;
    }

    let mut open = proxy.connect(Protocol::Http2).await?;
    goes_on(&mut open).await?;
    serves(&proxy, &first).await?;
    let second = stage.serving_ca().server("second", &[SERVER_NAME], &[])?;
    // the key of another certificate, half a certificate, nothing at all
    let (certificate, key) = (&second.certificate_pem, &second.key_pem);
    mount.swap(certificate, &first.key_pem)?;
    complains(&stage, 1, "cannot be used").await?;
    mount.swap(&certificate[..certificate.len() / 2], key)?;
    complains(&stage, 2, "cannot be used").await?;
    mount.remove()?;
    complains(&stage, 3, "cannot be read").await?;
    serves(&proxy, &first).await?;
    goes_on(&mut open).await?;

    mount.swap(certificate, key)?;
    eventually(SOON, "the new certificate is served", || serves(&proxy, &second)).await?;
    goes_on(&mut open).await?;
    let (_, metrics) = stage.plainly("/metrics").await?;
    for line in [
        "metricrule_certificate_reloads_total{outcome=\"ok\"} 1\n",
        "metricrule_certificate_expiry_timestamp_seconds{name=\"serving\"} ",
    ] {
        ensure!(metrics.contains(line), "{line} is not among\n{metrics}");
    }
    Ok(())
}

/// A `ClientHello` of TLS 1.`minor - 1` that offers what such clients do.
async fn refused(client: &Client, minor: u8) -> Result<()> {
    let mut body = vec![3, minor];
    body.extend([0x5a; 32]);
    // no session; ECDHE-ECDSA and ECDHE-RSA with AES128-SHA, AES128-SHA; no compression
    body.extend([0, 0, 6, 0xc0, 0x09, 0xc0, 0x13, 0, 0x2f, 1, 0]);
    // supported_groups: secp256r1; ec_point_formats: uncompressed
    body.extend([0, 14, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0]);
    let mut hello = vec![
        0x16,
        3,
        1,
        0,
        u8::try_from(body.len() + 4)?,
        1,
        0,
        0,
        u8::try_from(body.len())?,
    ];
    hello.extend(body);
    let mut stream = TcpStream::connect(client.address()).await?;
    stream.write_all(&hello).await?;
    let mut answer = Vec::new();
    // an alert, then the end
    timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .context("it stays open")??;
    let fatal = matches!(answer.as_slice(), [0x15, _, _, 0, 2, 2, 40 | 70, ..]);
    ensure!(fatal, "TLS 1.{}: {answer:?}", minor - 1);
    Ok(())
}

async fn goes_on(open: &mut Authorized) -> Result<()> {
    let reply = open.send(&Ask::get("/apis").header("x-remote-user", "bob")).await;
    same(
        &reply.context("the open connection")?.status,
        &200,
        "the open connection",
    )
}

async fn serves(client: &Client, pair: &Pair) -> Result<()> {
    let stream = client.tls(&[b"h2"]).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = CertificateDer::from_pem_slice(pair.certificate_pem.as_bytes())?;
    ensure!(chain.first() == Some(&leaf), "another certificate");
    Ok(())
}

async fn complains(stage: &Stage, times: u32, words: &str) -> Result<()> {
    eventually(SOON, "the log and a metric tell of it", || async {
        let (_, metrics) = stage.plainly("/metrics").await?;
        let line = format!("metricrule_certificate_reloads_total{{outcome=\"error\"}} {times}\n");
        ensure!(metrics.contains(&line), "no {line}");
        let log = stage.process.log_text();
        ensure!(log.contains(words), "no {words:?}{}", stage.process.tail());
        Ok(())
    })
    .await
}

async fn names() -> Result<()> {
    // It has an API that is registered.
    target().await?;
    let testbed = cluster().await?;
    // This client takes a certificate for that name alone, from the operator's own CA.
    let client = admin(&testbed, 0).await?;
    same(&client.get("/apis").await?.status, &200, "/apis")?;
    ensure!(
        client
            .named("other.metricrule-system.svc")?
            .get("/apis")
            .await
            .is_err(),
        "for any name"
    );
    for name in ["v1beta1.custom", "v1beta2.custom", "v1beta1.external"] {
        let name = format!("{name}.metrics.k8s.io");
        eventually(SOON, "the APIService is available", || async {
            let text = testbed
                .kubectl(&["get", "apiservice", &name, "--output=json"])
                .await?;
            let object: Value = serde_json::from_str(&text)?;
            let spec = &object["spec"];
            ensure!(
                spec["caBundle"].is_string()
                    && spec.get("insecureSkipTLSVerify").is_none_or(|skip| skip == false),
                "{spec}"
            );
            let conditions = object["status"]["conditions"]
                .as_array()
                .context("no condition")?;
            let available = conditions
                .iter()
                .any(|condition| condition["type"] == "Available" && condition["status"] == "True");
            ensure!(available, "{conditions:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
