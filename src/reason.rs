//! Reasons, for good and for bad, each defined once: the same word in a condition, an HTTP message, an Event, `explain` and
//! the label `reason` of a metric.

use std::{fmt, fmt::Write as _, str::FromStr};

use serde::{Deserialize, Serialize, de};

#[cfg(test)]
mod tests;

/// The sections of docs/reasons.md: where a reason mainly appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Area {
    Accepted,
    ResolvedRefs,
    Discovered,
    Dropped,
    Conflicted,
    Registered,
    Ready,
    Warning,
    Request,
    Backend,
}

/// One line of the table.
struct Row {
    reason: Reason,
    code: &'static str,
    area: Area,
    http_status: u16,
    text: &'static str,
}

/// Makes the enum and its table from one list, so that no reason can miss a column.
macro_rules! reasons {
    ($($area:ident { $($name:ident $status:literal $text:literal)* })*) => {
        /// Why something is as it is. The documentation of a variant is its [`Reason::text`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $text] $name,)*)*
        }

        /// In the order of the variants, so that a reason is the index of its row.
        const TABLE: &[Row] = &[
            $($(Row {
                reason: Reason::$name,
                code: stringify!($name),
                area: Area::$area,
                http_status: $status,
                text: $text,
            },)*)*
        ];
    };
}

