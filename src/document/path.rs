//! Paths of fields, as problems name them: `spec.seriesFilters[1].is`, `spec.resources.overrides[pod]`.

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    /// `.name`
    Field(&'a str),
    /// `[1]` of a list, `[key]` of a mapping.
    Item(&'a str),
}

/// The steps of a path; an empty path has none.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let (item, after) = inner.split_once(']').unwrap_or((inner, ""));
            rest = after;
            return Some(Segment::Item(item));
        }
        let field = rest.strip_prefix('.').unwrap_or(rest);
        let end = field.find(['.', '[']).unwrap_or(field.len());
        let (name, after) = field.split_at(end);
        rest = after;
        Some(Segment::Field(name))
    })
}
