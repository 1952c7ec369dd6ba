//! The certificates and keys of the control plane: EC P-256, one CA for the cluster and one for the front proxy.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};

/// A certificate and its key, as PEM text and as files.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file, PKCS #8.
    pub key: PathBuf,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The key, PEM.
    pub key_pem: String,
}

/// A certificate authority that can sign more certificates at any time.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    /// The CA certificate's file.
    pub certificate: PathBuf,
}

/// Everything that the programs of the control plane are given.
#[derive(Debug)]
pub struct Pki {
    /// Signs serving certificates and client certificates of the cluster.
    pub cluster: Authority,
    /// Signs the certificate that the aggregator shows to extension servers.
    pub front_proxy: Authority,
    /// kube-apiserver's serving certificate: localhost, 127.0.0.1, 10.0.0.1, kubernetes.default.svc.
    pub apiserver: Pair,
    /// The client certificate of `system:masters`.
    pub admin: Pair,
    /// The client certificate of the controller manager.
    pub controller_manager: Pair,
    /// The aggregator's client certificate, `CN=front-proxy-client`.
    pub front_proxy_client: Pair,
    /// The key that signs `ServiceAccount` tokens.
    pub service_account_key: PathBuf,
    /// The public half of it.
    pub service_account_public_key: PathBuf,
}

// === impl Authority ===

impl Authority {
    fn new(name: &str, folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name = subject(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let certificate = write(folder, &format!("{name}.crt"), &issuer.pem())?;
        Ok(Self {
            issuer,
            folder: folder.to_path_buf(),
            certificate,
        })
    }

    /// The CA certificate, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A client certificate for a user (`CN`), in a group (`O`) or none.
    ///
    /// # Errors
    /// The key cannot be made or the files not be written.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Pair> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name = subject(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&user.replace(':', "-"), params)
    }

    /// A serving certificate for DNS names and addresses.
    ///
    /// # Errors
    /// The key cannot be made or the files not be written.
    pub fn server(&self, name: &str, dns: &[&str], addresses: &[IpAddr]) -> Result<Pair> {
        let mut params = CertificateParams::new(dns.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        params
            .subject_alt_names
            .extend(addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name = subject(name, None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(name, params)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Result<Pair> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        let key_pem = key.serialize_pem();
        Ok(Pair {
            certificate: write(&self.folder, &format!("{name}.crt"), &certificate_pem)?,
            key: write(&self.folder, &format!("{name}.key"), &key_pem)?,
            certificate_pem,
            key_pem,
        })
    }
}

// === impl Pki ===

impl Pki {
    /// Makes everything anew and writes it into `folder`.
    ///
    /// # Errors
    /// A key cannot be made or a file not be written.
    pub fn new(folder: &Path) -> Result<Self> {
        let cluster = Authority::new("cluster-ca", folder)?;
        let front_proxy = Authority::new("front-proxy-ca", folder)?;
        // 10.0.0.1 is the first address of --service-cluster-ip-range
        let addresses = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        ];
        let names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ];
        let service_account = KeyPair::generate()?;
        Ok(Self {
            apiserver: cluster.server("kube-apiserver", &names, &addresses)?,
            admin: cluster.client("admin", Some("system:masters"))?,
            controller_manager: cluster.client("system:kube-controller-manager", None)?,
            front_proxy_client: front_proxy.client("front-proxy-client", None)?,
            service_account_key: write(folder, "service-account.key", &service_account.serialize_pem())?,
            service_account_public_key: write(
                folder,
                "service-account.pub",
                &service_account.public_key_pem(),
            )?,
            cluster,
            front_proxy,
        })
    }
}

fn subject(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject.push(DnType::CommonName, name);
    subject
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
