//! Families of watches, rules, status writes, registration, lease and certificates.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// What the controller and the operator's own CA count.
#[derive(Clone, Debug)]
pub struct ControllerMetrics {
    rules: Family<ConditionLabels, Gauge>,
    watch_events: Family<KindLabels, Counter>,
    watch_restarts: Family<KindLabels, Counter>,
    writes: Family<WriteLabels, Counter>,
    leader: Gauge,
    certificate_expiry: Family<NameLabels, Gauge>,
    trust_ends: Family<ApiServiceLabels, Gauge>,
    authentication_read: Gauge,
    certificate_reloads: Family<OutcomeLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    condition: &'static str,
    status: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiServiceLabels {
    apiservice: &'static str,
}

// === impl ControllerMetrics ===

impl ControllerMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            rules: Family::default(),
            watch_events: Family::default(),
            watch_restarts: Family::default(),
            writes: Family::default(),
            leader: Gauge::default(),
            certificate_expiry: Family::default(),
            trust_ends: Family::default(),
            authentication_read: Gauge::default(),
            certificate_reloads: Family::default(),
        };
        registry.register(
            "rules",
            "Rules by condition, status and reason",
            metrics.rules.clone(),
        );
        registry.register(
            "watch_events",
            "Events of a watch by kind",
            metrics.watch_events.clone(),
        );
        registry.register(
            "watch_restarts",
            "Watches that failed and were restarted after a back-off, by kind",
            metrics.watch_restarts.clone(),
        );
        registry.register(
            "writes",
            "Writes to the API server by kind (status, apiservice, secret, configmap, claims, lease, event) and outcome",
            metrics.writes.clone(),
        );
        registry.register(
            "leader",
            "1 on the replica that writes status, Events and registration",
            metrics.leader.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When a certificate in use expires (serving, ca), in Unix time",
            metrics.certificate_expiry.clone(),
        );
        registry.register(
            "apiservice_trust_end_timestamp_seconds",
            "When kube-apiserver can no longer verify the operator through an APIService that lacks its CA, in Unix time; 0 if it already can't, absent if all is well",
            metrics.trust_ends.clone(),
        );
        registry.register(
            "authentication_timestamp_seconds",
            "When the ConfigMap extension-apiserver-authentication was last read, in Unix time; 0 before",
            metrics.authentication_read.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Reloads of the serving certificate's files by outcome (ok, error); after an error the old certificate stays in use",
            metrics.certificate_reloads.clone(),
        );
        metrics
    }

    /// Replaces the counts of rules by (condition, status, reason).
    pub fn rules(
        &self,
        counts: impl IntoIterator<Item = ((&'static str, &'static str, &'static str), usize)>,
    ) {
        self.rules.clear();
        for ((condition, status, reason), count) in counts {
            let labels = ConditionLabels {
                condition,
                status,
                reason,
            };
            self.rules
                .get_or_create(&labels)
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A watch of `kind` begins. Its failures count from 0 on: an alert on a rise needs a value to rise from.
    pub fn watch_start(&self, kind: &'static str) {
        drop(self.watch_restarts.get_or_create(&KindLabels { kind }));
    }

    /// An event of the watch of `kind`.
    pub fn watch_event(&self, kind: &'static str) {
        self.watch_events.get_or_create(&KindLabels { kind }).inc();
    }

    /// A watch of `kind` failed.
    pub fn watch_restart(&self, kind: &'static str) {
        self.watch_restarts.get_or_create(&KindLabels { kind }).inc();
    }

    /// A write of `kind` with its outcome, `ok` or `error`.
    pub fn write(&self, kind: &'static str, outcome: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind, outcome }).inc();
    }

    /// Whether this replica leads now.
    pub fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The files of the serving certificate are read from now on. Failures count from 0 on: an alert on a rise needs a value to
    /// rise from.
    pub fn certificate_reload_start(&self) {
        for outcome in ["ok", "error"] {
            drop(self.certificate_reloads.get_or_create(&OutcomeLabels { outcome }));
        }
    }

    /// The files of the serving certificate changed, `ok` or `error`.
    pub fn certificate_reload(&self, outcome: &'static str) {
        self.certificate_reloads
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// When the certificate `name` (`serving`, `ca`) ends, in Unix seconds.
    pub fn certificate_expiry(&self, name: &'static str, at: i64) {
        self.certificate_expiry
            .get_or_create(&NameLabels { name })
            .set(at);
    }

    /// Replaces the `APIService`s by which trust ends: when, in Unix seconds; 0 for one by which it has.
    pub fn trust_ends(&self, ends: impl IntoIterator<Item = (&'static str, i64)>) {
        self.trust_ends.clear();
        for (apiservice, at) in ends {
            self.trust_ends
                .get_or_create(&ApiServiceLabels { apiservice })
                .set(at);
        }
    }

    /// When the cluster's word on whom to believe was last read, in Unix seconds.
    pub fn authentication_read(&self, at: i64) {
        self.authentication_read.set(at);
    }
}
