//! Labels of the families of backends.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// What a budget of bytes is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetKind {
    /// Answers in flight.
    Answers,
    /// Listings.
    Listings,
}

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryKind {
    /// `/api/v1/query`.
    Instant,
    /// `/api/v1/series`.
    Series,
    /// The probe of a backend's health.
    Probe,
}

/// Whether queries are let through to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// They are.
    Closed,
    /// They fail at once, and a probe is finding out.
    HalfOpen,
    /// They fail at once.
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    pub(super) backend: String,
    pub(super) kind: QueryKind,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct QueryLabels {
    pub(super) backend: String,
    pub(super) kind: QueryKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BackendLabels {
    pub(super) backend: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CeilingLabels {
    pub(super) backend: String,
    pub(super) ceiling: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CircuitLabels {
    pub(super) backend: String,
    pub(super) state: CircuitState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CauseLabels {
    pub(super) backend: String,
    pub(super) cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BudgetLabels {
    pub(super) budget: BudgetKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RelistErrorLabels {
    pub(super) backend: String,
    pub(super) reason: &'static str,
}

// === impl BudgetKind ===

impl EncodeLabelValue for BudgetKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let text = match self {
            Self::Answers => "answers",
            Self::Listings => "listings",
        };
        text.encode(encoder)
    }
}

// === impl BackendLabels ===

impl BackendLabels {
    pub(super) fn of(backend: &str) -> Self {
        Self {
            backend: backend.to_owned(),
        }
    }
}

// === impl CircuitState ===

impl CircuitState {
    pub(super) const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];
}

impl EncodeLabelValue for CircuitState {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let text = match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        };
        text.encode(encoder)
    }
}

// === impl QueryKind ===

impl EncodeLabelValue for QueryKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let text = match self {
            Self::Instant => "instant",
            Self::Series => "series",
            Self::Probe => "probe",
        };
        text.encode(encoder)
    }
}
