//! Points about a part of the server, shown on it alone.

mod inside;
mod replies;

use crate::point::Point;

/// Those of each module.
pub(crate) const POINTS: &[&[Point]] = &[replies::POINTS];
