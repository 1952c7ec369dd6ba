//! Names as Kubernetes takes them (RFC 1123; `pkg/api/validate/content` of apimachinery).

/// The longest label, in bytes.
const LABEL_MAX: usize = 63;
/// The longest subdomain, in bytes.
pub(super) const SUBDOMAIN_MAX: usize = 253;

/// Whether it can name a namespace.
///
/// ```
/// use language::dns::is_label;
///
/// assert!(is_label("shop-1") && !is_label("Shop") && !is_label("a.b"));
/// ```
pub fn is_label(name: &str) -> bool {
    name.len() <= LABEL_MAX && is_part(name)
}

/// Whether it can name most other objects: labels of any length, joined by dots.
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= SUBDOMAIN_MAX && is_dotted(name)
}

/// [`is_subdomain`] of any length.
pub(super) fn is_dotted(name: &str) -> bool {
    name.split('.').all(is_part)
}

fn is_part(part: &str) -> bool {
    let alphanumeric = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part.chars().all(|letter| alphanumeric(letter) || letter == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_subdomain_without_dots() {
        for name in ["a", "0", "a-b", "9-9", &"x".repeat(63)] {
            assert!(is_label(name) && is_subdomain(name), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a_b", "é", "a b", "a/b"] {
            assert!(!is_label(name) && !is_subdomain(name), "{name}");
        }
        for name in [
            "a.b",
            "example.com",
            &"x".repeat(64),
            "x.".repeat(126).trim_end_matches('.'),
        ] {
            assert!(!is_label(name) && is_subdomain(name), "{name}");
        }
        for name in ["a..b", ".a", "a.", "a.-b", &"x".repeat(254)] {
            assert!(!is_label(name) && !is_subdomain(name), "{name}");
        }
    }
}
