//! A serving certificate as the listener takes it, wherever it came from.

use std::fmt;

use jiff::Timestamp;
use tokio_rustls::rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A private key and the chain of certificates for it, leaf first.
pub struct ServingCertificate {
    /// The leaf and the intermediates after it, as they are sent in the handshake.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
    /// When the leaf ends.
    pub not_after: Timestamp,
}

/// Why a pair of files is not a serving certificate.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// Not PEM, or PEM of something else.
    #[error("the {what} is not PEM: {source}")]
    Pem {
        /// `certificate` or `private key`.
        what: &'static str,
        /// What the reader says.
        source: pem::Error,
    },
    /// PEM without a certificate in it.
    #[error("the certificate file holds no certificate")]
    NoCertificate,
    /// The leaf is not an X.509 certificate.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The key is of a kind that is not supported, or another certificate's.
    #[error("the private key does not serve this certificate: {0}")]
    Key(tokio_rustls::rustls::Error),
}

// === impl ServingCertificate ===

impl ServingCertificate {
    /// A chain and its key; refused when the key is not the leaf's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, ServingError> {
        let leaf = chain.first().ok_or(ServingError::NoCertificate)?;
        let not_after = not_after(leaf)?;
        let certificate = Self {
            chain,
            key,
            not_after,
        };
        certificate.certified_key()?;
        Ok(certificate)
    }

    /// From the PEM of a `kubernetes.io/tls` Secret: `tls.crt` (leaf, then intermediates) and `tls.key`.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, ServingError> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| ServingError::Pem {
                what: "certificate",
                source,
            })?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| ServingError::Pem {
            what: "private key",
            source,
        })?;
        Self::new(chain, key)
    }

    /// In the form that a handshake uses.
    pub fn certified_key(&self) -> Result<CertifiedKey, ServingError> {
        let provider = aws_lc_rs::default_provider();
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &provider).map_err(ServingError::Key)
    }
}

impl Clone for ServingCertificate {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
            not_after: self.not_after,
        }
    }
}

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificate")
            .field("chain", &self.chain.len())
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

fn not_after(leaf: &CertificateDer<'_>) -> Result<Timestamp, ServingError> {
    let unreadable = |error: &dyn fmt::Display| ServingError::Certificate(error.to_string());
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| unreadable(&error))?;
    Timestamp::from_second(leaf.validity().not_after.timestamp()).map_err(|error| unreadable(&error))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["metricrule.monitoring.svc".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn reads_a_pair() {
        let (certificate, key) = pair();
        let read = ServingCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(read.chain.len(), 1);
        assert_eq!(read.not_after.to_string(), "2031-02-03T00:00:00Z");
        assert_eq!(
            format!("{read:?}"),
            "ServingCertificate { chain: 1, not_after: 2031-02-03T00:00:00Z, .. }"
        );
    }

    #[test]
    fn refuses_what_is_not_a_pair() {
        let (certificate, key) = pair();
        let (_, other) = pair();
        let read = |certificate: &str, key: &str| {
            ServingCertificate::from_pem(certificate.as_bytes(), key.as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert!(read(&certificate, &other).starts_with("the private key does not serve this certificate"));
        assert_eq!(read("", &key), "the certificate file holds no certificate");
        assert!(read(&certificate, "").starts_with("the private key is not PEM"));
        let half = &certificate[..certificate.len() / 2];
        assert!(read(half, &key).starts_with("the certificate"));
    }
}
