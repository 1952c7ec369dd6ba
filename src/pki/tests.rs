use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tokio_rustls::rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{ServerName, UnixTime},
};

use super::{
    Asked, BUNDLE_KEY, CA_LIFE, CaState, Facts, LEAF_LIFE, Leaf, MAX_FORMER, PkiError, SETTLE, SKEW,
    ServiceNames, Step, carries, due,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn names() -> ServiceNames {
    ServiceNames {
        service: "metricrule".into(),
        namespace: "monitoring".into(),
    }
}

/// Whether a client that trusts `bundle` accepts `leaf` as `name` at `now`.
fn verifies(bundle: &CaState, leaf: &Leaf, name: &str, now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    for certificate in bundle.bundle() {
        roots.add(certificate.der().clone()).unwrap();
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots.into(), aws_lc_rs::default_provider().into())
            .build()
            .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        now.as_second().try_into().unwrap(),
    ));
    verifier
        .verify_server_cert(&leaf.serving.chain[0], &leaf.serving.chain[1..], &name, &[], now)
        .is_ok()
}

#[test]
fn a_leaf_is_verified_by_its_names_within_its_life() {
    let now = start();
    let ca = CaState::new(now).unwrap();
    let leaf = Leaf::issue(ca.current(), &names(), now).unwrap();
    for name in [
        "metricrule.monitoring.svc",
        "metricrule.monitoring.svc.cluster.local",
        "metricrule.monitoring",
        "metricrule",
    ] {
        assert!(verifies(&ca, &leaf, name, now));
    }
    assert!(!verifies(&ca, &leaf, "other.monitoring.svc", now));
    assert!(verifies(&ca, &leaf, "metricrule.monitoring.svc", now - SKEW));
    assert!(!verifies(&ca, &leaf, "metricrule.monitoring.svc", now - SKEW * 2));
    assert!(!verifies(
        &ca,
        &leaf,
        "metricrule.monitoring.svc",
        now + LEAF_LIFE + DAY
    ));
    let stranger = CaState::new(now).unwrap();
    assert!(!verifies(&stranger, &leaf, "metricrule.monitoring.svc", now));
}

#[test]
fn a_leaf_is_due_at_two_thirds_or_under_another_ca_and_never_outlives_its_own() {
    let now = start();
    let ca = CaState::new(now).unwrap();
    let leaf = Leaf::issue(ca.current(), &names(), now).unwrap();
    assert_eq!(leaf.renew_at(), now + DAY * 20);
    assert!(!leaf.is_due(ca.current(), now + DAY * 19));
    assert!(leaf.is_due(ca.current(), now + DAY * 20));
    assert!(leaf.is_due(CaState::new(now).unwrap().current(), now));

    let late = now + CA_LIFE - DAY;
    let leaf = Leaf::issue(ca.current(), &names(), late).unwrap();
    assert_eq!(leaf.serving.not_after, now + CA_LIFE);
}

#[test]
fn the_secret_reads_back_as_it_was_written() {
    let now = start();
    let first = CaState::new(now).unwrap();
    let published = first.after(Step::Publish, now + DAY).unwrap();
    let promoted = published.after(Step::Promote, now + DAY * 2).unwrap();
    let both = promoted.after(Step::Publish, now + DAY * 3).unwrap();
    for (state, certificates) in [(first, 1), (published, 2), (promoted, 2), (both, 3)] {
        assert_eq!(state.bundle().count(), certificates);
        let read = CaState::decode(&state.encode()).unwrap();
        assert_eq!(read, state);
        // The keys survive as well: a leaf from the state that was read is verified by the one that was written.
        let leaf = Leaf::issue(read.current(), &names(), now + DAY * 3).unwrap();
        assert!(verifies(&state, &leaf, "metricrule", now + DAY * 3));
    }
}

