use super::Re2Error;

/// What is wrong with a part of the pattern, in bytes from where the reader of that part started.
pub(super) struct Failure {
    code: &'static str,
    start: usize,
    length: usize,
}

impl Failure {
    /// The first `length` bytes are wrong.
    pub(super) const fn new(code: &'static str, length: usize) -> Self {
        Self {
            code,
            start: 0,
            length,
        }
    }

    /// The same, seen from a reader that started `offset` bytes earlier.
    pub(super) const fn at(self, offset: usize) -> Self {
        Self {
            start: self.start + offset,
            ..self
        }
    }

    /// Something is wrong from byte `start` on; the message shows the whole pattern.
    pub(super) const fn somewhere(code: &'static str, start: usize) -> Self {
        Self {
            code,
            start,
            length: usize::MAX,
        }
    }

    /// The error for the one who wrote the pattern.
    pub(super) fn locate(self, pattern: &str) -> Re2Error {
        let shown = match self.length {
            usize::MAX => pattern,
            length => &pattern[self.start..self.start + length],
        };
        // only a backslash at the very end has nothing to show
        let start = if self.length == 0 {
            pattern.len()
        } else {
            self.start
        };
        let offset = pattern[..start].chars().count();
        Re2Error {
            message: format!("{}: `{shown}`", self.code),
            offset,
        }
    }
}
