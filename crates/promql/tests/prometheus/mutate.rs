//! Texts with mistakes: those of others, cut, doubled, mixed.

use crate::random::Random;

const PIECES: [&str; 72] = [
    " ",
    "\n",
    "\t",
    "\r",
    "#",
    "# c\n",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "'",
    "`",
    "\\",
    "=",
    "=~",
    "!~",
    "!=",
    "==",
    ">",
    "<=",
    "</",
    ">/",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "@",
    " and ",
    " or ",
    " unless ",
    " atan2 ",
    " bool ",
    " by ",
    " without (a)",
    " on (b) ",
    " ignoring ",
    " group_left ",
    " group_right (c) ",
    " fill (1) ",
    " fill_left(-2) ",
    " offset ",
    " offset 5m",
    " @ start()",
    " anchored",
    " smoothed",
    "step()",
    "range()",
    "max_of(",
    "inf",
    "NaN",
    "0x1F",
    "1e3",
    "5m",
    "1_0",
    "017",
    ".5",
    "\\x41",
    "\\u00e9",
    "é",
    "\u{fffd}",
    "sum",
    "rate(",
    "[5m]",
    "[5m:]",
    "\0",
];

/// One of the texts with one to three mistakes.
pub(crate) fn text(random: &mut Random, seeds: &[String]) -> String {
    let mut text: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
    for _ in 0..=random.below(3) {
        let from = random.below(text.len() + 1);
        let to = (from + random.below(8)).min(text.len());
        match random.below(8) {
            0 => drop(text.drain(from..to)),
            1 => {
                let piece: Vec<char> = text[from..to].to_vec();
                text.splice(to..to, piece);
            }
            2..=4 => {
                let piece = random.pick(&PIECES).chars();
                drop(text.splice(from..from, piece));
            }
            5 => {
                let piece = random.pick(&PIECES).chars();
                drop(text.splice(from..to, piece));
            }
            6 => {
                let other: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
                let start = random.below(other.len() + 1);
                let end = (start + random.below(24)).min(other.len());
                drop(text.splice(from..to, other[start..end].iter().copied()));
            }
            _ => {
                if let Some(c) = text.get_mut(from) {
                    *c = if c.is_ascii_lowercase() {
                        c.to_ascii_uppercase()
                    } else {
                        c.to_ascii_lowercase()
                    };
                }
            }
        }
    }
    text.into_iter().collect()
}
