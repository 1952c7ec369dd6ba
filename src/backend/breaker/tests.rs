use super::*;

fn at(seconds: f64) -> Instant {
    use std::sync::LazyLock;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_secs_f64(seconds)
}

const PATIENCE: Duration = Duration::from_secs(2);

/// What happens, and the state afterwards: whether the caller is to probe, and whether the breaker is open.
#[test]
fn a_probe_decides_what_failures_only_suspect() {
    let mut breaker = Breaker::default();
    assert!(!breaker.failed() && !breaker.failed());
    breaker.answered(at(1.0));
    assert!(!breaker.failed() && !breaker.failed(), "an answer between them");
    assert!(breaker.failed(), "the third in a row");
    assert!(!breaker.failed(), "one probes at a time");
    assert!(!breaker.is_open(), "nothing is decided yet");
    assert_eq!(breaker.probed(at(2.0), at(2.1), true, 0.5), Next::Rest);
    assert!(!breaker.is_open());

    for _ in 0..3 {
        breaker.failed();
    }
    let next = breaker.probed(at(3.0), at(5.0), false, 0.0);
    assert_eq!(next, Next::Probe(FIRST_WAIT));
    assert!(breaker.is_open());
}

#[test]
fn slow_queries_of_one_tenant_never_open_it() {
    let mut breaker = Breaker::default();
    for round in 0..1000 {
        let now = 10.0 * f64::from(round);
        // Each of them runs into the timeout, and nobody else asks anything: the probe is answered each time.
        if breaker.failed() || breaker.is_silent(at(now), at(now + 3.0), PATIENCE) {
            assert_eq!(
                breaker.probed(at(now + 3.0), at(now + 3.1), true, 0.5),
                Next::Rest
            );
        }
        assert!(!breaker.is_open());
    }
}

#[test]
fn a_silence_takes_two_probes_and_ends_with_any_answer() {
    let mut breaker = Breaker::default();
    breaker.answered(at(10.0));
    assert!(
        !breaker.is_silent(at(9.0), at(11.0), PATIENCE),
        "somebody was answered"
    );
    assert!(breaker.is_silent(at(10.5), at(12.5), PATIENCE));
    assert!(!breaker.is_silent(at(10.5), at(12.6), PATIENCE), "one probes");
    let next = breaker.probed(at(12.5), at(14.5), false, 0.5);
    assert_eq!(next, Next::Probe(Duration::ZERO), "nothing has failed yet");
    assert!(!breaker.is_open());
    // A slow query is answered while the second probe waits.
    breaker.answered(at(15.0));
    assert_eq!(breaker.probed(at(14.5), at(16.5), false, 0.5), Next::Rest);
    assert!(!breaker.is_open());

    assert!(breaker.is_silent(at(20.0), at(22.0), PATIENCE));
    breaker.probed(at(22.0), at(24.0), false, 0.5);
    breaker.probed(at(24.0), at(26.0), false, 0.5);
    assert!(
        breaker.is_open(),
        "six seconds after the last answer's successor set out"
    );
}

#[test]
fn an_old_query_is_no_silence_while_others_are_answered() {
    let mut breaker = Breaker::default();
    breaker.answered(at(7.5));
    assert!(!breaker.is_silent(at(0.0), at(8.0), PATIENCE));
    assert!(breaker.is_silent(at(0.0), at(10.0), PATIENCE));
}

#[test]
fn an_open_breaker_tries_ever_more_rarely_with_jitter_and_closes_with_the_first_answer() {
    for (spread, waits) in [
        (0.0, [500, 1000, 2000, 4000, 5000, 5000]),
        (1.0, [375, 750, 1500, 3000, 3750, 3750]),
    ] {
        let mut breaker = Breaker::default();
        (0..3).for_each(|_| {
            breaker.failed();
        });
        for (turn, wait) in (0_u8..).zip(waits) {
            let now = 10.0 * f64::from(turn);
            let next = breaker.probed(at(now), at(now + 1.0), false, spread);
            assert_eq!(next, Next::Probe(Duration::from_millis(wait)), "{turn}");
        }
        assert_eq!(breaker.probed(at(90.0), at(91.0), true, spread), Next::Rest);
        assert!(!breaker.is_open());
        assert!(!breaker.failed(), "it begins anew");
    }
}

#[test]
fn the_breaker_is_not_for_what_one_query_is_refused_for() {
    for reason in Reason::all() {
        let expected = matches!(
            reason,
            Reason::BackendDown | Reason::BackendTimeout | Reason::BackendError | Reason::TlsFailed
        );
        assert_eq!(is_of_backend(reason), expected, "{reason}");
    }
}
