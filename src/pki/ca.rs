//! CA certificates, with and without their key.

use std::{collections::BTreeSet, fmt, sync::Arc};

use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{CA_LIFE, PkiError, SKEW, later, set_life, two_thirds};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A CA certificate of the bundle. Two are equal when their bytes are.
#[derive(Clone)]
pub struct CaCertificate {
    der: CertificateDer<'static>,
    pem: String,
    public_key: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A CA certificate with its key. A clone shares the key.
#[derive(Clone)]
pub struct CaPair {
    certificate: CaCertificate,
    key: Arc<KeyPair>,
}

/// Whether every certificate of `bundle` is in `ca_bundle`, both in PEM; what else is in `ca_bundle` does not matter.
pub fn carries(ca_bundle: &[u8], bundle: &[u8]) -> bool {
    let certificates = |pem: &[u8]| -> Option<BTreeSet<Vec<u8>>> {
        CertificateDer::pem_slice_iter(pem)
            .map(|der| der.ok().map(|der| der.to_vec()))
            .collect()
    };
    match (certificates(ca_bundle), certificates(bundle)) {
        (Some(there), Some(wanted)) => wanted.is_subset(&there),
        _ => false,
    }
}

// === impl CaCertificate ===

impl CaCertificate {
    /// Reads all certificates of a PEM text; text around them is passed over, as RFC 7468 §2 allows. On failure: what is
    /// wrong, to be put after the name of where the text stands.
    pub(super) fn parse_all(text: &[u8]) -> Result<Vec<Self>, String> {
        let text = std::str::from_utf8(text).map_err(|_| "is not valid text".to_owned())?;
        let mut rest = text;
        let mut certificates = Vec::new();
        while let Some(begin) = rest.find(BEGIN) {
            let length = rest[begin..]
                .find(END)
                .ok_or("contains an incomplete certificate")?
                + END.len();
            certificates.push(Self::parse(&rest[begin..begin + length])?);
            rest = &rest[begin + length..];
        }
        if certificates.is_empty() {
            return Err("contains no PEM certificate".to_owned());
        }
        Ok(certificates)
    }

    fn parse(pem: &str) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| "contains a certificate that is not valid PEM".to_owned())?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der)
            .map_err(|error| format!("contains a certificate that is not valid X.509 ({error})"))?;
        if !parsed.is_ca() {
            return Err("contains a certificate that is not a CA's".to_owned());
        }
        let time = |seconds: i64| {
            Timestamp::from_second(seconds)
                .map_err(|_| "contains a certificate with a date that is not valid".to_owned())
        };
        Ok(Self {
            not_before: time(parsed.validity().not_before.timestamp())?,
            not_after: time(parsed.validity().not_after.timestamp())?,
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            pem: format!("{}\n", pem.replace('\r', "")),
            der,
        })
    }

    /// The certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The certificate in PEM, with a newline at its end.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// When its life starts.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// When its life ends.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// When its successor should be published.
    pub fn ages_at(&self) -> Timestamp {
        two_thirds(self.not_before, self.not_after)
    }
}

impl PartialEq for CaCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for CaCertificate {}

impl fmt::Debug for CaCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaCertificate({} to {})", self.not_before, self.not_after)
    }
}

// === impl CaPair ===

impl CaPair {
    /// A new key (EC P-256) and its self-signed certificate, valid from [`SKEW`] before `now` for [`CA_LIFE`].
    pub fn generate(now: Timestamp) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        // Names differ between two CAs of one bundle: some verifiers look the issuer up by its name alone.
        let start = key
            .public_key_raw()
            .get(1..9)
            .and_then(|start| <[u8; 8]>::try_from(start).ok());
        let name = format!("metricrule CA {:016x}", start.map_or(0, u64::from_be_bytes));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_life(&mut params, later(now, -SKEW), later(now, CA_LIFE))?;
        let pem = params.self_signed(&key)?.pem();
        let certificate = CaCertificate::parse(pem.trim()).map_err(|problem| PkiError::Garbled {
            key: "a certificate just issued",
            problem,
        })?;
        Ok(Self {
            certificate,
            key: Arc::new(key),
        })
    }

    /// Reads a certificate and its key, both in PEM, and checks that they belong together. On failure: what is wrong
    /// with the certificate, or (`Err(Err(…))`) with the key.
    pub(super) fn parse(certificate: &[u8], key: &[u8]) -> Result<Self, Result<String, String>> {
        let mut certificates = CaCertificate::parse_all(certificate).map_err(Ok)?;
        if certificates.len() != 1 {
            return Err(Ok("contains more than one certificate".to_owned()));
        }
        let certificate = certificates.remove(0);
        let key = std::str::from_utf8(key).map_err(|_| Err("is not valid text".to_owned()))?;
        // Without the parser's words: they must never carry a part of a key into a log.
        let key = KeyPair::from_pem(key).map_err(|_| Err("contains no PEM private key".to_owned()))?;
        if key.public_key_raw() != certificate.public_key {
            return Err(Err("does not match its certificate".to_owned()));
        }
        Ok(Self {
            certificate,
            key: Arc::new(key),
        })
    }

    /// The certificate.
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(super) fn issuer(&self) -> Result<Issuer<'static, &KeyPair>, PkiError> {
        Ok(Issuer::from_ca_cert_der(&self.certificate.der, &*self.key)?)
    }
}

impl PartialEq for CaPair {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }
}

impl Eq for CaPair {}

impl fmt::Debug for CaPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaPair({:?}, key withheld)", self.certificate)
    }
}
