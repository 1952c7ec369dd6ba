use std::{collections::BTreeMap, fmt::Write as _, sync::LazyLock, time::Duration};

use metricrule::{
    kubernetes::authentication::CaBundle,
    pki::{CaState, ServingCertificate, carries},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio_rustls::rustls::pki_types::UnixTime;

use crate::input;

/// The CA Secret, in the order of [`CaState::KEYS`]; its first text is also read as a bundle of CAs, and the two behind it as a
/// serving certificate and its key.
///
/// In a text, `@ca`, `@ca-key`, `@next`, `@next-key`, `@leaf`, `@leaf-key` stand for what they name, and `@leaf-key:9-200` for
/// these bytes of it: keys are made anew by each run, and none is kept in a file.
///
/// What is read can be served with, or reads back from what is written; no text that comes back holds a part of a key.
pub fn pem(data: &[u8]) {
    let Some(texts) = input::texts::<6>(data) else {
        return;
    };
    let texts = texts.map(expand);
    let said = [bundle(&texts[0]), serving(&texts[1], &texts[2]), secret(&texts)];
    for said in said {
        for key in &MATERIAL.secrets {
            let mut numbers = String::new();
            for byte in key.bytes() {
                let _ = write!(numbers, "{byte}, ");
            }
            assert!(
                !said.contains(key) && !said.contains(numbers.trim_end_matches(", ")),
                "a key is told: {said}"
            );
        }
    }
}

fn bundle(pem: &str) -> String {
    let bundle = match CaBundle::parse(pem) {
        Ok(bundle) => bundle,
        Err(error) => return error,
    };
    let certificates = bundle.certificates();
    assert!((1..=256).contains(&certificates.len()));
    assert!(carries(pem.as_bytes(), pem.as_bytes()));
    let twice = CaBundle::parse(&format!("{pem}\n{pem}"));
    if certificates.len() <= 128
        && let Ok(twice) = twice
    {
        assert_eq!(twice.certificates(), [certificates, certificates].concat());
    }
    let now = UnixTime::since_unix_epoch(Duration::from_secs(2_000_000_000));
    assert!(bundle.verify(&[], now).is_err());
    let foreign = MATERIAL.foreign.clone().into();
    assert!(bundle.verify(&[foreign], now).is_err(), "a stranger is let in");
    format!("{bundle:?}")
}

fn serving(certificate: &str, key: &str) -> String {
    match ServingCertificate::from_pem(certificate.as_bytes(), key.as_bytes()) {
        Ok(read) => {
            assert!(!read.chain.is_empty() && read.certified_key().is_ok());
            let other =
                ServingCertificate::from_pem(certificate.as_bytes(), MATERIAL.stranger_key.as_bytes());
            assert!(other.is_err(), "any key will do");
            format!("{read:?}")
        }
        Err(error) => format!("{error} {error:?}"),
    }
}

fn secret(texts: &[String; 6]) -> String {
    let data: BTreeMap<String, Vec<u8>> = CaState::KEYS
        .iter()
        .zip(texts)
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| ((*key).to_owned(), text.clone().into_bytes()))
        .collect();
    match CaState::decode(&data) {
        Ok(state) => {
            let written = state.encode();
            let again = CaState::decode(&written).unwrap_or_else(|error| panic!("its own print: {error}"));
            assert_eq!(again, state);
            assert_eq!(again.encode(), written);
            assert_eq!(written.contains_key("next.crt"), state.is_rotating());
            // as it is written: what was read may have a torn block behind its certificate
            assert!(carries(state.bundle_pem().as_bytes(), &written["current.crt"]));
            format!("{state:?}")
        }
        Err(error) => format!("{error} {error:?}"),
    }
}

struct Material {
    named: Vec<(&'static str, String)>,
    /// Stretches of keys that nothing may tell.
    secrets: Vec<String>,
    stranger_key: String,
    /// The certificate of someone whom no bundle of an input knows.
    foreign: Vec<u8>,
}

static MATERIAL: LazyLock<Material> = LazyLock::new(|| {
    let mut named = Vec::new();
    let mut secrets = Vec::new();
    for (name, key_name, is_ca) in [
        ("ca", "ca-key", true),
        ("next", "next-key", true),
        ("leaf", "leaf-key", false),
    ] {
        let (certificate, key) = pair(is_ca);
        let key = key.serialize_pem();
        // behind the part that all keys of this kind share
        let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
        secrets.push(body[80..96].to_owned());
        named.push((key_name, key));
        named.push((name, certificate.pem()));
    }
    // `ca-key` before `ca`
    named.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let (foreign, stranger_key) = pair(false);
    Material {
        named,
        secrets,
        stranger_key: stranger_key.serialize_pem(),
        foreign: foreign.der().to_vec(),
    }
});

fn pair(is_ca: bool) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["metricrule.metricrule-system.svc".to_owned()]).expect("a name");
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    }
    (params.self_signed(&key).expect("a certificate"), key)
}

/// Puts the certificates and keys in.
fn expand(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        expanded.push_str(before);
        rest = after;
        let Some((name, pem)) = MATERIAL.named.iter().find(|(name, _)| rest.starts_with(name)) else {
            expanded.push('@');
            continue;
        };
        rest = &rest[name.len()..];
        let length = rest
            .find(|c: char| !c.is_ascii_digit() && c != ':' && c != '-')
            .unwrap_or(rest.len());
        let range = rest[..length]
            .strip_prefix(':')
            .and_then(|range| range.split_once('-'));
        let part = range.and_then(|(from, to)| {
            let to = to.parse().unwrap_or(pem.len()).min(pem.len());
            pem.get(from.parse().ok()?..to)
        });
        if part.is_some() {
            rest = &rest[length..];
        }
        expanded.push_str(part.unwrap_or(pem));
    }
    expanded.push_str(rest);
    expanded
}
