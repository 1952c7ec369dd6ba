//! The table, sorted by name.
//!
//! Names, types and optional arguments are those of `promql/parser/functions.go`; when a function came and became stable is in
//! Prometheus' `CHANGELOG.md`; the rest follows from what `promql/functions.go` does.

use super::{Function, Labels, Outcome, Role, Rows};
use crate::value::ValueType::{Matrix, Scalar, String, Vector};

/// Every function. Whoever adds one looks at what it reads: one that reads more than its arguments has `.reads_more()`, so that
/// no query with it is confined.
pub(super) static FUNCTIONS: [Function; 91] = [
    Function::new("abs", &[Vector], Vector),
    Function::new("absent", &[Vector], Vector)
        .outcome(Outcome::Other)
        .labels(Labels::Equalities)
        .rows(Rows::One),
    Function::new("absent_over_time", &[Matrix], Vector)
        .outcome(Outcome::Other)
        .labels(Labels::Equalities)
        .rows(Rows::One),
    Function::new("acos", &[Vector], Vector),
    Function::new("acosh", &[Vector], Vector),
    Function::new("asin", &[Vector], Vector),
    Function::new("asinh", &[Vector], Vector),
    Function::new("atan", &[Vector], Vector),
    Function::new("atanh", &[Vector], Vector),
    Function::new("avg_over_time", &[Matrix], Vector),
    Function::new("ceil", &[Vector], Vector),
    Function::new("changes", &[Matrix], Vector)
        .outcome(Outcome::Other)
        .two_samples(),
    Function::new("clamp", &[Vector, Scalar, Scalar], Vector),
    Function::new("clamp_max", &[Vector, Scalar], Vector),
    Function::new("clamp_min", &[Vector, Scalar], Vector),
    Function::new("cos", &[Vector], Vector),
    Function::new("cosh", &[Vector], Vector),
    Function::new("count_over_time", &[Matrix], Vector).outcome(Outcome::Other),
    Function::new("day_of_month", &[Vector], Vector).optional(1),
    Function::new("day_of_week", &[Vector], Vector).optional(1),
    Function::new("day_of_year", &[Vector], Vector).optional(1),
    Function::new("days_in_month", &[Vector], Vector).optional(1),
    Function::new("deg", &[Vector], Vector),
    Function::new("delta", &[Matrix], Vector).two_samples(),
    Function::new("deriv", &[Matrix], Vector).two_samples(),
    Function::new("double_exponential_smoothing", &[Matrix, Scalar, Scalar], Vector)
        .since(3, 0)
        .experimental()
        .two_samples(),
    Function::new("end", &[], Scalar).since(3, 12).experimental(),
    Function::new("exp", &[Vector], Vector),
    Function::new("first_over_time", &[Matrix], Vector)
        .since(3, 7)
        .stable_since(3, 14),
    Function::new("floor", &[Vector], Vector),
    Function::new("histogram_avg", &[Vector], Vector),
    Function::new("histogram_count", &[Vector], Vector).outcome(Outcome::Other),
    Function::new("histogram_fraction", &[Scalar, Scalar, Vector], Vector).rows(Rows::OfHistograms),
    Function::new("histogram_quantile", &[Scalar, Vector], Vector).rows(Rows::OfHistograms),
    Function::new("histogram_quantiles", &[Vector, String, Scalar, Scalar], Vector)
        .optional(9)
        .since(3, 11)
        .experimental()
        .labels(Labels::KeptAndMade)
        .rows(Rows::Several)
        .roles(&[Role::Value, Role::Label]),
    Function::new("histogram_stddev", &[Vector], Vector),
    Function::new("histogram_stdvar", &[Vector], Vector),
    Function::new("histogram_sum", &[Vector], Vector),
    Function::new("hour", &[Vector], Vector).optional(1),
    Function::new("idelta", &[Matrix], Vector).two_samples(),
    Function::new("increase", &[Matrix], Vector)
        .outcome(Outcome::Rate)
        .two_samples(),
    Function::new("info", &[Vector, Vector], Vector)
        .optional(1)
        .since(2, 55)
        .experimental()
        .outcome(Outcome::Other)
        .reads_more(),
    Function::new("integral", &[Matrix, Scalar], Vector)
        .optional(1)
        .since(3, 16)
        .experimental()
        .two_samples(),
    Function::new("irate", &[Matrix], Vector)
        .outcome(Outcome::Rate)
        .two_samples(),
    Function::new("label_join", &[Vector, String, String, String], Vector)
        .variadic()
        .labels(Labels::KeptAndMade)
        .roles(&[Role::Value, Role::Label, Role::Value, Role::Label]),
    Function::new("label_replace", &[Vector, String, String, String, String], Vector)
        .labels(Labels::KeptAndMade)
        .roles(&[
            Role::Value,
            Role::Label,
            Role::Replacement,
            Role::Label,
            Role::Pattern,
        ]),
    Function::new("last_over_time", &[Matrix], Vector),
    Function::new("ln", &[Vector], Vector),
    Function::new("log10", &[Vector], Vector),
    Function::new("log2", &[Vector], Vector),
    Function::new("mad_over_time", &[Matrix], Vector)
        .since(2, 49)
        .experimental()
        .outcome(Outcome::Other),
    Function::new("max_of", &[Scalar, Scalar], Scalar)
        .since(3, 13)
        .experimental(),
    Function::new("max_over_time", &[Matrix], Vector),
    Function::new("min_of", &[Scalar, Scalar], Scalar)
        .since(3, 13)
        .experimental(),
    Function::new("min_over_time", &[Matrix], Vector),
    Function::new("minute", &[Vector], Vector).optional(1),
    Function::new("month", &[Vector], Vector).optional(1),
    Function::new("pi", &[], Scalar),
    Function::new("predict_linear", &[Matrix, Scalar], Vector)
        .outcome(Outcome::Other)
        .two_samples(),
    Function::new("present_over_time", &[Matrix], Vector).outcome(Outcome::Other),
    Function::new("quantile_over_time", &[Scalar, Matrix], Vector),
    Function::new("rad", &[Vector], Vector),
    Function::new("range", &[], Scalar).since(3, 12).experimental(),
    Function::new("rate", &[Matrix], Vector)
        .outcome(Outcome::Rate)
        .two_samples(),
    Function::new("resets", &[Matrix], Vector)
        .outcome(Outcome::Other)
        .two_samples(),
    Function::new("round", &[Vector, Scalar], Vector).optional(1),
    Function::new("scalar", &[Vector], Scalar)
        .labels(Labels::Lost)
        .rows(Rows::One),
    Function::new("sgn", &[Vector], Vector).outcome(Outcome::Other),
    Function::new("sin", &[Vector], Vector),
    Function::new("sinh", &[Vector], Vector),
    Function::new("sort", &[Vector], Vector),
    Function::new("sort_by_label", &[Vector, String], Vector)
        .variadic()
        .since(2, 49)
        .experimental()
        .roles(&[Role::Value, Role::Label]),
    Function::new("sort_by_label_desc", &[Vector, String], Vector)
        .variadic()
        .since(2, 49)
        .experimental()
        .roles(&[Role::Value, Role::Label]),
    Function::new("sort_desc", &[Vector], Vector),
    Function::new("sqrt", &[Vector], Vector),
    Function::new("start", &[], Scalar).since(3, 12).experimental(),
    Function::new("start_timestamp", &[Vector], Vector)
        .since(3, 14)
        .experimental()
        .outcome(Outcome::Other),
    Function::new("stddev_over_time", &[Matrix], Vector).outcome(Outcome::Other),
    Function::new("stdvar_over_time", &[Matrix], Vector).outcome(Outcome::Other),
    Function::new("step", &[], Scalar).since(3, 12).experimental(),
    Function::new("sum_over_time", &[Matrix], Vector),
    Function::new("tan", &[Vector], Vector),
    Function::new("tanh", &[Vector], Vector),
    Function::new("time", &[], Scalar),
    Function::new("timestamp", &[Vector], Vector).outcome(Outcome::Other),
    Function::new("ts_of_first_over_time", &[Matrix], Vector)
        .since(3, 7)
        .experimental()
        .outcome(Outcome::Other),
    Function::new("ts_of_last_over_time", &[Matrix], Vector)
        .since(3, 5)
        .experimental()
        .outcome(Outcome::Other),
    Function::new("ts_of_max_over_time", &[Matrix], Vector)
        .since(3, 5)
        .experimental()
        .outcome(Outcome::Other),
    Function::new("ts_of_min_over_time", &[Matrix], Vector)
        .since(3, 5)
        .experimental()
        .outcome(Outcome::Other),
    Function::new("vector", &[Scalar], Vector)
        .labels(Labels::Lost)
        .rows(Rows::One),
    Function::new("year", &[Vector], Vector).optional(1),
];
