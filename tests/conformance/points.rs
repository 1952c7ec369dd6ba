//! All points, in order.

use anyhow::{Result, ensure};

use crate::point::Point;
use crate::{lab, unit, url};

/// How many points there are.
pub(crate) const COUNT: u8 = 110;

/// Every point, by number.
pub(crate) fn all() -> Vec<&'static Point> {
    let mut points: Vec<_> = [url::POINTS, lab::POINTS, unit::POINTS]
        .into_iter()
        .flatten()
        .flat_map(|points| points.iter())
        .collect();
    points.sort_by_key(|point| point.number);
    points
}

/// That each number is there once.
///
/// # Errors
/// One is missing or twice there.
pub(crate) fn check(points: &[&Point]) -> Result<()> {
    let numbers: Vec<_> = points.iter().map(|point| point.number).collect();
    let missing: Vec<_> = (1..=COUNT).filter(|number| !numbers.contains(number)).collect();
    ensure!(missing.is_empty(), "points without a test: {missing:?}");
    ensure!(
        numbers.len() == usize::from(COUNT),
        "points with two tests: {numbers:?}"
    );
    Ok(())
}
