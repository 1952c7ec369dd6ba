//! Subjects of client certificates: whom a leaf names.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::{
    oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME, Oid, asn1_rs::oid},
    prelude::{FromDer, X509Certificate},
};

use crate::server::identity::Identity;

/// `user.CredentialIDKey` of k8s.io/apiserver.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
/// The attribute of a subject that carries a user's UID (Kubernetes 1.33, `AllowParsingUserUIDFromCertAuth`).
const UID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);
/// The parts of a leaf's subject that Kubernetes reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    /// CN; the last one where there are several. Empty if there is none.
    pub(super) common_name: String,
    /// O, in the certificate's order.
    pub(super) organizations: Vec<String>,
    uids: Vec<String>,
}

// === impl Subject ===

impl Subject {
    /// Reads the subject of a leaf.
    pub(super) fn parse(leaf: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, leaf) =
            X509Certificate::from_der(leaf).map_err(|error| format!("unreadable certificate: {error}"))?;
        let mut subject = Self::default();
        for attribute in leaf.subject().iter_attributes() {
            let kind = attribute.attr_type();
            // Go skips a CN or O that is not a string, but a UID must be one.
            let text = attribute.as_str().ok().map(ToOwned::to_owned);
            if *kind == OID_X509_COMMON_NAME {
                subject.common_name = text.unwrap_or(subject.common_name);
            } else if *kind == OID_X509_ORGANIZATION_NAME {
                subject.organizations.extend(text);
            } else if *kind == UID {
                subject
                    .uids
                    .push(text.ok_or("the UID in the certificate's subject is not a string")?);
            }
        }
        Ok(subject)
    }
}

/// The user that a leaf names: CN, its organizations as groups (`CommonNameUserConversion` of k8s.io/apiserver).
/// `None` without a CN.
pub(super) fn identity(leaf: &CertificateDer<'_>) -> Result<Option<Identity>, String> {
    let subject = Subject::parse(leaf)?;
    if subject.common_name.is_empty() {
        return Ok(None);
    }
    let uid = match subject.uids.as_slice() {
        [] => String::new(),
        [uid] if !uid.is_empty() => uid.clone(),
        [_] => return Err("the UID in the certificate's subject is empty".to_owned()),
        _ => return Err("the certificate's subject has several UIDs".to_owned()),
    };
    let mut id = String::from("X509SHA256=");
    for byte in Sha256::digest(leaf) {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    Ok(Some(Identity {
        user: subject.common_name,
        uid,
        groups: subject.organizations,
        extra: BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![id])]),
    }))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn leaf(attributes: &[(DnType, &str)]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    fn uid() -> DnType {
        DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 57683, 2])
    }

    #[test]
    fn reads_user_groups_uid_and_credential_id() {
        let leaf = leaf(&[
            (DnType::OrganizationName, "system:masters"),
            (DnType::CommonName, "admin"),
            (uid(), "u-1"),
        ]);
        let identity = identity(&leaf).unwrap().unwrap();
        assert_eq!(identity.user, "admin");
        assert_eq!(identity.groups, ["system:masters"]);
        assert_eq!(identity.uid, "u-1");
        let id = &identity.extra[CREDENTIAL_ID][0];
        assert!(id.starts_with("X509SHA256=") && id.len() == 11 + 64, "{id}");
    }

    #[test]
    fn names_nobody_without_a_common_name() {
        assert_eq!(identity(&leaf(&[(DnType::OrganizationName, "o")])).unwrap(), None);
    }

    #[test]
    fn refuses_an_empty_uid_and_garbage() {
        let empty = leaf(&[(DnType::CommonName, "a"), (uid(), "")]);
        assert!(identity(&empty).is_err());
        assert!(identity(&CertificateDer::from(vec![0x30, 0x82, 0xff])).is_err());
    }
}
