//! Log lines about failed requests, as a log store reads them.

use std::{io::Write, sync::PoisonError};

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use tracing_subscriber::EnvFilter;

use super::*;
use crate::{server::peer::Peer, telemetry};

/// Lines of the log, as they are written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An object of JSON as a strict store reads it: the same key twice is an error.
#[derive(Debug)]
struct Strict(serde_json::Map<String, Value>);

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Strict;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut fields = serde_json::Map::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if fields.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("{key:?} twice")));
                    }
                }
                Ok(Strict(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[tokio::test]
async fn the_line_of_a_failed_request_has_no_key_twice_and_joins_the_audit_log() {
    let lines = Lines::default();
    let sink = lines.clone();
    let log = telemetry::json(EnvFilter::new("debug"), move || sink.clone()).finish();
    let guard = tracing::subscriber::set_default(log);
    let bench = bench();
    let id = "b7f1cd51-7c7e-4f0b-a9c1-5ad0a1b8e1c2";
    // A test beside this one may have been the first at a line of the log, and nobody listened then: the lines are met once, and
    // heard the second time.
    for _ in 0..2 {
        lines.0.lock().unwrap().clear();
        tracing::callsite::rebuild_interest_cache();
        for (metric, code) in [("panic", 500), ("m", 200)] {
            let mut request = HttpRequest::get(format!("{P}/namespaces/ns/pods/p1/{metric}"))
                .header("authorization", "Bearer hpa")
                .header("audit-id", id)
                .body(Body::empty())
                .unwrap();
            request
                .extensions_mut()
                .insert(Peer::new("127.0.0.1:59702".parse().unwrap(), Vec::new()));
            let response = bench.router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), code);
        }
    }
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let mut told = Vec::new();
    for line in text.lines() {
        let Strict(fields) = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if fields.get("audit_id").is_some() {
            assert_eq!(fields["audit_id"], id, "as the API server writes it: {line}");
            assert_eq!(fields["peer"], "127.0.0.1:59702", "{line}");
            told.push(fields);
        }
    }
    let messages: Vec<_> = told.iter().map(|fields| &fields["message"]).collect();
    assert_eq!(messages, ["request failed", "request"], "{text}");
    let error = told[0]["error"].as_str().unwrap();
    assert!(error.contains("Internal"), "why it failed: {error}");
    assert!(told[1].get("error").is_none(), "{text}");
}
