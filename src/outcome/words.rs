//! Words of a backend, made fit for those who may read a rule: they know its spec, and neither the backend's addresses nor
//! what it holds of other namespaces.

/// The longest quotation in a rule's status, in bytes.
const MAX: usize = 256;
/// What stands where something was taken out.
const OUT: &str = "…";

/// What the reader knows anyway: the texts of the rule's own spec, its namespace and name.
#[derive(Clone, Copy, Debug)]
pub struct Quotable<'a>(pub &'a [&'a str]);

/// `words` in one line of at most 256 bytes: without addresses, and without quoted values that do not stand in the rule's
/// own spec. A backend names the labels of whatever series it stumbles over, of whichever namespace.
pub fn quoted(words: &str, known: Quotable<'_>) -> String {
    let line: String = words
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let line = without_values(&line, known);
    let words: Vec<&str> = line
        .split(' ')
        .map(|word| if is_address(word) { "(an address)" } else { word })
        .collect();
    let mut line = words.join(" ");
    if line.len() > MAX {
        line.truncate(line.floor_char_boundary(MAX - OUT.len()));
        line.push_str(OUT);
    }
    line
}

/// A quotation that does not end is taken out to the end: the text was cut there.
fn without_values(line: &str, known: Quotable<'_>) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(open) = rest.find(['"', '`', '\'']) {
        let (before, quotation) = rest.split_at(open);
        clean.push_str(before);
        let quote = quotation.chars().next().unwrap_or('"');
        // `don't` quotes nothing.
        if quote == '\'' && before.ends_with(|c: char| c.is_alphanumeric()) {
            clean.push(quote);
            rest = &quotation[1..];
            continue;
        }
        clean.push(quote);
        let Some(length) = end(&quotation[1..], quote) else {
            clean.push_str(OUT);
            return clean;
        };
        let value = &quotation[1..=length];
        clean.push_str(if known.has(value) { value } else { OUT });
        clean.push(quote);
        rest = &quotation[length + 2..];
    }
    clean.push_str(rest);
    clean
}

/// Where the quotation ends; a backslash takes the quote after it along.
fn end(quotation: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    quotation
        .char_indices()
        .find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped && quote != '`';
            ends
        })
        .map(|(at, _)| at)
}

fn is_address(word: &str) -> bool {
    if word.contains("://") {
        return true;
    }
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '[' | ']'));
    if word.parse::<std::net::IpAddr>().is_ok() || word.parse::<std::net::SocketAddr>().is_ok() {
        return true;
    }
    // `10.0.0.1:80->10.0.0.2:90`
    if let Some((from, to)) = word.split_once("->") {
        return is_address(from) || is_address(to);
    }
    let (host, port) = word
        .rsplit_once(':')
        .map_or((word, None), |(host, port)| (host, Some(port)));
    let name = |host: &str| {
        !host.is_empty()
            && host.bytes().any(|b| b.is_ascii_alphabetic())
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    match port {
        Some(port) => {
            port.len() >= 2
                && port.parse::<u16>().is_ok()
                && (name(host) || host.parse::<std::net::IpAddr>().is_ok())
        }
        // `prometheus.monitoring.svc`, and not `e.g.` or `v3.5.0`.
        None => {
            name(host)
                && host.split('.').count() >= 3
                && host
                    .split('.')
                    .all(|label| label.len() > 1 && label.bytes().any(|b| b.is_ascii_alphabetic()))
        }
    }
}

// === impl Quotable ===

impl Quotable<'_> {
    fn has(&self, value: &str) -> bool {
        value.is_empty() || self.0.iter().any(|text| text.contains(value))
    }
}
