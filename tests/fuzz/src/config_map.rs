use std::{collections::BTreeMap, time::Duration};

use metricrule::kubernetes::authentication::AuthenticationConfig;
use tokio_rustls::rustls::pki_types::UnixTime;

use crate::input;

const KEYS: [&str; 7] = [
    "client-ca-file",
    "requestheader-client-ca-file",
    "requestheader-allowed-names",
    "requestheader-username-headers",
    "requestheader-group-headers",
    "requestheader-extra-headers-prefix",
    "requestheader-uid-headers",
];

/// The ConfigMap `kube-system/extension-apiserver-authentication`: the values of its keys, in the order of `KEYS`.
///
/// What is taken is in bounds; each half is read on its own; a half that cannot be read leaves what was known in force.
pub fn config_map(data: &[u8]) {
    let Some(values) = input::texts::<7>(data) else {
        return;
    };
    let data: BTreeMap<String, String> = KEYS
        .iter()
        .zip(values)
        .map(|(key, value)| ((*key).to_owned(), value.to_owned()))
        .collect();
    let (config, problems) = AuthenticationConfig::read(&data, None);
    assert!(
        problems.len() <= 2 && problems.iter().all(|problem| !problem.message.is_empty()),
        "{problems:?}"
    );
    let now = UnixTime::since_unix_epoch(Duration::from_secs(2_000_000_000));
    for bundle in config
        .client_ca
        .iter()
        .chain(config.requestheader.iter().map(|proxy| &proxy.ca))
    {
        assert!((1..=256).contains(&bundle.certificates().len()), "{bundle:?}");
        assert!(bundle.verify(&[], now).is_err(), "nobody is let in");
    }
    assert!(config.subjects().len() <= 512);
    if let Some(proxy) = &config.requestheader {
        let headers = [&proxy.username_headers, &proxy.group_headers, &proxy.uid_headers];
        assert!(headers.iter().all(|names| names.len() <= 256));
        assert!(proxy.allowed_names.len() <= 256);
        let bad = |prefix: &String| prefix.is_empty() || *prefix != prefix.to_ascii_lowercase();
        assert!(
            !proxy.extra_prefixes.iter().any(bad),
            "{:?}",
            proxy.extra_prefixes
        );
    }

    // each half on its own
    let client: BTreeMap<_, _> = data
        .iter()
        .filter(|(key, _)| *key == KEYS[0])
        .map(owned)
        .collect();
    let proxy: BTreeMap<_, _> = data
        .iter()
        .filter(|(key, _)| *key != KEYS[0])
        .map(owned)
        .collect();
    assert_eq!(
        AuthenticationConfig::read(&client, None).0.client_ca,
        config.client_ca
    );
    assert_eq!(
        AuthenticationConfig::read(&proxy, None).0.requestheader,
        config.requestheader
    );

    // what was known stays: of itself, and after everything is gone
    assert_eq!(
        AuthenticationConfig::read(&data, Some(&config)),
        (config.clone(), problems)
    );
    assert_eq!(
        AuthenticationConfig::read(&BTreeMap::new(), Some(&config)),
        (config, Vec::new())
    );
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}
