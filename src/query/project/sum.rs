//! The sum of an answer: what an HPA makes of the values, in an int64 and in thousandths.
//!
//! Its controller adds up the values of an External answer, and those of whichever pods it counts (`pkg/controller/podautoscaler`
//! of Kubernetes: `GetMetricUsageRatio`, `GetExternalMetricReplicas`). Pods without a value count as the target where that is
//! above the average, so that their sum overflows only if the target times all pods does, whatever is served. What it divides
//! by the target becomes an int32 of replicas.

use language::quantity::Milli;

/// What is wrong with values that are too large for their sum, and what to do; after "values that".
const TOO_LARGE: &str = "are too large to add up (an HPA's sum is limited to 9.2e15); use a larger unit, such as \
                         seconds instead of nanoseconds";
/// The same for a target of an HPA.
const TOO_FAR: &str = "together exceed 2^31 times the target of an HPA, which would then scale to its minimum; check \
                       the units of the metric and of the target";

/// One value of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addend {
    /// As it would be served.
    pub(super) milli: Milli,
    /// Whether the number is beyond that.
    pub(super) clamped: bool,
}

/// The largest magnitudes of a value that may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    above: i64,
    below: i64,
    /// What is wrong with larger ones.
    pub(super) fault: &'static str,
}

// === impl Addend ===

impl Addend {
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

// === impl Share ===

impl Share {
    /// Where the sum of some values overflows: how large each of them may be. `target`: the lowest target that the sum is
    /// divided by, where one is known. A value by itself may be whatever a quantity holds, but for the target.
    pub(super) fn of(addends: impl Iterator<Item = Addend>, target: Option<i64>) -> Option<Self> {
        let (mut count, mut positive, mut negative) = (0_i64, 0_i128, 0_i128);
        for addend in addends {
            count += 1;
            let value = addend.exact();
            positive += value.max(0);
            negative -= value.min(0);
        }
        let count = count.max(1);
        let most = target.map_or(i64::MAX, |target| target.saturating_mul(i32::MAX.into()));
        if most < i64::MAX && positive > most.into() {
            return Some(Self {
                above: most / count,
                below: i64::MAX / count,
                fault: TOO_FAR,
            });
        }
        let overflows = count > 1 && positive.max(negative) > i64::MAX.into();
        overflows.then_some(Self {
            above: i64::MAX / count,
            below: i64::MAX / count,
            fault: TOO_LARGE,
        })
    }

    /// Whether a value is within it.
    pub(super) fn holds(self, addend: Addend) -> bool {
        let milli = addend.milli.get();
        !addend.clamped && milli <= self.above && milli >= -self.below
    }
}

/// The sum of all.
pub(super) fn total(addends: impl Iterator<Item = Addend>) -> i128 {
    addends.map(Addend::exact).sum()
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
    fn served(addends: &[Addend], target: Option<i64>) -> Vec<i64> {
        let share = Share::of(addends.iter().copied(), target);
        addends
            .iter()
            .filter(|addend| share.is_none_or(|share| share.holds(**addend)))
            .map(|addend| addend.milli.get())
            .collect()
    }

    fn sums(values: &[f64]) -> Vec<i64> {
        served(&addends(values), None)
    }

    #[test]
    fn four_pods_at_9e15_are_not_added_up_to_a_negative_number() {
        assert_eq!(sums(&[9e15; 4]), [0_i64; 0]);
        assert_eq!(sums(&[1e30, 1.0, 2.0]), [1000, 2000], "the others stay");
        assert_eq!(sums(&[1e30]), [i64::MAX], "alone it overflows nothing");
        assert_eq!(
            sums(&[9e15, 9e14]),
            [900_000_000_000_000_000],
            "9e18 + 9e17 > 2^63"
        );
        assert_eq!(
            sums(&[9e15, -9e15]).len(),
            2,
            "of opposite signs they do not add up"
        );
        assert_eq!(
            sums(&[1e30, -1e30]),
            [0_i64; 0],
            "what was cut is no number to add to"
        );
        let full = [i64::MAX - 5, 5].map(|milli| Addend {
            milli: Milli::new(milli),
            clamped: false,
        });
        assert_eq!(served(&full, None).len(), 2, "2^63 − 1 itself fits");
    }

    #[test]
    fn replicas_beyond_an_int32_are_not_asked_for() {
        let of = |values: &[f64], target: i64| served(&addends(values), Some(target));
        assert_eq!(of(&[1e15; 4], 10_000), [0_i64; 0], "4e15 / 10 pods");
        assert_eq!(
            of(&[9e15, 20.0, 20.0], 10_000),
            [20_000, 20_000],
            "one of them alone"
        );
        assert_eq!(of(&[9e15], 10_000), [0_i64; 0], "an object alone");
        assert_eq!(of(&[9e15], 10_000_000_000).len(), 1, "of ten million each");
        assert_eq!(of(&[5e9, -9e15], 10_000).len(), 2, "5e8 pods can be said");
        assert_eq!(of(&[1e30], i64::MAX).len(), 1);
    }

    proptest! {
        #[test]
        fn no_sum_of_any_subset_overflows(
            values in proptest::collection::vec(
                prop_oneof![any::<f64>().prop_filter("finite", |value| value.is_finite()), -1e16..1e16, -1e14..1e14], 0..40),
            target in proptest::option::of(1..1_000_000_i64),
            chosen in any::<u64>(),
        ) {
            let (mut sum, mut positive) = (0_i64, 0_i64);
            for (index, value) in served(&addends(&values), target).iter().enumerate() {
                if chosen >> index & 1 == 1 {
                    let added = sum.checked_add(*value);
                    prop_assert!(added.is_some(), "{sum} + {value}");
                    sum = added.unwrap();
                }
                positive += (*value).max(0);
            }
            if let Some(target) = target {
                prop_assert!(positive / target <= i32::MAX.into(), "{positive} / {target}");
            }
        }

        #[test]
        fn what_fits_is_left_alone(values in proptest::collection::vec(-9e13..9e13, 0..100)) {
            prop_assert_eq!(Share::of(addends(&values).into_iter(), None), None);
        }
    }
}
