//! Texts that a pattern matches.

use promql::re2::matches_fully;

/// So many of them at most.
const MOST: usize = 6;

/// Some texts that the pattern matches from end to end: one for each alternative, a repeated part once.
pub(crate) fn examples(pattern: &str) -> Vec<String> {
    let mut reader = Reader {
        rest: pattern.chars().collect::<Vec<_>>().into_iter().peekable(),
    };
    let mut found = reader.alternatives();
    found.retain(|text| matches_fully(pattern, text) == Ok(true));
    found
}

struct Reader {
    rest: std::iter::Peekable<std::vec::IntoIter<char>>,
}

impl Reader {
    fn alternatives(&mut self) -> Vec<String> {
        let mut all = self.sequence();
        while self.rest.next_if_eq(&'|').is_some() {
            all.extend(self.sequence());
        }
        all.truncate(MOST);
        all
    }

    fn sequence(&mut self) -> Vec<String> {
        let mut all = vec![String::new()];
        while let Some(letter) = self.rest.next_if(|letter| !matches!(letter, '|' | ')')) {
            let atom = self.atom(letter);
            let times = self.times();
            all = all
                .iter()
                .flat_map(|before| {
                    atom.iter()
                        .map(move |atom| format!("{before}{}", atom.repeat(times)))
                })
                .take(MOST)
                .collect();
        }
        all
    }

    fn atom(&mut self, letter: char) -> Vec<String> {
        let text = match letter {
            '(' => {
                if self.rest.next_if_eq(&'?').is_some() {
                    while self
                        .rest
                        .next()
                        .is_some_and(|letter| !matches!(letter, ':' | '>' | ')'))
                    {}
                }
                let inside = self.alternatives();
                self.rest.next();
                return inside;
            }
            '[' => self.class().to_string(),
            '.' => "x".to_owned(),
            '^' | '$' => String::new(),
            '\\' => match self.rest.next() {
                Some('d') => "0".to_owned(),
                Some('w' | 'S' | 'D') => "x".to_owned(),
                Some('s' | 'W') => " ".to_owned(),
                Some('b' | 'B' | 'A' | 'z') | None => String::new(),
                Some(other) => other.to_string(),
            },
            other => other.to_string(),
        };
        vec![text]
    }

    /// A letter of a class; of one that excludes, the first usual one that it does not hold.
    fn class(&mut self) -> char {
        let excludes = self.rest.next_if_eq(&'^').is_some();
        let mut held = Vec::new();
        while let Some(letter) = self.rest.next_if(|letter| held.is_empty() || *letter != ']') {
            held.push(if letter == '\\' {
                self.rest.next().unwrap_or(letter)
            } else {
                letter
            });
        }
        self.rest.next();
        let pattern = format!(
            "[{}]",
            held.iter()
                .map(|letter| if matches!(letter, '\\' | ']' | '^') {
                    format!("\\{letter}")
                } else {
                    letter.to_string()
                })
                .collect::<String>()
        );
        let holds = |letter: char| matches_fully(&pattern, &letter.to_string()) == Ok(true);
        "x0_-A.:/ "
            .chars()
            .find(|letter| holds(*letter) != excludes)
            .unwrap_or_else(|| held.first().copied().unwrap_or('x'))
    }

    fn times(&mut self) -> usize {
        let times = match self.rest.peek() {
            Some('*' | '+' | '?') => {
                self.rest.next();
                1
            }
            Some('{') => {
                self.rest.next();
                let count: String =
                    std::iter::from_fn(|| self.rest.next_if(|letter| *letter != '}')).collect();
                self.rest.next();
                count
                    .split(',')
                    .next()
                    .and_then(|least| least.parse().ok())
                    .unwrap_or(1)
            }
            _ => return 1,
        };
        self.rest.next_if_eq(&'?');
        times
    }
}
