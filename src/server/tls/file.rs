//! A serving certificate from two files, for example a mounted Secret of cert-manager.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    io::AsyncReadExt as _,
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::TlsError;
use crate::{metrics::ControllerMetrics, pki::ServingCertificate};

/// The kubelet swaps a symlink when a Secret changes, which a watch on the file does not see; looking is cheap.
const POLL: Duration = Duration::from_secs(3);
/// Bytes of one file.
const MAX_FILE: u64 = 1024 * 1024;

/// Reads the pair again and again and publishes it when it changes.
pub struct FileCertificate {
    certificate: PathBuf,
    key: PathBuf,
    /// Of the pair last looked at, taken or not, so that one bad pair is complained of once.
    seen: [u8; 32],
    readable: bool,
    metrics: ControllerMetrics,
    sender: watch::Sender<Arc<ServingCertificate>>,
}

/// The content of both files.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

// === impl FileCertificate ===

impl FileCertificate {
    /// Reads the pair for the first time; here an unusable one is an error.
    pub async fn load(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        metrics: ControllerMetrics,
    ) -> Result<(Self, watch::Receiver<Arc<ServingCertificate>>), TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let pair = Pair::read(&certificate, &key).await?;
        let first =
            ServingCertificate::from_pem(&pair.certificate, &pair.key).map_err(|source| TlsError::Files {
                certificate: certificate.display().to_string(),
                key: key.display().to_string(),
                source,
            })?;
        let (sender, receiver) = watch::channel(Arc::new(first));
        metrics.certificate_reload_start();
        let file = Self {
            certificate,
            key,
            seen: pair.digest(),
            readable: true,
            metrics,
            sender,
        };
        Ok((file, receiver))
    }

    /// Runs until it is dropped. A pair that cannot be used (half written, the key of another certificate) leaves the former
    /// one in force.
    pub async fn run(mut self) {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        match Pair::read(&self.certificate, &self.key).await {
            Ok(pair) => {
                self.readable = true;
                self.take(&pair);
            }
            Err(error) if self.readable => {
                self.readable = false;
                self.metrics.certificate_reload("error");
                tracing::warn!(%error, "the serving certificate cannot be read; the old one stays in use");
            }
            Err(_) => {}
        }
    }

    fn take(&mut self, pair: &Pair) {
        let digest = pair.digest();
        if digest == self.seen {
            return;
        }
        self.seen = digest;
        match ServingCertificate::from_pem(&pair.certificate, &pair.key) {
            Ok(certificate) => {
                self.metrics.certificate_reload("ok");
                tracing::info!(not_after = %certificate.not_after, "loaded a new serving certificate");
                self.sender.send_replace(Arc::new(certificate));
            }
            Err(error) => {
                self.metrics.certificate_reload("error");
                let path = self.certificate.display();
                tracing::warn!(%error, %path, "the new serving certificate cannot be used; the old one stays in use");
            }
        }
    }
}

// === impl Pair ===

