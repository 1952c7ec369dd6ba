/// The flags of `(?imsU)`, in force until the group ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    /// `i`: letters match in either case.
    pub(super) const FOLD_CASE: Self = Self(1);
    /// `m`: `^` and `$` match at lines.
    pub(super) const MULTI_LINE: Self = Self(2);
    /// `s`: `.` matches a newline.
    pub(super) const DOT_NEWLINE: Self = Self(4);
    /// `U`: `x*` and `x*?` swap meaning.
    pub(super) const SWAP_GREED: Self = Self(8);

    pub(super) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) const fn set(&mut self, flag: Self, on: bool) {
        self.0 = if on { self.0 | flag.0 } else { self.0 & !flag.0 };
    }

    pub(super) const fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'i' => Self::FOLD_CASE,
            'm' => Self::MULTI_LINE,
            's' => Self::DOT_NEWLINE,
            'U' => Self::SWAP_GREED,
            _ => return None,
        })
    }
}
