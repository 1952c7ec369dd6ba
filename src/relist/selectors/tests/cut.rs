//! Listings that a limit of the backend has cut: they say nothing of what is not among them.

use std::sync::Mutex;

use axum::Router;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::{
    backend::{SeriesQuery, testing::pool},
    catalog::recorded::{Record, advance},
};

/// What a backend on loopback that gives these bodies, one after the other, is found to list.
async fn listings(mut bodies: Vec<serde_json::Value>) -> Vec<Result<ListedSeries, BackendError>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = bodies.len();
    bodies.reverse();
    let bodies = Arc::new(Mutex::new(bodies));
    let app = Router::new().fallback(move || {
        let body = bodies.lock().unwrap().pop().unwrap();
        std::future::ready(body.to_string())
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let backend = pool(&url).get("default").unwrap();
    let mut listings = Vec::new();
    for _ in 0..count {
        let query = SeriesQuery {
            selector: "up".into(),
            start: Timestamp::now(),
            end: Timestamp::now(),
            max_series: None,
            examples: 0,
            namespace: None,
            deadline: Instant::now() + Duration::from_secs(20),
        };
        listings.push(backend.series(query).await);
    }
    listings
}

#[tokio::test]
async fn a_listing_that_a_limit_cut_ended_the_claims_of_what_was_cut_off() {
    let of = |name: &str| json!({"__name__": name, "namespace": "shop", "pod": "a"});
    let (a, b) = (of("http_a_total"), of("http_b_total"));
    let listings = listings(vec![
        json!({"status": "success", "data": [a, b]}),
        json!({"status": "success", "data": [a], "infos": [], "warnings": ["results truncated due to limit"]}),
        json!({"status": "success", "data": [a]}),
    ])
    .await;
    tokio::time::pause();
    let mut world = World::new();
    // In these semantics the first good listing without a series ends its claim.
    let spec = REQUESTS.replace("http_requests_total{pod!=\"\"}", "'{__name__=~\"http_.+\"}'");
    world.edit("all", 1, &format!("{spec}\nsemantics: PrometheusAdapter"));
    // Each metric is claimed for pods and for their namespace.
    let (mut record, mut seen) = (Record::default(), Vec::new());
    for result in listings {
        let target = world.selectors.take_due(Instant::now()).unwrap();
        let outcome = Outcome {
            result,
            at: Timestamp::UNIX_EPOCH,
            took: Duration::ZERO,
        };
        world.selectors.finish(&target, outcome, Instant::now());
        world.rebuild(Arc::new(world.index.table()));
        record = advance(&record, &world.catalog, Timestamp::UNIX_EPOCH).record;
        let claims = record.rules.values().flat_map(|rule| &rule.claims);
        let entry = world.catalog.entry(&RuleKey::cluster("all")).unwrap();
        seen.push((
            ["http_a_per_second", "http_b_per_second"].map(|metric| world.serves(metric)),
            claims.filter(|(_, claim)| claim.idle_since.is_none()).count(),
            match &entry.listing {
                Listing::Failed { reason, .. } => Some(*reason),
                _ => None,
            },
        ));
        tokio::time::advance(Duration::from_mins(2)).await;
    }
    assert_eq!(
        seen,
        [
            ([true, true], 4, None),
            ([true, true], 4, Some(Reason::PartialResponse)),
            ([true, false], 2, None),
        ]
    );
}
