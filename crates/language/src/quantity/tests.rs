use proptest::prelude::*;
use serde::Deserialize;

use super::{Format, MAX_LENGTH, Milli, NotFinite, Quantity, QuantityError};

/// What Go makes of the same inputs, see `tests/oracles/quantity`. All are strings, as JSON keeps only 53 bits of a number.
#[derive(Deserialize)]
struct Fixture {
    parse: Vec<[String; 4]>,
    milli: Vec<[String; 2]>,
    round: Vec<[String; 3]>,
}

fn fixture() -> Fixture {
    crate::fixture::read("quantity.json")
}

#[test]
fn parses_and_prints_as_go() {
    let (mut without_digit, mut without_suffix, mut wrapped) = (0, 0, 0);
    for [text, canonical, milli, error] in fixture().parse {
        let parsed = Quantity::parse(&text);
        let number = text.strip_prefix(['+', '-']).unwrap_or(&text);
        let number = number.strip_prefix('.').unwrap_or(number);
        if parsed == Err(QuantityError::Format) && !number.starts_with(|first: char| first.is_ascii_digit()) {
            // Go reads a number without a digit as 0, or finds fault with something else
            without_digit += 1;
            continue;
        }
        if text.contains("e9223372036854775807") {
            assert_eq!(parsed, Err(QuantityError::Suffix), "{text}");
            wrapped += 1;
            continue;
        }
        let quantity = match parsed {
            Ok(quantity) => quantity,
            Err(own) => {
                assert_eq!(own.to_string(), error, "{text}");
                continue;
            }
        };
        assert_eq!(error, "", "{text} is {quantity} here");
        assert_eq!(quantity.to_milli().get().to_string(), milli, "{text}");
        let own = quantity.to_string();
        if own != canonical {
            // Go has no suffix above E and prints none
            let mantissa = own
                .strip_suffix("000E")
                .unwrap_or_else(|| panic!("{text}: {own}, Go {canonical}"));
            assert_eq!(
                mantissa.trim_end_matches('0'),
                canonical.trim_end_matches('0'),
                "{text}"
            );
            without_suffix += 1;
        }
    }
    assert!(
        without_digit > 10 && without_suffix > 10 && wrapped > 2,
        "{without_digit} {without_suffix} {wrapped}"
    );
}

#[test]
fn prints_milli_as_go() {
    for [milli, text] in fixture().milli {
        let milli = milli.parse().unwrap();
        assert_eq!(Milli::new(milli).to_string(), text);
        assert_eq!(serde_json::to_value(Milli::new(milli)).unwrap(), text);
        assert_eq!(Quantity::parse(&text).unwrap().to_milli().get(), milli);
    }
}

#[test]
fn rounds_exactly() {
    for [bits, milli, clamped] in fixture().round {
        let value = f64::from_bits(u64::from_str_radix(&bits, 16).unwrap());
        let rounded = Milli::from_f64(value).unwrap();
        let got = (rounded.milli.get().to_string(), rounded.clamped.to_string());
        assert_eq!(got, (milli, clamped), "{value:e}");
    }
}

#[test]
fn ties_go_up() {
    for (value, milli) in [
        (0.0625, 63),
        (-0.0625, -62),
        (0.4375, 438),
        (-0.4375, -437),
        (-0.000_5, -1),
        (0.0, 0),
    ] {
        assert_eq!(Milli::from_f64(value).unwrap().milli.get(), milli, "{value}");
    }
    // the float nearest to 1.0005 is below it, and 1.0005 * 1000.0 is 1000.4999999999999
    assert_eq!(Milli::from_f64(1.000_5).unwrap().milli.get(), 1000);
    // the product would round to 0.5
    assert_eq!(
        Milli::from_f64(0.000_499_999_999_999_999_9).unwrap().milli.get(),
        0
    );
}

