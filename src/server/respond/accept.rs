//! Content negotiation: what of `Accept` can be given.

use http::{HeaderMap, header::ACCEPT};

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Accepted {
    /// `application/json`.
    Json,
    /// The same, as an aggregated discovery document.
    AggregatedDiscovery,
}

/// Why there is nothing to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum NotAcceptable {
    /// No media type fits.
    MediaType,
    /// Only forms of JSON that we do not make, such as `as=Table`.
    Form,
}

/// One clause of `Accept`.
#[derive(Debug)]
struct Clause<'a> {
    media_type: &'a str,
    quality: f32,
    /// `as`, `g`, `v`.
    form: Option<(&'a str, &'a str, &'a str)>,
    stream: bool,
}

// === impl Accepted ===

impl Accepted {
    /// What the clauses of `Accept` allow, by quality and then by order. A clause that asks for a form that is not made here
    /// is passed over, not taken for plain JSON: kubectl asks for `as=Table` first and for JSON after it.
    pub(in crate::server) fn of(headers: &HeaderMap, discovery: bool) -> Result<Self, NotAcceptable> {
        let values = headers
            .get_all(ACCEPT)
            .iter()
            .map(|value| value.to_str().unwrap_or("invalid"));
        let header = values.collect::<Vec<_>>().join(",");
        if header.trim().is_empty() {
            return Ok(Self::Json);
        }
        let mut clauses: Vec<_> = header.split(',').filter_map(Clause::parse).collect();
        clauses.sort_by(|left, right| right.quality.total_cmp(&left.quality));
        let json = clauses
            .iter()
            .filter(|clause| clause.quality > 0.0 && clause.is_json());
        let mut refused = NotAcceptable::MediaType;
        for clause in json {
            match clause.form {
                None if !clause.stream => return Ok(Self::Json),
                Some(("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2")) if discovery => {
                    return Ok(Self::AggregatedDiscovery);
                }
                _ => refused = NotAcceptable::Form,
            }
        }
        Err(refused)
    }
}

// === impl Clause ===

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().filter(|media_type| !media_type.is_empty())?;
        let mut clause = Self {
            media_type,
            quality: 1.0,
            form: None,
            stream: false,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            let (kind, group, version) = clause.form.unwrap_or_default();
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => {
                    let quality = value.parse().ok().filter(|q| (0.0..=1.0).contains(q));
                    clause.quality = quality.unwrap_or(0.0);
                }
                "as" => clause.form = Some((value, group, version)),
                "g" => clause.form = Some((kind, value, version)),
                "v" => clause.form = Some((kind, group, value)),
                "stream" => clause.stream = !value.is_empty(),
                // `charset` and what else there may be changes nothing.
                _ => {}
            }
        }
        // `g` and `v` alone ask for no other form.
        clause.form = clause.form.filter(|(kind, ..)| !kind.is_empty());
        Some(clause)
    }

    fn is_json(&self) -> bool {
        ["application/json", "application/*", "*/*"]
            .iter()
            .any(|known| self.media_type.eq_ignore_ascii_case(known))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

    fn of(accept: Option<&str>, discovery: bool) -> Result<Accepted, NotAcceptable> {
        let accept = accept.map(|accept| (ACCEPT, accept.parse().expect(accept)));
        let headers: HeaderMap = accept.into_iter().collect();
        Accepted::of(&headers, discovery)
    }

    #[test]
    fn what_clients_send() {
        use {Accepted::Json, NotAcceptable::*};
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let cases = [
            (None, Ok(Json)),
            (Some(""), Ok(Json)),
            (Some("*/*"), Ok(Json)),
            (Some("application/*"), Ok(Json)),
            (Some("application/json"), Ok(Json)),
            (Some("Application/JSON; charset=utf-8"), Ok(Json)),
            // The controller manager, with protobuf and without.
            (Some("application/vnd.kubernetes.protobuf, */*"), Ok(Json)),
            (
                Some("application/vnd.kubernetes.protobuf,application/json"),
                Ok(Json),
            ),
            (Some("application/json, */*"), Ok(Json)),
            (Some("application/json;q=0.5, application/yaml;q=0.9"), Ok(Json)),
            (Some("application/cbor,application/json"), Ok(Json)),
            // kubectl.
            (
                Some(&format!(
                    "{table},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
                )),
                Ok(Json),
            ),
            (Some(table), Err(Form)),
            (
                Some("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
                Err(Form),
            ),
            (Some("application/json;stream=watch"), Err(Form)),
            (Some("application/json;v=v1;g=meta.k8s.io"), Ok(Json)),
            (Some("text/html"), Err(MediaType)),
            (Some("application/yaml"), Err(MediaType)),
            (Some("application/cbor"), Err(MediaType)),
            (Some("application/vnd.kubernetes.protobuf"), Err(MediaType)),
            (Some("application/json;q=0"), Err(MediaType)),
            (Some("application/json;q=0, */*;q=0.1"), Ok(Json)),
            (Some(AGGREGATED), Err(Form)),
        ];
        for (accept, expected) in cases {
            assert_eq!(of(accept, false), expected, "{accept:?}");
        }
    }

    #[test]
    fn aggregated_discovery_is_for_those_who_ask_for_v2() {
        let v2beta1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        let cases = [
            (AGGREGATED.to_owned(), Ok(Accepted::AggregatedDiscovery)),
            (
                format!("{AGGREGATED},{v2beta1},application/json"),
                Ok(Accepted::AggregatedDiscovery),
            ),
            (
                format!("{v2beta1},{AGGREGATED},application/json"),
                Ok(Accepted::AggregatedDiscovery),
            ),
            (format!("{v2beta1},application/json"), Ok(Accepted::Json)),
            (v2beta1.to_owned(), Err(NotAcceptable::Form)),
            (format!("{AGGREGATED};q=0.5,application/json"), Ok(Accepted::Json)),
            ("application/json".to_owned(), Ok(Accepted::Json)),
        ];
        for (accept, expected) in cases {
            assert_eq!(of(Some(&accept), true), expected, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(ACCEPT, value);
                let _ = Accepted::of(&headers, true);
            }
        }
    }
}