impl Pair {
    async fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(certificate).await?,
            key: read(key).await?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let length = self.certificate.len().to_be_bytes();
        Sha256::new()
            .chain_update(length)
            .chain_update(&self.certificate)
            .chain_update(&self.key)
            .finalize()
            .into()
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.display().to_string(),
        source,
    };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut content = Vec::new();
    file.take(MAX_FILE)
        .read_to_end(&mut content)
        .await
        .map_err(failed)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    struct Files(PathBuf);

    impl Files {
        /// As the kubelet mounts a Secret: `tls.crt` and `tls.key` lead into `..data`, which leads into the folder of one
        /// version.
        fn mounted() -> Self {
            let files = Self::new();
            for name in ["tls.crt", "tls.key"] {
                std::os::unix::fs::symlink(format!("..data/{name}"), files.0.join(name)).unwrap();
            }
            files
        }

        /// As the kubelet changes one: a new folder, and a rename of the link to it.
        fn swap(&self, version: &str, certificate: &str, key: &str) {
            let folder = self.0.join(version);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("tls.crt"), certificate).unwrap();
            std::fs::write(folder.join("tls.key"), key).unwrap();
            let link = self.0.join("..data_tmp");
            std::os::unix::fs::symlink(version, &link).unwrap();
            std::fs::rename(link, self.0.join("..data")).unwrap();
        }

        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("metricrule-tls-{}", uuid::Uuid::new_v4()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn certificate(&self) -> PathBuf {
            self.0.join("tls.crt")
        }

        fn key(&self) -> PathBuf {
            self.0.join("tls.key")
        }

        fn write(&self, certificate: &str, key: &str) {
            std::fs::write(self.certificate(), certificate).unwrap();
            std::fs::write(self.key(), key).unwrap();
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn metrics() -> ControllerMetrics {
        crate::metrics::Metrics::new().controller
    }

    fn pair(name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[tokio::test]
    async fn takes_up_a_new_pair_and_keeps_the_old_one_until_it_is_whole() {
        let files = Files::new();
        let (first, first_key) = pair("a");
        let (second, second_key) = pair("b");
        files.write(&first, &first_key);
        let (mut file, mut receiver) = FileCertificate::load(files.certificate(), files.key(), metrics())
            .await
            .unwrap();
        receiver.mark_unchanged();

        file.look().await;
        assert!(!receiver.has_changed().unwrap(), "nothing changed");

        files.write(&second, &first_key);
        file.look().await;
        files.write(&second[..second.len() / 2], &second_key);
        file.look().await;
        files.write("", "");
        file.look().await;
        std::fs::remove_file(files.key()).unwrap();
        file.look().await;
        assert!(!receiver.has_changed().unwrap(), "not a whole pair");

        files.write(&second, &second_key);
        file.look().await;
        assert!(receiver.has_changed().unwrap());
        let served = receiver.borrow_and_update().chain.clone();
        assert_eq!(
            served,
            ServingCertificate::from_pem(second.as_bytes(), second_key.as_bytes())
                .unwrap()
                .chain
        );
    }

    #[tokio::test]
    async fn refuses_to_start_without_a_usable_pair() {
        let files = Files::new();
        let missing = FileCertificate::load(files.certificate(), files.key(), metrics()).await;
        let text = missing.err().unwrap().to_string();
        assert!(text.contains("tls.crt"), "{text}");
        let (certificate, _) = pair("a");
        let (_, key) = pair("b");
        files.write(&certificate, &key);
        let text = FileCertificate::load(files.certificate(), files.key(), metrics())
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            text.contains("the private key does not match this certificate"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn polls() {
        let files = Files::new();
        let (first, first_key) = pair("a");
        files.write(&first, &first_key);
        let (file, mut receiver) = FileCertificate::load(files.certificate(), files.key(), metrics())
            .await
            .unwrap();
        tokio::time::pause();
        let task = tokio::spawn(file.run());
        let (second, second_key) = pair("b");
        files.write(&second, &second_key);
        tokio::time::timeout(Duration::from_mins(1), receiver.changed())
            .await
            .unwrap()
            .unwrap();
        task.abort();
    }

    #[tokio::test]
    async fn follows_a_mounted_secret_and_counts() {
        let files = Files::mounted();
        let (first, first_key) = pair("a");
        let (second, second_key) = pair("b");
        files.swap("..1", &first, &first_key);
        let all = crate::metrics::Metrics::new();
        let counts = |ok: u32, error: u32| {
            let text = all.encode();
            let has = |outcome, count| {
                text.contains(&format!(
                    "metricrule_certificate_reloads_total{{outcome=\"{outcome}\"}} {count}\n"
                ))
            };
            assert!(has("ok", ok) && has("error", error), "{text}");
        };
        let (mut file, mut receiver) =
            FileCertificate::load(files.certificate(), files.key(), all.controller.clone())
                .await
                .unwrap();
        receiver.mark_unchanged();
        counts(0, 0);
        files.swap("..2", &second, &first_key);
        file.look().await;
        file.look().await;
        counts(0, 1);
        std::fs::remove_file(files.0.join("..data")).unwrap();
        file.look().await;
        file.look().await;
        counts(0, 2);
        assert!(!receiver.has_changed().unwrap());
        files.swap("..3", &second, &second_key);
        file.look().await;
        counts(1, 2);
        assert!(receiver.has_changed().unwrap());
    }
}
