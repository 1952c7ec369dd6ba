//! Points that any metrics API server can be asked about.

mod bodies;
pub(crate) mod discovery;
mod errors;
mod negotiation;
mod protocol;
mod routing;
mod selectors;
mod strict;

use crate::point::Point;

/// Those of each module.
pub(crate) const POINTS: &[&[Point]] = &[
    routing::POINTS,
    selectors::POINTS,
    bodies::POINTS,
    errors::POINTS,
    negotiation::POINTS,
    discovery::POINTS,
    protocol::POINTS,
    strict::POINTS,
];
