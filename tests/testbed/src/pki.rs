//! The certificates and keys of the control plane: EC P-256, one CA for the cluster and one for the front proxy.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};

use crate::folder::write_private;

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
    /// A CA of that name, whose certificates go into `folder`, which is made where it is not there.
    ///
    /// # Errors
    /// The key cannot be made or the files not be written.
    pub fn new(name: &str, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let issuer = CertifiedIssuer::self_signed(ca(name)?, KeyPair::generate()?)?;
        let certificate = write(folder, &format!("{name}.crt"), &issuer.pem())?;
        Ok(Self {
            issuer,
            folder: folder.to_path_buf(),
            certificate,
        })
    }

    /// A CA below this one, in the same folder: its certificate is what a chain needs between a leaf and this one.
    ///
    /// # Errors
    /// The key cannot be made or the file not be written.
    pub fn subordinate(&self, name: &str) -> Result<Self> {
        let issuer = CertifiedIssuer::signed_by(ca(name)?, KeyPair::generate()?, &self.issuer)?;
        let certificate = write(&self.folder, &format!("{name}.crt"), &issuer.pem())?;
        Ok(Self {
            issuer,
            folder: self.folder.clone(),
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

    /// A certificate of this CA with these parameters, in files of that name: what the others are not made for.
    ///
    /// # Errors
    /// The key cannot be made or the files not be written.
    pub fn sign(&self, name: &str, mut params: CertificateParams) -> Result<Pair> {
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

    /// Replaces the CAs by which the front proxy is known (`--requestheader-client-ca-file`). kube-apiserver sees it at once,
    /// and adds them to the `ConfigMap` `kube-system/extension-apiserver-authentication`; those that left the file stay there
    /// until somebody takes them out, or deletes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn trust_front_proxies(&self, authorities: &[&Authority]) -> Result<()> {
        let bundle: String = authorities.iter().map(|authority| authority.pem()).collect();
        replace(&self.front_proxy.certificate, &bundle)
    }

    /// Replaces the certificate that the aggregator shows (`--proxy-client-cert-file`, `--proxy-client-key-file`).
    /// kube-apiserver sees it at once, and takes it when certificate and key belong together.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn show_as_front_proxy(&self, pair: &Pair) -> Result<()> {
        replace(&self.front_proxy_client.key, &pair.key_pem)?;
        replace(&self.front_proxy_client.certificate, &pair.certificate_pem)
    }
}

fn ca(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = subject(name, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
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
    write_private(&path, text)?;
    Ok(path)
}

/// Never leaves half a file to who reads meanwhile.
fn replace(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_extension("new");
    write_private(&fresh, text)?;
    std::fs::rename(&fresh, path).with_context(|| format!("replacing {}", path.display()))
}
