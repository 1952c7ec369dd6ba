use language::quantity::{MAX_LENGTH, Milli, Quantity};

use crate::input;

/// A quantity, and where there are eight bytes, a float.
///
/// The print of a quantity reads back as the same number; thousandths are those of the number, or the bound; a float's
/// thousandths are within one rounding of it.
pub fn quantity(data: &[u8]) {
    if let Some(bytes) = data.first_chunk::<8>() {
        float(f64::from_le_bytes(*bytes));
    }
    let Some(text) = input::text(data) else { return };
    let Ok(quantity) = Quantity::parse(text) else {
        return;
    };
    assert!(text.len() <= MAX_LENGTH);
    let printed = quantity.to_string();
    if printed.len() <= MAX_LENGTH {
        let again = Quantity::parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
        assert_eq!(again.to_string(), printed, "not canonical");
        assert_eq!(again.to_milli(), quantity.to_milli(), "{printed}");
        let json = serde_json::to_string(&quantity).expect("a string");
        assert_eq!(json, format!("\"{printed}\""));
        assert_eq!(serde_json::from_str::<Quantity>(&json).ok(), Some(again));
    }
    let milli = quantity.to_milli();
    milli_reads_back(milli);
    // without a suffix it is a number that Rust reads as well
    if let Ok(number) = text.parse::<f64>()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte))
    {
        close(milli, number * 1000.0, 1.0);
    }
}

fn float(value: f64) {
    let (Ok(rounded), Ok(cut)) = (Milli::from_f64(value), Milli::truncate_f64(value)) else {
        assert!(!value.is_finite());
        assert!(Milli::from_f64(value).is_err() && Milli::truncate_f64(value).is_err());
        return;
    };
    assert!(value.is_finite());
    for (rounded, by) in [(rounded, 0.5), (cut, 1.0)] {
        milli_reads_back(rounded.milli);
        close(rounded.milli, value * 1000.0, by);
        assert!(!rounded.clamped || [Milli::MIN, Milli::MAX].contains(&rounded.milli));
        assert!(value == 0.0 || rounded.milli.get() == 0 || (rounded.milli.get() < 0) == (value < 0.0));
    }
}

fn milli_reads_back(milli: Milli) {
    let printed = milli.to_string();
    let again = Quantity::parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
    assert_eq!(again.to_milli(), milli, "{printed}");
    assert_eq!(again.to_string(), printed, "not canonical");
}

/// Within `by`, and what the float itself cannot tell apart; or at the bound.
fn close(milli: Milli, thousandths: f64, by: f64) {
    #[expect(clippy::cast_precision_loss, reason = "what is lost is allowed for")]
    let is = milli.get() as f64;
    let bound = 9.223_372_036_854_775e18;
    let far = (is - thousandths).abs() > by + thousandths.abs() * 1e-15;
    assert!(
        !far || thousandths.abs() >= bound
            && is.abs() >= bound
            && is.is_sign_negative() == thousandths.is_sign_negative(),
        "{milli:?} is not {thousandths}"
    );
}
