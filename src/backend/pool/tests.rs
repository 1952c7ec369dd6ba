use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::{backend::testing::NoTokens, metrics::Metrics};

fn inputs(uid: &str, url: &str, max_concurrent: u32) -> BackendInputs {
    let spec = json!({"type": "Prometheus", "limits": {"maxConcurrent": max_concurrent},
        "prometheus": {"url": url, "auth": {"type": "Bearer", "bearer": {"secretRef": {"name": "login"}}}}});
    BackendInputs {
        spec: Arc::new(serde_json::from_value(spec).unwrap()),
        uid: uid.to_owned(),
        generation: 1,
    }
}

fn token(text: Option<&'static str>) -> impl Fn(CaRefKind, &str, &str) -> Option<Bytes> + Send + 'static {
    move |_, _, _| text.map(|text| Bytes::from_static(text.as_bytes()))
}

fn desired(uid: &str, url: &str, max_concurrent: u32, secret: Option<&'static str>) -> Desired {
    Desired::of(&inputs(uid, url, max_concurrent), Some(&token(secret)))
}

#[test]
fn a_client_stays_until_what_it_is_made_of_changes() {
    let old = desired("1", "https://a", 16, Some("t"));
    for (new, expected) in [
        (desired("1", "https://a", 16, Some("t")), Step::Keep),
        // A line end is not the token's.
        (desired("1", "https://a", 16, Some("t\n")), Step::Keep),
        (desired("1", "https://a", 16, Some("u")), Step::Build),
        (desired("1", "https://a", 16, None), Step::Build),
        (desired("1", "https://b", 16, Some("t")), Step::Build),
        (desired("1", "https://a", 17, Some("t")), Step::Limit),
        (desired("2", "https://a", 16, Some("t")), Step::Build),
    ] {
        assert_eq!(step(Some(&old), &new), expected, "{new:?}");
    }
    assert_eq!(step(None, &old), Step::Build);
    let missing = desired("1", "https://a", 16, None);
    assert_eq!(
        step(Some(&missing), &missing.clone()),
        Step::Keep,
        "an error is no reason to try for ever"
    );
}

#[tokio::test]
async fn the_pool_follows_backends_and_credentials() {
    crate::backend::install_crypto();
    let pool = Pool::new(Metrics::new().backend, Arc::new(NoTokens));
    let mut changes = pool.subscribe();
    let both = [
        ("a".into(), inputs("1", "https://a", 16)),
        ("b".into(), inputs("2", "http://b", 16)),
    ];
    let reason = |name: &str| pool.get(name).err().map(|error| error.reason());

    pool.apply(both.clone());
    assert!(changes.has_changed().unwrap());
    assert_eq!(
        reason("a"),
        Some(Reason::NotSynced),
        "no credentials were read yet"
    );
    pool.set_credentials(token(None));
    assert_eq!(reason("a"), Some(Reason::CredentialsNotFound));
    assert_eq!(reason("b"), Some(Reason::InvalidSpec), "credentials over http");
    assert_eq!(reason("c"), Some(Reason::BackendNotFound));

    pool.set_credentials(token(Some("one")));
    let first = pool.get("a").unwrap();
    changes.mark_unchanged();
    pool.apply(both.clone());
    pool.set_credentials(token(Some("one")));
    assert!(!changes.has_changed().unwrap(), "nothing changed");
    assert!(Arc::ptr_eq(&first, &pool.get("a").unwrap()));

    pool.set_credentials(token(Some("two")));
    assert!(changes.has_changed().unwrap());
    assert!(!Arc::ptr_eq(&first, &pool.get("a").unwrap()));
    assert!(!format!("{pool:?}").contains("two"));

    pool.apply([]);
    assert_eq!(reason("a"), Some(Reason::BackendNotFound));
    assert_eq!(pool.subscribe().borrow().iter().count(), 0);
}

/// Finding 20 and its like: a new ceiling must not let the old queries through a second time.
#[tokio::test]
async fn what_is_in_flight_counts_through_new_limits_and_a_spec_that_is_broken_for_a_moment() {
    crate::backend::install_crypto();
    let pool = Pool::new(Metrics::new().backend, Arc::new(NoTokens));
    pool.set_credentials(token(Some("t")));
    let apply = |uid: &str, url: &str, most: u32| {
        pool.apply([("a".into(), inputs(uid, url, most))]);
        let state = pool.state();
        state.slots.get("a").unwrap().limiter.clone()
    };
    let limiter = apply("1", "https://a", 16);
    let client = pool.get("a").unwrap();
    assert!(Arc::ptr_eq(&limiter, &apply("1", "https://a", 2)));
    assert!(
        Arc::ptr_eq(&client, &pool.get("a").unwrap()),
        "with its breaker and its connections"
    );
    assert!(Arc::ptr_eq(&limiter, &apply("1", "https://b", 2)));
    pool.apply([]);
    assert!(Arc::ptr_eq(&limiter, &apply("1", "https://b", 2)));
    assert!(
        !Arc::ptr_eq(&limiter, &apply("2", "https://b", 2)),
        "another backend"
    );
    pool.apply([]);
    drop((limiter, client));
    pool.apply([]);
    assert!(pool.state().limiters.is_empty(), "nothing is kept for ever");
}
