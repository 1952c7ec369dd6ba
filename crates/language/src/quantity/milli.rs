use std::fmt;

use serde::{Serialize, Serializer};

use super::si_suffix;

/// 2^63: the first magnitude that does not fit.
const LIMIT: f64 = 9_223_372_036_854_775_808.0;

/// A value in thousandths, between −(2^63−1) and 2^63−1.
///
/// This is the whole range in which a metrics client computes correctly: a `HorizontalPodAutoscaler` reads
/// `MilliValue()`, which overflows silently outside of it. `Display` and `Serialize` are Go's canonical `DecimalSI`:
/// 1500 is `1500m`, 2000 is `2`, 1000000 is `1k`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milli(i64);

/// A float brought to milli-units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounded {
    /// The nearest value in range.
    pub milli: Milli,
    /// Whether the float was out of range.
    pub clamped: bool,
}

/// The float is no number that a quantity can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFinite {
    /// NaN, of either kind.
    #[error("the value is not a number")]
    Nan,
    /// +Inf or −Inf.
    #[error("the value is infinite")]
    Infinite,
}

impl Milli {
    /// −(2^63−1) thousandths.
    pub const MIN: Self = Self(-i64::MAX);
    /// 0.
    pub const ZERO: Self = Self(0);
    /// 2^63−1 thousandths.
    pub const MAX: Self = Self(i64::MAX);

    /// `milli` thousandths; −2^63 becomes [`Milli::MIN`].
    pub const fn new(milli: i64) -> Self {
        if milli == i64::MIN { Self::MIN } else { Self(milli) }
    }

    /// The number of thousandths.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Rounds half up, that is towards +∞ on a tie, as Prometheus' `round(v, 0.001)` does: 0.0005 is `1m`, −0.0005 is `0`.
    ///
    /// The tie is judged on the exact value of the float: `value * 1000.0` would round a first time and move values
    /// across the half.
    pub fn from_f64(value: f64) -> Result<Rounded, NotFinite> {
        check_finite(value)?;
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
        let (mantissa, exponent) = if exponent == 0 {
            (fraction, -1074)
        } else {
            (fraction | (1 << 52), exponent - 1075)
        };
        // |value| × 1000 = scaled × 2^exponent, with scaled < 2^63
        let scaled = u128::from(mantissa) * 1000;
        let negative = value.is_sign_negative();
        let magnitude = match exponent.unsigned_abs() {
            // 2^54 × 2^52 × 1000 is far out of range already, so the shift never has to be larger
            shift if exponent >= 0 => scaled << shift.min(54),
            shift if shift <= 64 => {
                let half = 1_u128 << (shift - 1);
                (scaled + if negative { half - 1 } else { half }) >> shift
            }
            // below 2^63 / 2^65: less than half
            _ => 0,
        };
        Ok(match i64::try_from(magnitude) {
            Ok(magnitude) => Rounded {
                milli: Self(if negative { -magnitude } else { magnitude }),
                clamped: false,
            },
            Err(_) => Rounded {
                milli: if negative { Self::MIN } else { Self::MAX },
                clamped: true,
            },
        })
    }

    /// Cuts towards zero after one float multiplication, which is what prometheus-adapter does
    /// (`int64(value * 1000.0)`, `pkg/custom-provider/provider.go`); out of range it is clamped, where Go's conversion is
    /// undefined.
    pub fn truncate_f64(value: f64) -> Result<Rounded, NotFinite> {
        check_finite(value)?;
        let scaled = value * 1000.0;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the cut is the point; the cast saturates"
        )]
        let milli = scaled as i64;
        Ok(Rounded {
            milli: Self::new(milli),
            clamped: scaled.abs() >= LIMIT,
        })
    }
}

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut mantissa, mut exponent) = (self.0, -3);
        while mantissa != 0 && mantissa % 1000 == 0 {
            mantissa /= 1000;
            exponent += 3;
        }
        write!(
            f,
            "{mantissa}{}",
            if mantissa == 0 { "" } else { si_suffix(exponent) }
        )
    }
}

impl Serialize for Milli {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const fn check_finite(value: f64) -> Result<(), NotFinite> {
    if value.is_nan() {
        Err(NotFinite::Nan)
    } else if value.is_infinite() {
        Err(NotFinite::Infinite)
    } else {
        Ok(())
    }
}