#[test]
fn garbled_secrets_say_what_to_do() {
    let now = start();
    let good = CaState::new(now)
        .unwrap()
        .after(Step::Publish, now)
        .unwrap()
        .encode();
    let other = CaState::new(now).unwrap().encode();
    let with = |key: &str, value: Option<&[u8]>| {
        let mut data = good.clone();
        match value {
            Some(value) => data.insert(key.to_owned(), value.to_vec()),
            None => data.remove(key),
        };
        data
    };
    let cases = [
        ("empty", BTreeMap::new(), "has no key `rotation.json`"),
        ("no key", with("current.key", None), "has no key `current.key`"),
        (
            "not a key",
            with("current.key", Some(b"hello")),
            "`current.key` of the CA Secret contains no PEM private key",
        ),
        (
            "another's key",
            with("current.key", Some(&other["current.key"])),
            "`current.key` of the CA Secret does not match its certificate",
        ),
        ("no next", with("next.crt", None), "has no key `next.crt`"),
        (
            "not UTF-8",
            with(BUNDLE_KEY, Some(b"\xff")),
            "`ca.crt` of the CA Secret is not valid text",
        ),
        (
            "no PEM",
            with(BUNDLE_KEY, Some(b"x")),
            "contains no PEM certificate",
        ),
        (
            "another's bundle",
            with(BUNDLE_KEY, Some(&other[BUNDLE_KEY])),
            "lacks a CA whose key is in the Secret",
        ),
        (
            "cut short",
            with("current.crt", Some(&good["current.crt"][..60])),
            "an incomplete certificate",
        ),
        ("no JSON", with("rotation.json", Some(b"{")), "is not valid JSON"),
        (
            "no time",
            with(
                "rotation.json",
                Some(br#"{"format":1,"currentSince":"yesterday"}"#),
            ),
            "not valid RFC 3339",
        ),
        (
            "newer",
            with("rotation.json", Some(br#"{"format":2,"currentSince":""}"#)),
            "from a newer version",
        ),
    ];
    for (case, data, expected) in cases {
        let error = CaState::decode(&data).unwrap_err().to_string();
        assert!(error.contains(expected), "{case}: {error}");
        assert!(error.contains("delete the Secret"), "{case}: {error}");
        assert!(!error.contains("PRIVATE"), "{case}: {error}");
    }
}

#[test]
fn no_debug_output_holds_a_key() {
    let ca = CaState::new(start()).unwrap();
    let leaf = Leaf::issue(ca.current(), &names(), start()).unwrap();
    assert!(format!("{ca:?}").contains("key withheld"));
    assert!(!format!("{leaf:?}").contains("key"));
}

#[test]
fn a_key_in_the_place_of_the_rotation_is_not_repeated() {
    let mut data = CaState::new(start()).unwrap().encode();
    data.insert("rotation.json".to_owned(), br#""AAtFTIiWWhRANC""#.to_vec());
    let error = CaState::decode(&data).unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(
        said.contains("rotation.json") && said.contains("line 1"),
        "{said}"
    );
    assert!(!said.contains("WWhRANC"), "{said}");
}

#[test]
fn the_steps_come_in_order_and_in_time() {
    let now = start();
    let carried = |since: Timestamp| Facts {
        carried_since: Some(since),
        asked: None,
    };
    let nobody = Facts::default();
    let first = CaState::new(now).unwrap();
    let ages = first.current().certificate().ages_at();
    assert_eq!(
        due(&first, ages - SignedDuration::from_secs(1), carried(now)),
        None
    );
    assert_eq!(due(&first, ages, nobody), Some(Step::Publish));

    let published = first.after(Step::Publish, ages).unwrap();
    assert_eq!(
        published.current(),
        first.current(),
        "the next CA does not issue yet"
    );
    assert!(carries(
        published.bundle_pem().as_bytes(),
        first.bundle_pem().as_bytes()
    ));
    // Not while one APIService lacks it, and not before the settling time, however long the old bundle was carried.
    assert_eq!(due(&published, ages + DAY, nobody), None);
    assert_eq!(
        due(
            &published,
            ages + SETTLE - SignedDuration::from_secs(1),
            carried(now)
        ),
        None
    );
    assert_eq!(due(&published, ages + SETTLE, carried(now)), Some(Step::Promote));
    let late = ages + DAY;
    assert_eq!(
        due(
            &published,
            late + SETTLE - SignedDuration::from_secs(1),
            carried(late)
        ),
        None
    );
    assert_eq!(due(&published, late + SETTLE, carried(late)), Some(Step::Promote));

    let promoted_at = ages + SETTLE;
    let promoted = published.after(Step::Promote, promoted_at).unwrap();
    assert_ne!(promoted.current(), first.current());
    // A leaf of the former CA is verified for as long as it lives.
    let old = Leaf::issue(first.current(), &names(), promoted_at).unwrap();
    assert!(verifies(
        &promoted,
        &old,
        "metricrule",
        promoted_at + LEAF_LIFE - SKEW
    ));
    assert_eq!(
        due(
            &promoted,
            promoted_at + LEAF_LIFE - SignedDuration::from_secs(1),
            carried(now)
        ),
        None
    );
    assert_eq!(
        due(&promoted, promoted_at + LEAF_LIFE, nobody),
        Some(Step::Retire)
    );

    let retired = promoted.after(Step::Retire, promoted_at + LEAF_LIFE).unwrap();
    assert_eq!(retired.bundle().count(), 1);
    assert_eq!(due(&retired, promoted_at + LEAF_LIFE, carried(now)), None);
}

#[test]
fn a_next_ca_that_is_not_carried_issues_only_as_the_current_one_ends() {
    let now = start();
    let first = CaState::new(now).unwrap();
    let end = first.current().certificate().not_after();
    let published = first.after(Step::Publish, now + DAY * 300).unwrap();
    let nobody = Facts::default();
    for before in [LEAF_LIFE + DAY, LEAF_LIFE, DAY, SKEW + SETTLE] {
        assert_eq!(due(&published, end - before, nobody), None, "{before}");
    }
    assert_eq!(published.anchors().next_issues_at, end - SKEW);
    assert_eq!(due(&published, end - SKEW, nobody), Some(Step::Promote));
    assert_eq!(due(&published, end + DAY, nobody), Some(Step::Promote));
    // The operator was away for longer than the CA's life.
    assert_eq!(due(&first, end, nobody), Some(Step::Replace));
    assert_eq!(due(&published, end + CA_LIFE, nobody), Some(Step::Replace));
    let replaced = first.after(Step::Replace, end).unwrap();
    assert_eq!(replaced.bundle().count(), 1);
    assert_ne!(replaced.current(), first.current());
}

fn asked(asked: Asked) -> Facts {
    Facts {
        carried_since: None,
        asked: Some(asked),
    }
}

#[test]
fn a_rotation_on_request_takes_the_same_steps() {
    let now = start();
    let first = CaState::new(now).unwrap();
    assert_eq!(due(&first, now, asked(Asked::Rotate)), Some(Step::Publish));
    let published = first.after(Step::Publish, now).unwrap();
    assert_eq!(
        due(&published, now, asked(Asked::Rotate)),
        None,
        "one is under way"
    );
    let promoted = published.after(Step::Promote, now + SETTLE).unwrap();
    let day = now + DAY;
    assert_eq!(
        due(&promoted, day, Facts::default()),
        None,
        "the former is trusted on"
    );
    assert_eq!(due(&promoted, day, asked(Asked::Rotate)), Some(Step::Publish));

    let mut many = first;
    for _ in 0..MAX_FORMER {
        assert_eq!(due(&many, now, asked(Asked::Rotate)), Some(Step::Publish));
        many = many
            .after(Step::Publish, now)
            .unwrap()
            .after(Step::Promote, now)
            .unwrap();
    }
    assert_eq!(
        due(&many, now, asked(Asked::Rotate)),
        None,
        "the bundle is bounded"
    );
    assert_eq!(due(&many, now, asked(Asked::Revoke)), Some(Step::Revoke));
}

#[test]
fn a_revoked_ca_leaves_the_bundle_as_soon_as_nobody_serves_with_it() {
    let now = start();
    let first = CaState::new(now).unwrap().after(Step::Publish, now).unwrap();
    assert_eq!(due(&first, now, asked(Asked::Revoke)), Some(Step::Revoke));
    let published = first.after(Step::Revoke, now).unwrap();
    assert!(published.is_rotating());
    assert_eq!(published.bundle().count(), 2, "the next CA that waited is gone");
    assert_ne!(
        published.bundle().nth(1),
        first.bundle().nth(1),
        "and another one waits"
    );
    assert_eq!(due(&published, now + SETTLE, Facts::default()), None, "in order");
    let carried = Facts {
        carried_since: Some(now),
        asked: None,
    };
    let promoted_at = now + SETTLE;
    assert_eq!(due(&published, promoted_at, carried), Some(Step::Promote));
    let promoted = published.after(Step::Promote, promoted_at).unwrap();
    let promoted = CaState::decode(&promoted.encode()).unwrap();
    assert!(promoted.is_rotating());
    let second = SignedDuration::from_secs(1);
    assert_eq!(due(&promoted, promoted_at + SETTLE - second, carried), None);
    assert_eq!(due(&promoted, promoted_at + SETTLE, carried), Some(Step::Retire));
    let retired = promoted.after(Step::Retire, promoted_at + SETTLE).unwrap();
    assert_eq!(retired.bundle().count(), 1);
    assert!(!retired.is_rotating());
}

#[test]
fn requests_for_a_rotation_are_two_words() {
    assert_eq!("now".parse(), Ok(Asked::Rotate));
    assert_eq!("revoke".parse(), Ok(Asked::Revoke));
    for unknown in ["", "true", "Now", "now "] {
        let error = unknown.parse::<Asked>().unwrap_err().to_string();
        assert!(error.contains("`revoke`"), "{error}");
    }
}

#[test]
fn a_ca_bundle_may_carry_more() {
    let now = start();
    let (one, two) = (CaState::new(now).unwrap(), CaState::new(now).unwrap());
    let both = format!("# ours\n{}\n{}", one.bundle_pem(), two.bundle_pem());
    assert!(carries(both.as_bytes(), two.bundle_pem().as_bytes()));
    assert!(!carries(one.bundle_pem().as_bytes(), both.as_bytes()));
    assert!(!carries(b"", one.bundle_pem().as_bytes()));
}

#[test]
fn a_time_before_the_epoch_is_an_error() {
    assert!(matches!(CaState::new(Timestamp::MIN), Err(PkiError::Time(_))));
}
