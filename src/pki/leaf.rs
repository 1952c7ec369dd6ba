//! Leaf certificate: the serving certificate that a replica issues for itself.

use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{CaPair, LEAF_LIFE, PkiError, SKEW, ServingCertificate, later, set_life, two_thirds};

/// The Service that clients reach us through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceNames {
    /// The Service's name.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
}

/// A serving certificate and what decides when it is replaced. It is kept in memory only.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// What the listener serves.
    pub serving: ServingCertificate,
    issuer: CertificateDer<'static>,
    renew_at: Timestamp,
}

// === impl ServiceNames ===

impl ServiceNames {
    /// The DNS names of the certificate, the one that kube-aggregator verifies first: `{service}.{namespace}.svc`
    /// (kube-aggregator, `pkg/apiserver/handler_proxy.go`). The others are for clients inside the cluster. `localhost`
    /// is not among them: nothing that trusts this CA has reason to connect there.
    pub fn dns_names(&self) -> Vec<String> {
        let Self { service, namespace } = self;
        vec![
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
            format!("{service}.{namespace}"),
            service.clone(),
        ]
    }
}

// === impl Leaf ===

impl Leaf {
    /// A new key and its certificate from `ca`, valid from [`SKEW`] before `now` for [`LEAF_LIFE`], but no longer than
    /// the CA.
    pub fn issue(ca: &CaPair, names: &ServiceNames, now: Timestamp) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(names.dns_names())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        // X.520 allows 64 characters in a common name; clients read the DNS names.
        let common_name: String = names.dns_names()[0].chars().take(64).collect();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let not_before = later(now, -SKEW).max(ca.certificate().not_before());
        let whole = later(now, LEAF_LIFE);
        let not_after = whole.min(ca.certificate().not_after());
        // A successor from the same CA would end with it as well.
        let renew_at = if not_after < whole {
            not_after
        } else {
            two_thirds(now, not_after)
        };
        set_life(&mut params, not_before, not_after)?;
        let certificate = params.signed_by(&key, &ca.issuer()?)?;
        Ok(Self {
            serving: ServingCertificate {
                chain: vec![certificate.der().clone()],
                key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
                not_before,
                not_after,
            },
            issuer: ca.certificate().der().clone(),
            renew_at,
        })
    }

    /// When it is due for a successor by age.
    pub fn renew_at(&self) -> Timestamp {
        self.renew_at
    }

    /// Whether it should be replaced: two thirds of its life are over, or another CA issues now.
    pub fn is_due(&self, ca: &CaPair, now: Timestamp) -> bool {
        now >= self.renew_at || self.issuer != *ca.certificate().der()
    }
}
