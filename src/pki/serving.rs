//! Serving certificate as the listener takes it, wherever it came from.

use std::fmt;

use jiff::Timestamp;
use tokio_rustls::rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A private key and the chain of certificates for it, leaf first.
pub struct ServingCertificate {
    /// The leaf and the intermediates after it, as they are sent in the handshake.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
    /// When the leaf begins.
    pub not_before: Timestamp,
    /// When the leaf ends.
    pub not_after: Timestamp,
}

/// Why a pair of files is not a serving certificate.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// Not PEM, or cut off. Without the reader's words: they can quote a line, and a key may stand in the wrong file.
    #[error("the {0} is not valid PEM, or is truncated")]
    Pem(&'static str),
    /// PEM without a certificate in it.
    #[error("the certificate file contains no certificate")]
    NoCertificate,
    /// The leaf is not an X.509 certificate.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The key is of a kind that is not supported, or another certificate's.
    #[error("the private key does not match this certificate: {0}")]
    Key(tokio_rustls::rustls::Error),
}

/// Whether a file is a bundle of CA certificates: PEM, at least one certificate, nothing but certificates that can be read. The
/// API server refuses an `APIService` with anything else, or trusts nobody.
pub fn check_bundle(bundle: &[u8]) -> Result<(), ServingError> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        let certificate = certificate.map_err(|_| ServingError::Pem("certificate"))?;
        validity(&certificate)?;
        count += 1;
    }
    if count == 0 {
        return Err(ServingError::NoCertificate);
    }
    Ok(())
}

// === impl ServingCertificate ===

impl ServingCertificate {
    /// A chain and its key; refused when the key is not the leaf's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, ServingError> {
        let leaf = chain.first().ok_or(ServingError::NoCertificate)?;
        let (not_before, not_after) = validity(leaf)?;
        let certificate = Self {
            chain,
            key,
            not_before,
            not_after,
        };
        certificate.certified_key()?;
        Ok(certificate)
    }

    /// From the PEM of a `kubernetes.io/tls` Secret: `tls.crt` (leaf, then intermediates) and `tls.key`.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, ServingError> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| ServingError::Pem("certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| ServingError::Pem("private key"))?;
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
            not_before: self.not_before,
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

/// From when to when.
fn validity(leaf: &CertificateDer<'_>) -> Result<(Timestamp, Timestamp), ServingError> {
    let unreadable = |error: &dyn fmt::Display| ServingError::Certificate(error.to_string());
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| unreadable(&error))?;
    let at = |seconds| Timestamp::from_second(seconds).map_err(|error| unreadable(&error));
    let validity = leaf.validity();
    Ok((
        at(validity.not_before.timestamp())?,
        at(validity.not_after.timestamp())?,
    ))
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
    fn a_bundle_has_certificates_and_nothing_else() {
        let (certificate, key) = pair();
        let check = |text: &str| check_bundle(text.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(check(&certificate), Ok(()));
        assert_eq!(check(&format!("# two\n{certificate}\n{certificate}")), Ok(()));
        for wrong in ["", "hello", &key, &certificate[..certificate.len() / 2]] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(
            check(garbled)
                .unwrap_err()
                .starts_with("the certificate cannot be read")
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
        assert!(read(&certificate, &other).starts_with("the private key does not match this certificate"));
        assert_eq!(read("", &key), "the certificate file contains no certificate");
        assert!(read(&certificate, "").starts_with("the private key is not valid PEM"));
        let half = &certificate[..certificate.len() / 2];
        assert!(read(half, &key).starts_with("the certificate"));
    }
    #[test]
    fn a_key_is_not_told_whichever_file_it_is_in() {
        let (certificate, key) = pair();
        // the line ends were lost, and a dash
        let joined = key.replace('\n', "").replacen("KEY-----", "KEY----", 1);
        for (what, certificate, key) in [
            ("private key", certificate.as_str(), joined.as_str()),
            ("certificate", joined.as_str(), key.as_str()),
        ] {
            let error = ServingCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
            assert_eq!(format!("{error:?}"), format!("Pem({what:?})"));
        }
    }
}
