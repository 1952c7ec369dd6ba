//! Every log line is one that any log store takes: no event has a field of the name of another, or of what the JSON format
//! writes beside the fields.

use std::{collections::BTreeSet, str::FromStr as _};

use anyhow::{Result, anyhow, ensure};
use proc_macro2::{TokenStream, TokenTree};

use crate::{repository, source};

/// What tracing-subscriber writes itself into an object with flattened fields.
const TAKEN: [&str; 9] = [
    "timestamp",
    "level",
    "message",
    "target",
    "filename",
    "line_number",
    "span",
    "spans",
    "threadName",
];
const MACROS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "event"];

/// The line and the arguments of each `tracing::…!(…)`.
fn events(tokens: TokenStream, found: &mut Vec<(usize, Vec<Vec<TokenTree>>)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            if is_event(&tokens[..at]) {
                let arguments: Vec<TokenTree> = group.stream().into_iter().collect();
                let arguments = arguments.split(|token| is_punct(token, ',')).map(<[_]>::to_vec);
                found.push((
                    group.span().start().line,
                    arguments.filter(|tokens| !tokens.is_empty()).collect(),
                ));
            }
            events(group.stream(), found);
        }
    }
}

/// Whether `tracing::info!` or the like ends there.
fn is_event(before: &[TokenTree]) -> bool {
    let [.., path, colon, other, TokenTree::Ident(name), bang] = before else {
        return false;
    };
    is_punct(bang, '!')
        && MACROS.contains(&name.to_string().as_str())
        && is_punct(colon, ':')
        && is_punct(other, ':')
        && path.to_string() == "tracing"
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

/// The names of an event's fields, up to its text.
fn fields(arguments: &[Vec<TokenTree>]) -> Vec<String> {
    arguments
        .iter()
        .take_while(|tokens| !matches!(tokens.as_slice(), [TokenTree::Literal(_), ..]))
        .map(|tokens| {
            let end = tokens
                .iter()
                .position(|token| is_punct(token, '='))
                .unwrap_or(tokens.len());
            let name = tokens[..end]
                .iter()
                .filter(|token| !is_punct(token, '%') && !is_punct(token, '?'));
            name.map(ToString::to_string).collect::<String>()
        })
        .collect()
}

/// What is wrong with the events of a text, and how many there are.
fn judge(text: &str) -> Result<(Vec<String>, usize)> {
    let mut found = Vec::new();
    events(
        TokenStream::from_str(text).map_err(|error| anyhow!("{error}"))?,
        &mut found,
    );
    let mut wrong = Vec::new();
    for (line, arguments) in &found {
        let mut seen: BTreeSet<String> = TAKEN.iter().map(ToString::to_string).collect();
        for name in fields(arguments) {
            if !seen.insert(name.clone()) {
                wrong.push(format!("{line}: {name:?} is there already"));
            }
        }
    }
    Ok((wrong, found.len()))
}

#[test]
fn no_log_line_has_a_key_twice() -> Result<()> {
    let (mut all, mut count) = (Vec::new(), 0);
    for source in source::all()? {
        let (wrong, events) = judge(&repository::read(&source.file)?)?;
        all.extend(
            wrong
                .into_iter()
                .map(|what| format!("{}:{what}", source.file.display())),
        );
        count += events;
    }
    ensure!(count > 60, "only {count} events were found");
    ensure!(all.is_empty(), "{}", all.join("\n"));
    Ok(())
}

#[test]
fn a_field_named_message_is_found() -> Result<()> {
    let good =
        r#"fn f() { tracing::info!(%a, b = x.b, c.d = ?y, ?took, "text {}", a = 1); info!(message = 1); }"#;
    ensure!(judge(good)? == (Vec::new(), 1));
    for bad in [
        r#"tracing::info!(%method, message = refused, "request failed")"#,
        r#"g(|| { tracing::debug!(a, %b, a = 1, "text") })"#,
        r#"tracing::warn!(%target, "text")"#,
    ] {
        ensure!(judge(bad)?.0.len() == 1, "{bad}");
    }
    Ok(())
}
