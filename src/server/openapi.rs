//! The `OpenAPI` documents: version 2 for all groups at once, version 3 for each version of a group.
//!
//! They are constant. The aggregator asks for both every minute and must never get a 404 from version 3: it would take the
//! server for one without, until the `APIService` is made anew.

pub(super) mod operations;
pub(super) mod schemas;

use http::{HeaderMap, header::CACHE_CONTROL};
use serde_json::{Map, Value, json};

use super::{
    apis,
    respond::{JSON, Reply, Tagged},
};
use crate::metrics_api::{ApiVersion, MetricsApi, PerVersion};

/// The two dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

/// The documents and their tags.
#[derive(Debug)]
pub(super) struct OpenApi {
    v2: Tagged,
    v3: Tagged,
    versions: PerVersion<Tagged>,
}

// === impl Dialect ===

impl Dialect {
    fn reference(self, name: &str) -> Value {
        let prefix = match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        };
        json!({ "$ref": format!("{prefix}{name}") })
    }
}

// === impl OpenApi ===

impl OpenApi {
    pub(super) fn new() -> serde_json::Result<Self> {
        let mut versions = PerVersion::<Tagged>::default();
        for version in ApiVersion::ALL {
            versions[version] = Tagged::new(&v3(version))?;
        }
        let index: Map<String, Value> = versions
            .iter()
            .map(|(version, document)| {
                let path = format!("apis/{}", version.group_version());
                let url = format!("/openapi/v3/{path}?hash={}", document.hash);
                (path, json!({ "serverRelativeURL": url }))
            })
            .collect();
        Ok(Self {
            v2: Tagged::new(&v2())?,
            v3: Tagged::new(&json!({ "paths": index }))?,
            versions,
        })
    }

    /// `/openapi/v2`.
    pub(super) fn v2(&self, request: &HeaderMap) -> Reply {
        Reply::tagged(&self.v2, JSON, request)
    }

    /// `/openapi/v3`: which documents there are.
    pub(super) fn v3(&self, request: &HeaderMap) -> Reply {
        Reply::tagged(&self.v3, JSON, request)
    }

    /// `/openapi/v3/apis/{group}/{version}`. With the document's hash in the query, as the index gives it, it never changes.
    pub(super) fn v3_of(&self, version: ApiVersion, query: Option<&str>, request: &HeaderMap) -> Reply {
        let document = &self.versions[version];
        let reply = Reply::tagged(document, JSON, request);
        let hashes = query
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.strip_prefix("hash="));
        let mut hashes = hashes.map(|hash| {
            hash.trim_matches('"')
                .trim_start_matches("%22")
                .trim_end_matches("%22")
        });
        if hashes.any(|hash| hash == document.hash) {
            reply.with(CACHE_CONTROL, "public, immutable, max-age=31536000")
        } else {
            reply
        }
    }
}

fn info() -> Value {
    json!({ "title": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })
}

fn v2() -> Value {
    let mut paths = Map::new();
    let mut definitions = Map::new();
    for version in MetricsApi::ALL.into_iter().flat_map(MetricsApi::preference) {
        let operations = apis::operations(version.api());
        paths.extend(operations::paths(Dialect::V2, version, &operations));
        definitions.extend(schemas::of(Dialect::V2, version, apis::schema(version)));
    }
    json!({ "swagger": "2.0", "info": info(), "paths": paths, "definitions": definitions })
}

fn v3(version: ApiVersion) -> Value {
    let operations = apis::operations(version.api());
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": operations::paths(Dialect::V3, version, &operations),
        "components": { "schemas": schemas::of(Dialect::V3, version, apis::schema(version)) },
    })
}

#[cfg(test)]
mod tests;
