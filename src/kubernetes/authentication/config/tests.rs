use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use super::*;

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Ca {
        pem,
        issuer: Issuer::new(params, key),
    }
}

fn leaf(ca: &Ca, usage: Option<ExtendedKeyUsagePurpose>) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.extended_key_usages.extend(usage);
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, &ca.issuer).unwrap().der().clone()
}

fn data(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    rows.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn full(client: &str, proxy: &str) -> BTreeMap<String, String> {
    data(&[
        (CLIENT_CA, client),
        (FRONT_PROXY_CA, proxy),
        (ALLOWED_NAMES, r#"["front-proxy-client"]"#),
        (USERNAME_HEADERS, r#"["X-Remote-User"]"#),
        (GROUP_HEADERS, r#"["X-Remote-Group"]"#),
        (EXTRA_PREFIXES, r#"["X-Remote-Extra-"]"#),
        (UID_HEADERS, r#"["X-Remote-Uid"]"#),
    ])
}

#[test]
fn reads_what_a_cluster_writes() {
    let (client, proxy) = (ca("client"), ca("proxy"));
    let (config, problems) = AuthenticationConfig::read(&full(&client.pem, &proxy.pem), None);
    assert_eq!(problems, []);
    assert_eq!(config.client_ca.as_ref().unwrap().certificates().len(), 1);
    assert_eq!(config.subjects().len(), 2);
    let requestheader = config.requestheader.unwrap();
    assert_eq!(requestheader.allowed_names, ["front-proxy-client"]);
    assert_eq!(
        requestheader.username_headers,
        [HeaderName::from_static("x-remote-user")]
    );
    assert_eq!(requestheader.extra_prefixes, ["x-remote-extra-"]);
    assert_eq!(
        requestheader.uid_headers,
        [HeaderName::from_static("x-remote-uid")]
    );
}

#[test]
fn trusts_a_uid_header_only_where_it_is_listed() {
    let proxy = ca("proxy");
    let mut old = full("", &proxy.pem);
    old.remove(UID_HEADERS);
    let (config, problems) = AuthenticationConfig::read(&old, None);
    assert_eq!(problems, []);
    assert_eq!(config.client_ca, None);
    assert_eq!(
        config.requestheader.unwrap().uid_headers,
        Vec::<HeaderName>::new()
    );
}

#[test]
fn keeps_the_last_good_half() {
    let (client, proxy) = (ca("client"), ca("proxy"));
    let good = full(&client.pem, &proxy.pem);
    let (last, _) = AuthenticationConfig::read(&good, None);

    // (key, value, whether it is a problem or just missing)
    let cases: &[(&str, &str, bool)] = &[
        (CLIENT_CA, "", false),
        (CLIENT_CA, "  \n", false),
        (CLIENT_CA, "garbage", true),
        (
            CLIENT_CA,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            true,
        ),
        (CLIENT_CA, "-----BEGIN CERTIFICATE-----\nMIIB", true),
        (FRONT_PROXY_CA, "", false),
        (FRONT_PROXY_CA, "garbage", true),
        (ALLOWED_NAMES, "front-proxy-client", true),
        (ALLOWED_NAMES, r#"{"a":1}"#, true),
        (ALLOWED_NAMES, "[1]", true),
        (USERNAME_HEADERS, r#"["X Remote"]"#, true),
        (GROUP_HEADERS, "[", true),
        (EXTRA_PREFIXES, r#"[""]"#, true),
        (UID_HEADERS, r#""X-Remote-Uid""#, true),
    ];
    for (key, value, is_problem) in cases {
        let mut changed = good.clone();
        changed.insert((*key).to_owned(), (*value).to_owned());
        let (config, problems) = AuthenticationConfig::read(&changed, Some(&last));
        assert_eq!(config, last, "{key}={value}");
        let keys: Vec<_> = problems.iter().map(|problem| problem.key).collect();
        assert_eq!(
            keys,
            if *is_problem { vec![*key] } else { vec![] },
            "{key}={value}"
        );
    }
    let (config, _) = AuthenticationConfig::read(&BTreeMap::new(), Some(&last));
    assert_eq!(config, last);
}

#[test]
fn one_bad_half_does_not_hold_up_the_other() {
    let (client, proxy, next) = (ca("client"), ca("proxy"), ca("next"));
    let (last, _) = AuthenticationConfig::read(&full(&client.pem, &proxy.pem), None);
    let mut changed = full(&next.pem, &proxy.pem);
    changed.insert(ALLOWED_NAMES.to_owned(), "oops".to_owned());
    let (config, problems) = AuthenticationConfig::read(&changed, Some(&last));
    assert_ne!(config.client_ca, last.client_ca);
    assert_eq!(config.requestheader, last.requestheader);
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_list_that_cannot_be_read_never_becomes_an_empty_one() {
    // An empty list of allowed names would let any certificate of the CA be the front proxy.
    let proxy = ca("proxy");
    let mut bad = full("", &proxy.pem);
    bad.insert(ALLOWED_NAMES.to_owned(), "[".to_owned());
    let (config, problems) = AuthenticationConfig::read(&bad, None);
    assert_eq!(config.requestheader, None);
    assert!(
        problems[0]
            .to_string()
            .starts_with("requestheader-allowed-names: not a JSON list")
    );
}

#[test]
fn bounds_what_it_reads() {
    let proxy = ca("proxy");
    let (many, _) = AuthenticationConfig::read(&full(&proxy.pem.repeat(MAX_CERTIFICATES + 1), ""), None);
    assert_eq!(many.client_ca, None);
    let mut long = full("", &proxy.pem);
    long.insert(
        ALLOWED_NAMES.to_owned(),
        format!("[{:?}]", "x".repeat(MAX_ENTRY + 1)),
    );
    assert_eq!(AuthenticationConfig::read(&long, None).0.requestheader, None);
}

#[test]
fn tells_the_bundles_apart() {
    let (client, proxy) = (ca("client"), ca("proxy"));
    let (config, _) = AuthenticationConfig::read(&full(&client.pem, &proxy.pem), None);
    let client_ca = config.client_ca.unwrap();
    let proxy_ca = config.requestheader.unwrap().ca;
    let alice = [leaf(&client, Some(ExtendedKeyUsagePurpose::ClientAuth))];
    let front_proxy = [leaf(&proxy, Some(ExtendedKeyUsagePurpose::ClientAuth))];
    let now = UnixTime::now();
    assert_eq!(client_ca.verify(&alice, now), Ok(()));
    assert!(proxy_ca.verify(&alice, now).is_err());
    assert_eq!(proxy_ca.verify(&front_proxy, now), Ok(()));
    assert!(client_ca.verify(&front_proxy, now).is_err());
    assert_eq!(client_ca.verify(&[], now), Err(VerifyError::Empty));
}

#[test]
fn asks_for_client_usage_where_there_is_one() {
    let client = ca("client");
    let bundle = CaBundle::parse(&client.pem).unwrap();
    let now = UnixTime::now();
    assert_eq!(bundle.verify(&[leaf(&client, None)], now), Ok(()));
    let server = leaf(&client, Some(ExtendedKeyUsagePurpose::ServerAuth));
    assert!(bundle.verify(&[server], now).is_err());
    let ended = UnixTime::since_unix_epoch(std::time::Duration::from_hours(24 * 365 * 3000));
    assert!(bundle.verify(&[leaf(&client, None)], ended).is_err());
}

#[test]
fn an_ended_ca_vouches_for_nobody() {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "old");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let old = Ca {
        pem,
        issuer: Issuer::new(params, key),
    };
    let new = ca("new");
    let (of_old, of_new) = (leaf(&old, None), leaf(&new, None));
    let both = CaBundle::parse(&format!("{}{}", old.pem, new.pem)).unwrap();
    let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let (in_2024, in_2026) = (at(1_720_000_000), at(1_780_000_000));
    assert_eq!(both.verify(std::slice::from_ref(&of_old), in_2024), Ok(()));
    assert!(both.verify(std::slice::from_ref(&of_old), in_2026).is_err());
    assert_eq!(both.verify(&[of_new], in_2026), Ok(()));
    let alone = CaBundle::parse(&old.pem).unwrap();
    assert!(alone.verify(&[of_old], in_2026).is_err());
}

#[test]
fn takes_intermediates_from_the_chain() {
    let root = ca("root");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "intermediate");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().unwrap();
    let intermediate = params.signed_by(&key, &root.issuer).unwrap();
    let below = Ca {
        pem: intermediate.pem(),
        issuer: Issuer::new(params, key),
    };
    let leaf = leaf(&below, Some(ExtendedKeyUsagePurpose::ClientAuth));
    let bundle = CaBundle::parse(&root.pem).unwrap();
    let now = UnixTime::now();
    assert!(bundle.verify(std::slice::from_ref(&leaf), now).is_err());
    assert_eq!(bundle.verify(&[leaf, intermediate.der().clone()], now), Ok(()));
}

proptest::proptest! {
    #[test]
    fn never_panics_and_never_loses_what_was_good(
        key in proptest::sample::select(vec![CLIENT_CA, FRONT_PROXY_CA, ALLOWED_NAMES, USERNAME_HEADERS, EXTRA_PREFIXES]),
        value in "\\PC{0,200}",
    ) {
        let (config, _) = AuthenticationConfig::read(&data(&[(key, &value)]), None);
        proptest::prop_assert_eq!(config.client_ca, None);
        proptest::prop_assert_eq!(config.requestheader, None);
    }
}
