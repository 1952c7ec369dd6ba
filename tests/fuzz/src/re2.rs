use promql::re2::{Expansion, Re2, matches_fully, quote};

use crate::input;

/// Texts, replacements and patterns: the pattern, a text, a replacement.
///
/// A pattern means the same anchored by us and by its own text; a quoted text matches itself alone; an error points into the
/// pattern.
pub fn re2(data: &[u8]) {
    let Some([pattern, text, replacement]) = input::texts(data) else {
        return;
    };
    if text.len() > 4096 {
        return;
    }
    let quoted = quote(text);
    // the depth is that of nested groups, and a quoted text has none; it may be too long to compile
    if let Ok(exactly) = Re2::compile_anchored(&quoted) {
        assert!(exactly.is_match(text), "{quoted:?} does not match {text:?}");
        assert!(!exactly.is_match(&format!("{text}x")) && !exactly.is_match(&format!("x{text}")));
        assert_eq!(exactly.group_count(), 0);
    } else {
        assert!(text.len() > 256, "{quoted:?} is refused");
    }

    let expansion = Expansion::parse(replacement);
    if !replacement.contains('$') {
        assert_eq!(expansion.as_literal(), Some(replacement));
    }
    let compiled = match Re2::compile(pattern) {
        Ok(compiled) => compiled,
        Err(error) => {
            assert!(
                !error.message.is_empty() && error.offset <= pattern.chars().count(),
                "{error:?}"
            );
            assert!(
                Re2::compile_anchored(pattern).is_err(),
                "{pattern:?} is a pattern anchored alone"
            );
            return;
        }
    };
    assert_eq!(compiled.as_str(), pattern);
    if let Ok(anchored) = Re2::compile_anchored(pattern) {
        assert_eq!(anchored.group_count(), compiled.group_count());
        assert_eq!(matches_fully(pattern, text), Ok(anchored.is_match(text)));
        if let Ok(written) = Re2::compile(&format!(r"\A(?s:{pattern})\z")) {
            assert_eq!(
                written.is_match(text),
                anchored.is_match(text),
                "{pattern:?} on {text:?}"
            );
        }
        // a `\Q` without `\E` takes the bracket behind it, and so does not compile
        if let Ok(anywhere) = Re2::compile(&format!("(?s:{pattern})")) {
            assert!(
                !anchored.is_match(text) || anywhere.is_match(text),
                "{pattern:?} on {text:?}"
            );
        }
    }
    let expanded = compiled.expand_match(&expansion, text);
    assert_eq!(expanded.is_some(), compiled.is_match(text));
    if let (Some(expanded), Some(literal)) = (&expanded, expansion.as_literal()) {
        assert_eq!(expanded, literal);
    }
    let whole = compiled.expand_match(&Expansion::parse("$0"), text);
    assert!(
        whole.is_none_or(|whole| text.contains(&whole)),
        "the match is not in the text"
    );
}