#[test]
fn refuses_what_is_not_finite() {
    for convert in [Milli::from_f64, Milli::truncate_f64] {
        assert_eq!(convert(f64::NAN), Err(NotFinite::Nan));
        assert_eq!(convert(-f64::NAN), Err(NotFinite::Nan));
        assert_eq!(convert(f64::INFINITY), Err(NotFinite::Infinite));
        assert_eq!(convert(f64::NEG_INFINITY), Err(NotFinite::Infinite));
        assert_eq!(convert(f64::MAX).unwrap().milli, Milli::MAX);
        assert_eq!(convert(f64::MIN).unwrap().milli, Milli::MIN);
        assert!(convert(9.3e15).unwrap().clamped);
        assert!(!convert(9.2e15).unwrap().clamped);
    }
}

#[test]
fn truncates_as_prometheus_adapter() {
    for (value, milli) in [
        (0.000_9, 0),
        (-0.000_9, 0),
        (1.999_9, 1999),
        (-1.5, -1500),
        (4.35, 4350),
        (0.057, 57),
        (0.29, 290),
    ] {
        assert_eq!(Milli::truncate_f64(value).unwrap().milli.get(), milli, "{value}");
    }
}

#[test]
fn keeps_the_smallest_number_out() {
    assert_eq!(Milli::new(i64::MIN), Milli::MIN);
    assert_eq!(Milli::MIN.to_string(), "-9223372036854775807m");
}

#[test]
fn reads_json_strings_and_numbers() {
    for (json, text, format) in [
        ("\"1500m\"", "1500m", Format::DecimalSi),
        ("\" 1Gi \"", "1Gi", Format::BinarySi),
        ("1.5", "1500m", Format::DecimalSi),
        ("-3", "-3", Format::DecimalSi),
        ("18446744073709551615", "18446744073709551615", Format::DecimalSi),
        ("\"1e3\"", "1e3", Format::DecimalExponent),
    ] {
        let quantity: Quantity = serde_json::from_str(json).unwrap();
        assert_eq!((quantity.to_string().as_str(), quantity.format()), (text, format));
        assert_eq!(serde_json::to_value(&quantity).unwrap(), text);
    }
    for json in ["\"\"", "\"1 000\"", "true", "null", "[]", "1e300"] {
        assert!(serde_json::from_str::<Quantity>(json).is_err(), "{json}");
    }
}

#[test]
fn bounds_its_input() {
    assert!(Quantity::parse(&"9".repeat(MAX_LENGTH)).is_ok());
    assert_eq!(
        Quantity::parse(&"9".repeat(MAX_LENGTH + 1)),
        Err(QuantityError::TooLong)
    );
    // neither of these may unroll its exponent
    assert_eq!(Quantity::parse("1e2147483647").unwrap().to_milli(), Milli::MAX);
    assert_eq!(Quantity::parse("-1e-2147483648").unwrap().to_milli().get(), -1);
}

proptest! {
    #[test]
    fn text_survives_a_round_trip(text in "[+-]?[0-9]{1,25}(\\.[0-9]{0,12})?(|n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,3})") {
        let quantity = Quantity::parse(&text).unwrap();
        let canonical = quantity.to_string();
        let again = Quantity::parse(&canonical).unwrap();
        prop_assert_eq!(again.to_string(), canonical);
        prop_assert_eq!(again.to_milli(), quantity.to_milli());
    }

    #[test]
    fn milli_survives_a_round_trip(milli in any::<i64>()) {
        let milli = Milli::new(milli);
        prop_assert_eq!(Quantity::parse(&milli.to_string()).unwrap().to_milli(), milli);
    }

    #[test]
    fn never_panics(text in "[0-9.eEinumkKMGTP+-]{0,12}|.{0,12}") {
        let _ = Quantity::parse(&text).map(|quantity| (quantity.to_string(), quantity.to_milli()));
    }

    #[test]
    fn rounding_keeps_order_and_stays_near(left in any::<f64>(), right in -1e16..1e16) {
        prop_assume!(left.is_finite());
        let (near, far) = (Milli::from_f64(right).unwrap(), Milli::from_f64(left).unwrap());
        prop_assert_eq!(left <= right && far.milli <= near.milli || left >= right && far.milli >= near.milli, true);
        if !near.clamped && right.abs() < 1e9 {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let error = (near.milli.get() as f64 / 1000.0 - right).abs();
            prop_assert!(error <= 0.000_501, "{} off by {}", right, error);
        }
    }
}
