//! Every reason that the operator gives, for good and for bad, once: the same word in a condition, an HTTP message, an
//! Event, `explain` and the label `reason` of a metric.

use std::{fmt, fmt::Write as _, str::FromStr};

use serde::{Deserialize, Serialize, de};

#[cfg(test)]
mod tests;

/// Where a reason is mainly met; the sections of docs/reasons.md.
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

// Columns: the code; the HTTP status of a request that fails for it, 200 where it fails none; what it means and what
// to do, in one sentence.
reasons! {
    Accepted {
        Accepted 200 "The spec compiles."
        Pending 503 "The operator has not looked at the object yet: wait a second, then see whether it runs."
        InvalidSpec 500 "A field has a value that the present CRD would refuse: correct it, and apply the CRDs of the operator's version."
        InvalidTemplate 500 "A template does not parse, uses a function or field that there is not, or puts a value outside a string literal: correct it at the position given."
        InvalidQuery 500 "The query, or the series query, is no `PromQL` that we can read: correct it at the position given."
        InvalidPattern 500 "A regular expression does not parse, differs between RE2 and us, or has more than one capture group without `name.as`: correct it at the position given."
        DuplicateResource 500 "Two labels in `resources.overrides` name the same kind: keep one of them."
        MatchAll 500 "`seriesQuery` has no selective matcher and would read every series: add a name or a label matcher, or in a `ClusterMetricRule` set `limits.allowMatchAll`."
        RangeTooLong 500 "The query of a `MetricRule` reads further back than `limits.perRule.maxRange` of its `MetricBackend` allows: shorten the range, or ask the platform team."
        NotConfinable 500 "The query of a `MetricRule` cannot be confined to its namespace: write it without the part named, or ask the platform team for a `ClusterMetricRule`."
        QuotaExceeded 500 "The namespace's rules take more than its share of the operator's memory, and this is one of the youngest: make them fewer, or their patterns simpler and their queries shorter."
        Undecodable 500 "The object does not decode at all: correct the field named, or apply the CRDs of the operator's version."
    }
    ResolvedRefs {
        ResolvedRefs 200 "The backend and the kinds of the rule exist."
        BackendNotFound 500 "There is no `MetricBackend` of that name, or no default one: create it, or correct `backendRef`."
        AmbiguousDefault 500 "Several `MetricBackends` are annotated as the default: name one in `backendRef`, or take the annotation off the others."
        BackendNotAllowed 403 "The `MetricBackend`'s `allowedNamespaces` leaves this namespace out: use another backend, or ask the platform team."
        UnknownResource 404 "The cluster does not know a kind that `resources` names: correct it, or install its CRD; the other kinds are served."
    }
    Discovered {
        Discovered 200 "The series query found series, and they make metrics."
        Static 200 "The rule has no `seriesQuery`: there is nothing to discover."
        Truncated 200 "There is more than `limits` allows, and the rest is cut off in lexical order: narrow `seriesQuery`, or raise the limit."
        NoSeries 404 "The series query found nothing within the backend's lookback: try it in the backend, and check that the target is scraped."
    }
    Dropped {
        Filtered 200 "`seriesFilters` leaves the series out."
        NameNotMatched 200 "`name.matches` is not found in the series name."
        InvalidName 200 "The metric name that `name` makes is empty, longer than 512 bytes, or has `/`, `%` or control characters."
        NoResource 200 "No label of the series names a kind by `resources`: add the label or the mapping."
        NoNamespaceLabel 200 "The series is about a namespaced kind but has no label that is mapped to `namespaces`."
        Duplicate 200 "Another series of the rule makes the same metric for the same kind."
    }
    Conflicted {
        NameTaken 200 "Another rule answers for the metrics named: rename them here, or raise `priority`."
        NoConflict 200 "No other rule answers for a metric of this one."
    }
    Registered {
        Registered 200 "The API server forwards the metrics API of the rule to the operator."
        NotManaged 200 "The operator runs with `--register never`: the `APIService` is somebody else's care."
        OwnedByOther 200 "The `APIService` points to the other service named: remove that adapter, or annotate the `APIService` for take-over."
        CaBundleOutdated 200 "The `APIService` points to the operator and lacks its present or next CA, so that the API server cannot verify the operator, or soon will not: write `ca.crt` of the operator's CA Secret into its `caBundle`, or let the operator write it."
        Unavailable 200 "The `APIService` points to the operator but the API server cannot reach it: see the `APIService`'s own condition."
        TakenOver 200 "The `APIService` pointed to another service and was taken over, as its annotation asked."
        Withdrawn 200 "No rule needs the `APIService` any more, so it was removed."
    }
    Ready {
        Serving 200 "The rule answers requests."
        Idle 200 "The rule is good but has no series now, so it answers no request."
        Stale 200 "The rule answers by the names of the last good look at its series; the later ones failed."
        Ready 200 "The backend answers queries."
    }
    Warning {
        DuplicateRows 200 "The query gave several rows for one object, and the first in label order is used: aggregate by `<<.GroupBy>>`."
        ForeignObject 200 "The query gave rows for objects that were not asked for, and they are dropped: use `<<.LabelMatchers>>` and `<<.GroupBy>>`."
        ForeignNamespace 200 "The query gave rows of another namespace, and they are dropped: use `<<.LabelMatchers>>`."
        StaleRow 200 "The query gave rows whose time is more than 5 minutes before the evaluation, and they are dropped. Prometheus and its like give every row the time of the evaluation, however old its sample is."
        AboveCeiling 200 "A `MetricRule` asks for more than `limits.perRule` of its `MetricBackend` allows, and that is what holds: lower it, or ask the platform team."
        CounterWithoutRate 200 "A counter is used as it is, and grows until its process restarts: take `rate` or `increase` of it."
        RateOfGauge 200 "`rate`, `irate` and `increase` are for counters, and this series is a gauge: use it as it is, or `deriv` or `delta`."
        ShortRange 200 "The range is shorter than two scrape intervals, so that it often holds fewer than the two samples that the function needs: make it at least four intervals long."
        GroupByLost 200 "The rows of the query do not have the label of the objects, so no value belongs to an object: aggregate by `<<.GroupBy>>`."
        MatchersIgnored 200 "The query reads series of objects that were not asked for, and their rows are dropped: put `<<.LabelMatchers>>` into the selector."
        ReadsAllSeries 200 "`seriesQuery` has no selective matcher and may read every series of the backend at each look: give it a name or a label with a value."
        DuplicateName 200 "Two objects of the files have the same kind, namespace and name, and the later overwrites the earlier: rename one."
        BackendWarning 200 "The backend answered with the warning given: try the query in the backend."
        InsecureTls 200 "`insecureSkipVerify` takes any certificate: name the authority in `caRef` instead."
        PlaintextCredentials 200 "Credentials are sent to an http address: use https."
        Unsupported 200 "What is imported has no counterpart here, or another one than its author may think: the message says what to do."
        Imported 200 "What an import makes of something."
        NeverWorked 200 "What is imported could not work in the former adapter either: see the message, and write it anew or drop it."
        Ineffective 200 "Something is written that nothing reads: see the message, and take it out or write it where it counts."
        CertificateExpiring 200 "The serving certificate ends soon or has ended, and nothing has renewed it: see what should."
    }
    Request {
        BadRequest 400 "The request does not follow the metrics API."
        InvalidSelector 400 "The metric selector has a key that is no label name, a value that cannot be one, or an operator that there is not: correct the HPA's selector."
        SelectorRequired 400 "The query needs a label that the metric selector does not set: add it to the HPA's selector with `=` or `in`."
        Unauthorized 401 "The request carries no identity that the operator or the API server knows."
        Forbidden 403 "RBAC does not let this identity read the metric: bind a role for the metrics API to it."
        ObjectsForbidden 403 "The operator may not list objects of this kind: add it to the chart's `rbac.objects`, or ask for objects by name."
        UnknownMetric 404 "No rule makes this metric for this resource: see `kubectl get metricrules,clustermetricrules`, and look for the name in their `status.discovered`."
        NoData 404 "The metric is known but the backend has no value for this object now: check that it is scraped and matches the query."
        NotFound 404 "There is nothing at this path."
        MethodNotAllowed 405 "The metrics API is read-only."
        NotAcceptable 406 "None of the media types that the client accepts can be given: accept application/json."
        TooManyRequests 429 "Too many requests of the namespace, or of all, are in flight: try again after the time given."
        NotFinite 500 "The value is infinite, or so large that an HPA's sum of the answer overflows: guard the query against a division by zero, or give it in a larger unit."
        MissingRows 500 "The backend's answer lacks rows, so that an HPA's sum of the rest is too low: mend the query as the message says, or set `missingRows: Accept`."
        NegativeValue 500 "The value is negative, and the rule says `negative: Error`."
        LimitExceeded 500 "The answer of the backend is beyond a bound, which the message names: rows (`limits.maxSamples`), the length of labels, the memory of one answer or of all of a namespace, the size of the reply. Aggregate more, narrow `seriesQuery`, or raise the limit named."
        UnexpectedResult 500 "The query gives no instant vector: take off the range, or aggregate."
        Internal 500 "The operator failed: see its log for this request, and report it."
        Throttled 503 "A ceiling of the `MetricBackend` leaves no time for the query, or holds queries up: set the value that the `MetricBackend`'s condition `Ready` names, or ask for less."
        NotSynced 503 "The operator has not yet listed what the answer needs: try again in a few seconds."
        Timeout 504 "The answer was not ready within the request's deadline: make the query cheaper, or look at the backend's load."
    }
    Backend {
        Reachable 200 "The backend answers."
        Authenticated 200 "The backend takes the credentials, or asks for none."
        BackendDown 503 "The backend cannot be reached: see the `MetricBackend`'s `lastError`, then address, network policy and the backend itself."
        BackendTimeout 503 "The backend did not answer within `timeout`: look at its load, or make the query cheaper."
        BackendError 503 "The backend answered with an error or with something that is no answer: see the `MetricBackend`'s `lastError`, and check that the address is the API of a Prometheus."
        QueryRejected 500 "The backend refused the query: the rule's condition `Ready` quotes why, the log and the `MetricBackend`'s `lastError` have the whole text; try the query in the backend."
        PartialResponse 503 "The backend gave a partial answer: bring its missing part back, raise the `limit` that cut it, or set `partialResponse: Accept`."
        RedirectRefused 503 "The backend answered with a redirect, which is never followed: set `url` to where it leads."
        TlsFailed 503 "The TLS handshake with the backend failed: check `caRef`, `serverName` and the certificates' dates."
        ClockSkew 503 "The backend's clock and the operator's are more than ten minutes apart, and nobody knows which is right: set both by NTP. A smaller difference is taken into account, and shown in the `MetricBackend`'s `clockOffset`."
        Unauthenticated 503 "The backend refused the credentials with 401 or 403: check the Secret, and what the account may do."
        CredentialsNotFound 503 "A Secret, `ConfigMap`, key or `ServiceAccount` that the `MetricBackend` names is not in the operator's namespace, or lacks the label `metricrule.dev/backend: \"true\"`."
        CredentialsInvalid 503 "A Secret or `ConfigMap` that the `MetricBackend` names holds no usable certificate, key or token."
    }
}

/// A word that is no reason of this version.
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

    /// What it means and what to do, in one sentence with a full stop.
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
            Self::ResolvedRefs => "What the spec names: condition ResolvedRefs",
            Self::Discovered => "Series: condition Discovered",
            Self::Dropped => "Series that make no metric: `status.discovered.dropped`",
            Self::Conflicted => "Several rules: condition Conflicted",
            Self::Registered => {
                "The API server: condition Registered, and Events of the registration and of the operator's Service"
            }
            Self::Ready => {
                "Service: condition Ready; while a rule's own queries fail, their reason stands there"
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
         `reason` of a metric. HTTP is the status of a request that fails for it.\n",
    );
    for area in Area::ALL {
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## {}\n\n| reason | HTTP | meaning and next step |\n|---|---|---|\n",
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