// Columns: the code; the HTTP status of a request that fails with it, or 200 if no request does; its meaning and the next
// step, in one sentence.
reasons! {
    Accepted {
        Accepted 200 "The spec compiles."
        Pending 503 "The operator has not looked at the object yet: wait a second, then check that the operator runs."
        InvalidSpec 500 "A field has a value that the current CRD would refuse: correct it, and apply the CRDs of the operator's version."
        InvalidTemplate 500 "A template does not parse, uses an unknown function or field, or puts a value outside a string literal: correct it at the given position."
        InvalidQuery 500 "The query or series query is not valid `PromQL`: correct it at the given position."
        InvalidPattern 500 "A regular expression does not parse, means something else in RE2, or has more than one capture group without `name.as`: correct it at the given position."
        DuplicateResource 500 "Two labels in `resources.overrides` name the same kind: keep one of them."
        MatchAll 500 "`seriesQuery` has no selective matcher and would read every series: add a name or a label matcher, or in a `ClusterMetricRule` set `limits.allowMatchAll`."
        RangeTooLong 500 "The query of a `MetricRule` reads further back than `limits.perRule.maxRange` of its `MetricBackend` allows: shorten the range, or ask the platform team."
        NotConfinable 500 "The query of a `MetricRule` cannot be confined to its namespace: remove the part named, or ask the platform team for a `ClusterMetricRule`."
        QuotaExceeded 500 "The rules of the namespace take more than its share of the operator's memory, and this rule is one of the youngest: use fewer rules, simpler patterns or shorter queries."
        Undecodable 500 "The object cannot be decoded: correct the field named, or apply the CRDs of the operator's version."
    }
    ResolvedRefs {
        ResolvedRefs 200 "The backend and the kinds of the rule exist."
        BackendNotFound 500 "No `MetricBackend` has that name, or none is the default: create it, or correct `backendRef`."
        AmbiguousDefault 500 "Several `MetricBackends` are annotated as the default: name one in `backendRef`, or remove the annotation from the others."
        BackendNotAllowed 403 "The `MetricBackend`'s `allowedNamespaces` does not include this namespace: use another backend, or ask the platform team."
        UnknownResource 404 "The cluster does not know a kind that `resources` names: correct the kind, or install its CRD; the other kinds are served."
    }
    Discovered {
        Discovered 200 "The series query found series, and they make metrics."
        Static 200 "The rule has no `seriesQuery`, so the operator has nothing to discover."
        Truncated 200 "The rule has more series or metrics than `limits` allows, and the rest is cut off in lexical order: narrow `seriesQuery`, or raise the limit."
        NoSeries 404 "The series query found nothing within the backend's lookback: try it in the backend, and check that the target is scraped."
    }
    Dropped {
        Filtered 200 "`seriesFilters` excludes the series."
        NameNotMatched 200 "`name.matches` does not match the series name."
        InvalidName 200 "The metric name that `name` makes is empty, longer than 512 bytes, or contains `/`, `%` or control characters."
        NoResource 200 "No label of the series names a kind in `resources`: add the label or the mapping."
        NoNamespaceLabel 200 "The series describes a namespaced kind but has no label that is mapped to `namespaces`."
        Duplicate 200 "Another series of the rule makes the same metric for the same kind."
    }
    Conflicted {
        NameTaken 200 "Another rule answers for the metrics named: rename them here, or raise `priority`."
        NoConflict 200 "No other rule answers for a metric of this one."
    }
    Registered {
        Registered 200 "The API server forwards the metrics API of the rule to the operator."
        NotManaged 200 "The operator runs with `--register never`: somebody else manages the `APIService`."
        OwnedByOther 200 "The `APIService` points to the other service named: remove that adapter, or annotate the `APIService` for take-over."
        CaBundleOutdated 200 "The `APIService` points to the operator but lacks its current or next CA, so the API server cannot verify the operator, now or soon: write `ca.crt` of the operator's CA Secret into its `caBundle`, or let the operator write it."
        Unavailable 200 "The `APIService` points to the operator but the API server cannot reach it: see the `APIService`'s own condition."
        TakenOver 200 "The `APIService` pointed to another service, and the operator took it over, as its annotation asked."
        Withdrawn 200 "No rule needs the `APIService` any more, so the operator removed it."
    }
    Ready {
        Serving 200 "The rule answers requests."
        Idle 200 "The rule is valid but has no series now, so it answers no request."
        Stale 200 "The rule answers with the names of the last successful listing of its series; later listings failed."
        Ready 200 "The backend answers queries."
    }
    Warning {
        DuplicateRows 200 "The query returned several rows for one object, and the first in label order is used: aggregate by `<<.GroupBy>>`."
        ForeignObject 200 "The query returned rows for objects that the request did not ask for, and they are dropped: use `<<.LabelMatchers>>` and `<<.GroupBy>>`."
        ForeignNamespace 200 "The query returned rows of another namespace, and they are dropped: use `<<.LabelMatchers>>`."
        StaleRow 200 "The query returned rows that are more than 5 minutes older than the evaluation, and they are dropped. Prometheus and compatible backends give every row the time of the evaluation, however old its sample is."
        AboveCeiling 200 "A `MetricRule` sets a value that `limits.perRule` of its `MetricBackend` does not allow, and the bound applies instead: write the bound, or ask the platform team."
        CounterWithoutRate 200 "A counter is used directly, and grows until its process restarts: use its `rate` or `increase`."
        RateOfGauge 200 "`rate`, `irate` and `increase` are for counters, but this series is a gauge: use it directly, or use `deriv` or `delta`."
        ShortRange 200 "The range is shorter than two scrape intervals, so it often holds fewer than the two samples that the function needs: make it at least four intervals long."
        GroupByLost 200 "The rows of the query do not have the label of the objects, so no value belongs to an object: aggregate by `<<.GroupBy>>`."
        MatchersIgnored 200 "The query reads series of objects that the request did not ask for, and their rows are dropped: put `<<.LabelMatchers>>` into the selector."
        ReadsAllSeries 200 "`seriesQuery` has no selective matcher and may read every series of the backend with each listing: add a name or a label with a value."
        DuplicateName 200 "Two objects in the files have the same kind, namespace and name, and the later one overwrites the earlier one: rename one of them."
        BackendWarning 200 "The backend answered with the given warning: try the query in the backend."
        InsecureTls 200 "`insecureSkipVerify` accepts any certificate: name the authority in `caRef` instead."
        PlaintextCredentials 200 "Credentials are sent to an http address: use https."
        Unsupported 200 "A setting of the imported configuration has no counterpart here, or not the one that its author may expect: follow the message."
        Imported 200 "The import converted something: the message says into what."
        NeverWorked 200 "A part of the imported configuration could not work in the former adapter either: rewrite it as the message says, or drop it."
        Ineffective 200 "A setting has no effect: see the message, and remove it or move it to where it takes effect."
        CertificateExpiring 200 "The serving certificate is about to expire or has expired and was not renewed: check whatever is supposed to renew it."
    }
    Request {
        BadRequest 400 "The request does not follow the metrics API."
        InvalidSelector 400 "The metric selector has a key that is not a valid label name, a value that no label can have, or an unknown operator: correct the HPA's selector."
        SelectorRequired 400 "The query needs a label that the metric selector does not set: add it to the HPA's selector with `=` or `in`."
        Unauthorized 401 "The request carries no identity that the operator or the API server knows."
        Forbidden 403 "RBAC does not let this identity read the metric: bind a role for the metrics API to it."
        ObjectsForbidden 403 "The operator may not list objects of this kind: add it to the chart's `rbac.objects`, or ask for objects by name."
        UnknownMetric 404 "No rule makes this metric for this resource: see `kubectl get metricrules,clustermetricrules`, and look for the name in their `status.discovered`."
        NoData 404 "The metric is known, but the backend has no value for this object now: check that it is scraped and matches the query."
        NotFound 404 "Nothing exists at this path."
        MethodNotAllowed 405 "The metrics API is read-only."
        NotAcceptable 406 "The server cannot produce any of the media types that the client accepts: accept application/json."
        TooManyRequests 429 "Too many requests are in flight, of this namespace or of all: try again after the given time."
        NotFinite 500 "The value is infinite, or so large that an HPA's sum of the answer overflows: guard the query against a division by zero, or use a larger unit."
        MissingRows 500 "The backend's answer lacks rows, so an HPA's sum of the others would be too low: correct the query as the message says, or set `missingRows: Accept`."
        NegativeValue 500 "The value is negative, and the rule says `negative: Error`."
        LimitExceeded 500 "The backend's answer exceeds the bound that the message names: rows (`limits.maxSamples`), the length of labels, the memory of one answer or of all answers of a namespace, or the size of the reply. Aggregate more, narrow `seriesQuery`, or raise the limit."
        UnexpectedResult 500 "The query does not return an instant vector: remove the range, or aggregate."
        Internal 500 "The operator failed: see its log for this request, and report it."
        Throttled 503 "A ceiling of the `MetricBackend` leaves no time for the query, or delays queries: set the value that the `MetricBackend`'s condition `Ready` names, or send fewer queries."
        NotSynced 503 "The operator has not yet listed the series that the answer needs: try again in a few seconds."
        Timeout 504 "The answer was not ready within the request's deadline: make the query cheaper, or look at the backend's load."
    }
    Backend {
        Reachable 200 "The backend answers."
        Authenticated 200 "The backend accepts the credentials, or needs none."
        BackendDown 503 "The backend cannot be reached: see the `MetricBackend`'s `lastError`, then check the address, the network policy and the backend itself."
        BackendTimeout 503 "The backend did not answer within `timeout`: look at its load, or make the query cheaper."
        BackendError 503 "The backend returned an error or an answer that is not valid: see the `MetricBackend`'s `lastError`, and check that the address is the API of a Prometheus."
        QueryRejected 500 "The backend refused the query: the rule's condition `Ready` quotes why; the log and the `MetricBackend`'s `lastError` have the whole text; try the query in the backend."
        PartialResponse 503 "The backend returned a partial answer: restore its missing part, raise the `limit` that cut it off, or set `partialResponse: Accept`."
        RedirectRefused 503 "The backend answered with a redirect, which the operator never follows: set `url` to its target."
        TlsFailed 503 "The TLS handshake with the backend failed: check `caRef`, `serverName` and the certificates' dates."
        ClockSkew 503 "The backend's clock and the operator's differ by more than ten minutes, and the operator cannot know which is right: set both by NTP. The operator compensates a smaller difference, and shows it in the `MetricBackend`'s `clockOffset`."
        Unauthenticated 503 "The backend refused the credentials with 401 or 403: check the Secret, and the permissions of the account."
        CredentialsNotFound 503 "A Secret, `ConfigMap`, key or `ServiceAccount` that the `MetricBackend` names is not in the operator's namespace, or lacks the label `metricrule.dev/backend: \"true\"`."
        CredentialsInvalid 503 "A Secret or `ConfigMap` that the `MetricBackend` names contains no usable certificate, key or token."
    }
}

