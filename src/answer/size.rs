//! Sizes of replies, before they are written.

use crate::query::{CustomItem, ExternalItem};

/// The longest reply, in bytes. The API server's own objects end at 1.5 MiB; a list of 50,000 values does not.
pub(super) const MAX_REPLY: usize = 16 << 20;
/// About what an item takes in memory beside its texts.
pub(super) const ITEM: usize = 384;
/// Field names, time, value, line breaks and indents of one item.
const FRAME: usize = 384;

/// What becomes a part of a reply.
pub(super) trait Encoded {
    /// At least as many bytes as it takes in the reply, those of the request's own words aside.
    fn encoded(&self) -> usize;
}

impl Encoded for CustomItem {
    fn encoded(&self) -> usize {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        FRAME + text(&self.kind) + text(&self.api_version) + text(namespace) + text(&self.name)
    }
}

impl Encoded for ExternalItem {
    fn encoded(&self) -> usize {
        let labels = self.labels.iter().flat_map(super::super::sample::Labels::iter);
        // Quotes, colon and comma; in a reply for people a line of its own.
        FRAME
            + labels
                .map(|(name, value)| text(name) + text(value) + 24)
                .sum::<usize>()
    }
}

/// A string in JSON as Go writes it.
fn text(text: &str) -> usize {
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => 2,
        b'<' | b'>' | b'&' | 0..0x20 => 6,
        // The line separators of Unicode are three bytes and become six.
        0xe2 => 4,
        _ => 1,
    });
    escapes.sum()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use language::quantity::Milli;

    use super::*;
    use crate::{
        api::external::{ExternalMetricValue, ExternalMetricValueList},
        api::list_meta::Time,
    };

    #[test]
    fn a_reply_is_never_larger_than_it_was_taken_for() {
        for value in [
            "plain",
            "<<<<>>>>&&&&",
            "\u{1}\u{2}\n\t\"\"\\\\",
            "\u{2028}\u{2029}",
            "öö",
        ] {
            let item = ExternalItem {
                labels: Some(
                    [("a", value.repeat(50)), ("b", value.repeat(10))]
                        .into_iter()
                        .collect(),
                ),
                value: Milli::new(i64::MIN),
                timestamp: Timestamp::MAX,
            };
            let list = ExternalMetricValueList::v1beta1(vec![ExternalMetricValue {
                metric_name: "",
                metric_labels: item.labels.as_ref().map(|labels| labels.iter().collect()),
                timestamp: Time(item.timestamp),
                window_seconds: Some(i64::MAX.unsigned_abs()),
                value: item.value,
            }]);
            let plain = serde_json::to_string_pretty(&list).unwrap();
            let escaped = plain
                .replace(['<', '>', '&'], "\\u003c")
                .replace(['\u{2028}', '\u{2029}'], "\\u2028");
            let size = item.encoded();
            assert!(
                escaped.len() <= size + 200 && size < escaped.len() * 3,
                "{value:?}: {size} {}",
                escaped.len()
            );
        }
    }
}
