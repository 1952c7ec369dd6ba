use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;

fn basic() -> Redactor {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static("k3y-of-the-gateway"));
    headers.insert("x-scope-orgid", HeaderValue::from_static("7"));
    let base = Url::parse("https://prom/?access=p4ram%26eter&dedup=true").unwrap();
    let credential = Credential::Basic {
        username: "reader".into(),
        password: "hunter2?s&cret/ö".into(),
    };
    Redactor::new(&base, &headers, &credential)
}

fn shown(text: &str) -> String {
    basic().said(text).to_string()
}

#[test]
fn a_quoted_basic_header_shows_neither_user_nor_password_in_any_spelling() {
    let pair = "reader:hunter2?s&cret/ö";
    let password = "hunter2?s&cret/ö";
    let percent: String = password
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect::<Vec<_>>()
        .concat();
    for spelling in [
        password.to_owned(),
        password.to_uppercase(),
        "hunter2%3Fs%26cret%2F%C3%B6".to_owned(),
        "hunter2%3fs%26cret%2f%c3%b6".to_owned(),
        percent.clone(),
        percent.replace('%', "%25"),
        r"hunter2?s\u0026cret/\u00f6".to_owned(),
        r"hunter2?s\\u0026cret\/\u00f6".to_owned(),
        r"hunter2?s\x26cret/\xc3\xb6".to_owned(),
        r"hunter2?s\046cret/\303\266".to_owned(),
        r"hunter2?s\u{26}cret/\u{f6}".to_owned(),
        r"hunter2?s\U00000026cret/\U000000f6".to_owned(),
        "hunter2?s&amp;cret/&#246;".to_owned(),
        "hunter2?s&#x26;cret/&#xf6;".to_owned(),
        STANDARD.encode(pair),
        STANDARD_NO_PAD.encode(pair),
        URL_SAFE.encode(pair),
        URL_SAFE_NO_PAD.encode(pair),
        STANDARD.encode(password),
        STANDARD.encode(format!("Basic {pair}")),
        STANDARD.encode(format!("x{pair}")),
        STANDARD.encode(STANDARD.encode(pair)),
        STANDARD.encode(pair).replace('=', "%3D"),
        pair.bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .concat(),
        "reader".to_owned(),
        "k3y-of-the-gateway".to_owned(),
        "p4ram&eter".to_owned(),
        "p4ram%26eter".to_owned(),
        // cut by who wrote it
        STANDARD.encode(pair)[..14].to_owned(),
        password[..9].to_owned(),
        // with what is taken out of a line
        "hunter2?\u{1}s&cret/ö".to_owned(),
    ] {
        let text = format!("unexpected header \"{spelling}\": refused");
        assert_eq!(
            shown(&text),
            "unexpected header \"[redacted]\": refused",
            "{spelling}"
        );
    }
}

#[test]
fn spaces_and_characters_of_two_halves_hide_nothing() {
    let base = Url::parse("https://prom/?key=t%2Bo+k+e+n+%26+m+o+r+e").unwrap();
    let credential = Credential::Basic {
        username: "u".into(),
        password: "pa s🔑 wo rd".into(),
    };
    let redactor = Redactor::new(&base, &HeaderMap::new(), &credential);
    for spelling in [
        "t+o k e n & m o r e",
        "t%2Bo+k+e+n+%26+m+o+r+e",
        "t%2bo%20k%20e%20n%20%26%20m%20o%20r%20e",
        "t%252Bo+k+e+n+%2526+m+o+r+e",
        "pa+s%F0%9F%94%91+wo+rd",
        r"pa s\ud83d\udd11 wo rd",
        r"pa s\\ud83d\\udd11 wo rd",
        r"pa s\U0001f511 wo rd",
        r"pa s\u{1f511} wo rd",
    ] {
        let said = redactor.said(&format!("no route for [{spelling}]"));
        assert_eq!(said.as_str(), "no route for [[redacted]]", "{spelling}");
    }
}

#[test]
fn a_bearer_token_shows_in_no_spelling() {
    let base = Url::parse("https://prom/").unwrap();
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
    let redactor = Redactor::new(&base, &HeaderMap::new(), &Credential::Bearer(token.into()));
    for spelling in [
        token.to_owned(),
        STANDARD.encode(token),
        token[..20].to_owned(),
        token.replace('.', "%2E"),
    ] {
        let said = redactor.said(&format!("token {spelling} is not known"));
        assert_eq!(said.as_str(), "token [redacted] is not known", "{spelling}");
    }
}

#[test]
fn other_words_stay_as_they_are() {
    assert_eq!(shown("xhunter2?s&cret/öy"), "x[redacted]y");
    for text in [
        "bad_data: 1:5: parse error: unexpected character: '\\ufffd'",
        "execution: found duplicate series for the match group {pod=\"web-0\"} on the right hand-side",
        "query processing would load too many samples into memory in query execution",
        "dedup=true is not known; see https://prometheus.io/docs/%20x",
        "store-17: 77 blocks",
    ] {
        assert_eq!(shown(text), text);
    }
    assert_eq!(shown("tenant 7 has no rules"), "tenant [redacted] has no rules");
}

#[test]
fn an_identity_is_found_in_data_and_nothing_else_is() {
    let redactor = basic();
    for (data, betrayed) in [
        ("Basic cmVhZGVyOmh1bnRlcjI/cyZjcmV0L8O2", true),
        ("hunter2?s&cret/ö", true),
        ("reader", false),
        ("k3y-of-the-gateway", false),
        ("hunter2", false),
        ("hunter2%3Fs%26cret%2F%c3%b6", true),
        (r"hunter2?s\u0026cret/\u00f6", true),
        ("hunter2?s&amp;cret/&#246;", true),
        ("hunter2?s and cret", false),
        ("a+b & 100% of C:\\temp", false),
        ("68756e746572323f732663726574 2fc3b6", false),
        ("68756e746572323f7326637265742fc3b6", true),
        ("68756E746572323F7326637265742FC3B6", true),
    ] {
        assert_eq!(redactor.betrayed_by(data), betrayed, "{data}");
    }
    for before in ["", "x", "xy", "xyz", "reader:"] {
        let quoted = format!("{before}hunter2?s&cret/ö{before}");
        for text in [STANDARD.encode(&quoted), URL_SAFE_NO_PAD.encode(&quoted)] {
            assert!(redactor.betrayed_by(&format!("key={text}")), "{quoted}");
        }
    }
}

proptest! {
    #[test]
    fn no_password_outlives_redaction(
        password in "[ -~]{1,24}",
        before in "[ -~]{0,12}",
        after in "[ -~]{0,12}",
    ) {
        let base = Url::parse("https://prom/").unwrap();
        let credential = Credential::Basic { username: "u".into(), password: password.as_str().into() };
        let redactor = Redactor::new(&base, &HeaderMap::new(), &credential);
        let said = redactor.said(&format!("{before}{password}{after}")).to_string();
        let rest = said.replace(REDACTED, "\u{0}").to_ascii_lowercase();
        prop_assert!(!rest.contains(&password.to_ascii_lowercase()), "{said}");
    }

    #[test]
    fn any_text_is_read_without_end(text in any::<String>()) {
        let _ = shown(&text);
    }
}
