//! The sum of an answer: what an HPA makes of the values, in an int64 and in thousandths.
//!
//! Its controller adds up the values of an External answer, and those of whichever pods it counts (`pkg/controller/podautoscaler`
//! of Kubernetes: `GetMetricUsageRatio`, `GetExternalMetricReplicas`). Pods without a value count as the target where that is
//! above the average, so that their sum overflows only if the target times all pods does, whatever is served.

use crate::language::quantity::Milli;

/// What is wrong with values that are too large for their sum, and what to do; after "values that".
pub(super) const TOO_LARGE: &str = "are too large to be added up (an HPA's sum ends at 9.2e15); give them in a larger unit, such as seconds instead of \
     nanoseconds";

/// One value of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addend {
    /// As it would be served.
    pub(super) milli: Milli,
    /// Whether the number is beyond that.
    pub(super) clamped: bool,
}

// === impl Addend ===

impl Addend {
    /// Whether it is within its `share` of the sum.
    pub(super) const fn fits(self, share: i64) -> bool {
        !self.clamped && self.milli.get().unsigned_abs() <= share.unsigned_abs()
    }

    fn exact(self) -> i128 {
        let milli = i128::from(self.milli.get());
        // One that was cut fits beside nothing.
        if self.clamped {
            milli + milli.signum()
        } else {
            milli
        }
    }
}

/// The largest magnitude of a value that may be served, where the sum of some of them overflows.
///
/// A value by itself may be whatever a quantity holds.
pub(super) fn share(addends: &[Addend]) -> Option<i64> {
    let of_sign = |sign: i128| {
        let values = addends.iter().map(|addend| addend.exact());
        values.filter(|value| value.signum() == sign).sum::<i128>().abs()
    };
    let fits = |sum: i128| sum <= i128::from(i64::MAX);
    if addends.len() < 2 || (fits(of_sign(1)) && fits(of_sign(-1))) {
        return None;
    }
    i64::try_from(addends.len()).ok().map(|count| i64::MAX / count)
}

/// The sum of all.
pub(super) fn total(addends: &[Addend]) -> i128 {
    addends.iter().map(|addend| addend.exact()).sum()
}

/// How many were cut to what a quantity holds.
pub(super) fn clamped(addends: &[Addend]) -> u64 {
    addends.iter().map(|addend| u64::from(addend.clamped)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addends(values: &[f64]) -> Vec<Addend> {
        let rounded = values.iter().map(|value| Milli::from_f64(*value).unwrap());
        rounded
            .map(|rounded| Addend {
                milli: rounded.milli,
                clamped: rounded.clamped,
            })
            .collect()
    }

    /// What an HPA gets when it adds up some of those that are served.
    fn served(addends: &[Addend]) -> Vec<i64> {
        let share = share(addends);
        addends
            .iter()
            .filter(|addend| share.is_none_or(|share| addend.fits(share)))
            .map(|addend| addend.milli.get())
            .collect()
    }

    #[test]
    fn four_pods_at_9e15_are_not_added_up_to_a_negative_number() {
        assert_eq!(served(&addends(&[9e15; 4])), [0_i64; 0]);
        assert_eq!(
            served(&addends(&[1e30, 1.0, 2.0])),
            [1000, 2000],
            "the others stay"
        );
        assert_eq!(
            served(&addends(&[1e30])),
            [i64::MAX],
            "alone it overflows nothing"
        );
        assert_eq!(
            served(&addends(&[9e15, 9e14])),
            [900_000_000_000_000_000],
            "9e18 + 9e17 > 2^63"
        );
        assert_eq!(
            served(&addends(&[9e15, -9e15])).len(),
            2,
            "of opposite signs they do not add up"
        );
        assert_eq!(
            served(&addends(&[1e30, -1e30])),
            [0_i64; 0],
            "what was cut is no number to add to"
        );
        let full = [i64::MAX - 5, 5].map(|milli| Addend {
            milli: Milli::new(milli),
            clamped: false,
        });
        assert_eq!(served(&full).len(), 2, "2^63 − 1 itself fits");
    }

    proptest! {
        #[test]
        fn no_sum_of_any_subset_overflows(
            values in proptest::collection::vec(
                prop_oneof![any::<f64>().prop_filter("finite", |value| value.is_finite()), -1e16..1e16, -1e14..1e14], 0..40),
            chosen in any::<u64>(),
        ) {
            let served = served(&addends(&values));
            let mut sum = 0_i64;
            for (index, value) in served.iter().enumerate() {
                if chosen >> index & 1 == 1 {
                    let added = sum.checked_add(*value);
                    prop_assert!(added.is_some(), "{sum} + {value}");
                    sum = added.unwrap();
                }
            }
        }

        #[test]
        fn what_fits_is_left_alone(values in proptest::collection::vec(-9e13..9e13, 0..100)) {
            prop_assert_eq!(share(&addends(&values)), None);
        }
    }
}
