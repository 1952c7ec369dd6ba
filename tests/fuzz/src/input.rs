//! Cutting an input into what a target takes.

/// The input as text; an input that is none is of no use to a target that reads text.
pub(crate) fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// The texts between lines of two dashes; those that are not there are empty.
pub(crate) fn texts<const N: usize>(data: &[u8]) -> Option<[&str; N]> {
    let mut texts = [""; N];
    let parts = text(data)?.splitn(N, "\n--\n");
    texts.iter_mut().zip(parts).for_each(|(text, part)| *text = part);
    Some(texts)
}

/// Whether line and column, from 1, lie in the text or right behind its end.
pub(crate) fn is_inside(text: &str, line: usize, column: usize) -> bool {
    let lines: Vec<&str> = text.split('\n').collect();
    line >= 1
        && column >= 1
        && lines
            .get(line - 1)
            .is_some_and(|text| column <= text.chars().count() + 1)
}