/// A word that is not a reason of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown reason {0:?}")]
pub struct UnknownReason(String);

// === impl Reason ===

impl Reason {
    /// All of them, in the order of docs/reasons.md.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        TABLE.iter().map(|row| row.reason)
    }

    /// The word itself: `NameTaken`.
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The HTTP status of a request that fails for this reason; 200 for a reason that fails none.
    pub const fn http_status(self) -> u16 {
        self.row().http_status
    }

    /// Its meaning and the next step, in one sentence with a full stop.
    pub const fn text(self) -> &'static str {
        self.row().text
    }

    /// Whether it is about a backend as a whole, and not about one query: every rule of the backend meets it, and the
    /// `MetricBackend` says it.
    pub const fn is_outage(self) -> bool {
        matches!(
            self,
            Self::BackendDown
                | Self::BackendTimeout
                | Self::BackendError
                | Self::RedirectRefused
                | Self::TlsFailed
                | Self::Unauthenticated
                | Self::CredentialsNotFound
                | Self::CredentialsInvalid
                | Self::TooManyRequests
                | Self::Throttled
        )
    }

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::all()
            .find(|reason| reason.code() == code)
            .ok_or_else(|| UnknownReason(code.to_owned()))
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

// === impl Area ===

impl Area {
    const ALL: [Self; 10] = [
        Self::Accepted,
        Self::ResolvedRefs,
        Self::Discovered,
        Self::Dropped,
        Self::Conflicted,
        Self::Registered,
        Self::Ready,
        Self::Warning,
        Self::Request,
        Self::Backend,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Accepted => "The spec: condition Accepted",
            Self::ResolvedRefs => "References of the spec: condition ResolvedRefs",
            Self::Discovered => "Series: condition Discovered",
            Self::Dropped => "Series that make no metric: `status.discovered.dropped`",
            Self::Conflicted => "Several rules: condition Conflicted",
            Self::Registered => {
                "The API server: condition Registered, and Events of the registration and of the operator's Service"
            }
            Self::Ready => {
                "Service: condition Ready (with the reason of a rule's own queries while they fail)"
            }
            Self::Warning => "Warnings: `status.warnings`, `check` and `import`",
            Self::Request => "Requests",
            Self::Backend => "Backends: conditions and `lastError` of a `MetricBackend`, and requests",
        }
    }
}

/// The text of docs/reasons.md.
pub fn markdown() -> String {
    let mut page = String::from(
        "<!-- Written by `make crds` from src/reason.rs. Do not edit. -->\n\n# Reasons\n\n\
         A reason is the same word in a condition, in the message of an HTTP error, in an Event, and in the label\n\
         `reason` of a metric. HTTP is the status of a request that fails with this reason.\n",
    );
    for area in Area::ALL {
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## {}\n\n| Reason | HTTP | Meaning and next step |\n|---|---|---|\n",
            area.title()
        );
        for row in TABLE.iter().filter(|row| row.area == area) {
            let status = if row.http_status == 200 {
                String::new()
            } else {
                row.http_status.to_string()
            };
            let _ = writeln!(page, "| `{}` | {status} | {} |", row.code, row.text);
        }
    }
    page
}
