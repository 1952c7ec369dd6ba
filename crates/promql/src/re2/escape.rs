//! Single-character escapes, outside and inside of brackets alike.

use super::failure::Failure;

/// The character that the escape at the start of `text` (a backslash) stands for, and the length of the escape.
///
/// The number may be a surrogate, which matches nothing.
pub(super) fn escape(text: &str) -> Result<(u32, usize), Failure> {
    let mut scanner = Scanner { text, at: 1 };
    let Some(letter) = scanner.next() else {
        return Err(Failure::new("trailing backslash at end of expression", 0));
    };
    let code = match letter {
        '1'..='7' if !scanner.peek().is_some_and(|next| next.is_digit(8)) => None,
        '0'..='7' => {
            let mut code = letter.to_digit(8).unwrap_or(0);
            for _ in 0..2 {
                let Some(digit) = scanner.peek().and_then(|next| next.to_digit(8)) else {
                    break;
                };
                code = code * 8 + digit;
                scanner.next();
            }
            Some(code)
        }
        'x' => scanner.hexadecimal(),
        'a' => Some(0x07),
        'f' => Some(0x0c),
        'n' => Some(0x0a),
        'r' => Some(0x0d),
        't' => Some(0x09),
        'v' => Some(0x0b),
        // a backslash takes the meaning away from ASCII punctuation and controls, and from nothing else
        _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => Some(u32::from(letter)),
        _ => None,
    };
    code.map(|code| (code, scanner.at))
        .ok_or_else(|| Failure::new("invalid escape sequence", scanner.at))
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    /// What follows `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.next()?;
        if first != '{' {
            let second = self.next()?;
            return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let mut code = None;
        loop {
            match self.next()? {
                '}' => return code,
                letter => {
                    let next = code.unwrap_or(0) * 16 + letter.to_digit(16)?;
                    if next > u32::from(char::MAX) {
                        return None;
                    }
                    code = Some(next);
                }
            }
        }
    }
}
