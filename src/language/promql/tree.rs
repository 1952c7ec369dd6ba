//! A query's tree with the places of its selectors, calls and aggregations.
//!
//! promql-parser keeps no positions. Each of these three kinds of nodes begins with a token of its own, and in both the text and
//! a walk of the tree (parents first) they come in the same order, so the one list is laid beside the other. Where they do not
//! agree nothing has a place; nothing ever has a wrong one.

use std::ops::Range;

use promql_parser::parser::{Expr, MatrixSelector};

use super::diagnose::AGGREGATIONS;
use super::lex::{self, Kind, Token};
use super::syntax::{Query, QueryError};
use super::walk;

/// A query and where its parts stand in its text.
#[derive(Clone, Debug)]
pub struct Tree {
    query: Query,
    heads: Vec<Head>,
}

/// A node with its place and what is below it.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) expr: &'a Expr,
    /// `None` for nodes of other kinds.
    pub(super) head: Option<&'a Head>,
    pub(super) children: Vec<Self>,
}

/// The tokens that a selector, a call or an aggregation begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    kind: HeadKind,
    /// The name, in bytes of the text; of a selector without one its opening brace.
    pub(super) at: Range<usize>,
    /// Of a selector with its matchers, without its range; else as `at`.
    pub(super) whole: Range<usize>,
    /// Of an aggregation `by (…)` or `without (…)`; of a selector `[…]`.
    pub(super) clause: Option<Range<usize>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HeadKind {
    /// The name, where one stands before the braces.
    Selector(Option<String>),
    Call(String),
    /// In lower case.
    Aggregation(String),
}

// === impl Tree ===

impl Tree {
    /// Reads a query.
    ///
    /// # Errors
    ///
    /// As [`Query::parse`].
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let query = Query::parse(text)?;
        let mut heads = lex::tokens(text).map(|tokens| heads(&tokens)).unwrap_or_default();
        let mut wanted = Vec::new();
        walk::each(query.expr(), &mut |expr| wanted.extend(head_kind(expr)));
        let agrees = heads.len() == wanted.len()
            && heads
                .iter()
                .zip(&wanted)
                .all(|(head, wanted)| head.kind.is(wanted));
        if !agrees {
            heads.clear();
        }
        Ok(Self { query, heads })
    }

    /// Where the first node stands for which `wanted` holds, in bytes.
    pub(super) fn first(&self, wanted: &dyn Fn(&Expr) -> bool) -> Option<usize> {
        fn find(node: &Node<'_>, wanted: &dyn Fn(&Expr) -> bool) -> Option<usize> {
            if wanted(node.expr)
                && let Some(at) = node.at()
            {
                return Some(at.start);
            }
            node.children.iter().find_map(|child| find(child, wanted))
        }
        find(&self.root(), wanted)
    }

    /// The selector that the expression has furthest to the left, its range not included.
    pub(super) fn leading_selector(&self) -> Option<Range<usize>> {
        fn leading(node: &Node<'_>) -> Option<Range<usize>> {
            match node.expr {
                Expr::VectorSelector(_) | Expr::MatrixSelector(_) => node.whole(),
                _ => node.children.first().and_then(leading),
            }
        }
        leading(&self.root())
    }

    pub(super) fn expr(&self) -> &Expr {
        self.query.expr()
    }

    /// The nodes, each with its place.
    pub(super) fn root(&self) -> Node<'_> {
        let mut heads = self.heads.iter();
        Node::new(self.query.expr(), &mut heads)
    }
}

// === impl Node ===

impl<'a> Node<'a> {
    fn new(expr: &'a Expr, heads: &mut std::slice::Iter<'a, Head>) -> Self {
        let head = head_kind(expr).and_then(|_| heads.next());
        let children = walk::children(expr);
        Self {
            expr,
            head,
            children: children
                .into_iter()
                .map(|child| Node::new(child, heads))
                .collect(),
        }
    }

    /// Where the node's own first token stands.
    pub(super) fn at(&self) -> Option<Range<usize>> {
        self.head.map(|head| head.at.clone())
    }

    /// Where it stands as a whole, see [`Head::whole`].
    pub(super) fn whole(&self) -> Option<Range<usize>> {
        self.head.map(|head| head.whole.clone())
    }

    /// Where its clause stands, see [`Head::clause`].
    pub(super) fn clause(&self) -> Option<Range<usize>> {
        self.head.and_then(|head| head.clause.clone())
    }
}

// === impl HeadKind ===

impl HeadKind {
    /// Whether text and tree speak of the same thing. A name inside braces is a matcher in the text.
    fn is(&self, in_tree: &Self) -> bool {
        match (self, in_tree) {
            (Self::Selector(None), Self::Selector(_)) => true,
            (text, tree) => text == tree,
        }
    }
}

fn head_kind(expr: &Expr) -> Option<HeadKind> {
    match expr {
        Expr::VectorSelector(selector)
        | Expr::MatrixSelector(MatrixSelector {
            vs: selector,
            range: _,
        }) => Some(HeadKind::Selector(selector.name.clone())),
        Expr::Call(call) => Some(HeadKind::Call(call.func.name.to_owned())),
        Expr::Aggregate(aggregate) => Some(HeadKind::Aggregation(
            aggregate.op.to_string().to_ascii_lowercase(),
        )),
        _ => None,
    }
}

/// Words before a list of labels that is no argument.
const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 8] = ["and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"];

fn heads(tokens: &[Token<'_>]) -> Vec<Head> {
    let mut heads = Vec::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let next = tokens.get(index + 1);
        let opens = next.is_some_and(|next| next.is_symbol("("));
        let is_one_of = |words: &[&str]| words.iter().any(|word| token.is_word(word));
        if token.is_symbol("{") {
            let end = closing(tokens, index);
            heads.push(selector(tokens, None, token.start..token.start + 1, end));
            index = end + 1;
        } else if token.is_symbol("[") || is_one_of(&LISTS) && opens {
            index = closing(tokens, index + usize::from(!token.is_symbol("["))) + 1;
        } else if token.is_symbol("@") {
            // A time, or start() or end().
            let call = tokens.get(index + 2).is_some_and(|token| token.is_symbol("("));
            index += if call { 4 } else { 2 };
        } else if token.kind != Kind::Word || is_one_of(&OPERATORS) || is_one_of(&LISTS) {
            index += 1;
        } else if is_one_of(&AGGREGATIONS)
            && (opens || next.is_some_and(|next| next.is_word("by") || next.is_word("without")))
        {
            heads.push(aggregation(tokens, index));
            index += 1;
        } else if opens {
            heads.push(Head {
                kind: HeadKind::Call(token.text.to_owned()),
                at: range_of(token),
                whole: range_of(token),
                clause: None,
            });
            index += 1;
        } else {
            let braces = next.is_some_and(|next| next.is_symbol("{"));
            let end = if braces { closing(tokens, index + 1) } else { index };
            heads.push(selector(tokens, Some(token.text), range_of(token), end));
            index = end + 1;
        }
    }
    heads
}

/// `end` is the selector's last token before its range.
fn selector(tokens: &[Token<'_>], name: Option<&str>, at: Range<usize>, end: usize) -> Head {
    let range = tokens.get(end + 1).filter(|token| token.is_symbol("["));
    Head {
        kind: HeadKind::Selector(name.map(str::to_owned)),
        whole: at.start..tokens.get(end).map_or(at.end, |token| range_of(token).end),
        at,
        clause: range.map(|_| span(tokens, end + 1, closing(tokens, end + 1))),
    }
}

/// The clause stands before the arguments or behind them.
fn aggregation(tokens: &[Token<'_>], index: usize) -> Head {
    let clause_at = |at: usize| {
        let word = tokens.get(at)?;
        (word.is_word("by") || word.is_word("without")).then(|| span(tokens, at, closing(tokens, at + 1)))
    };
    let token = &tokens[index];
    Head {
        kind: HeadKind::Aggregation(token.text.to_ascii_lowercase()),
        at: range_of(token),
        whole: range_of(token),
        clause: clause_at(index + 1).or_else(|| clause_at(closing(tokens, index + 1) + 1)),
    }
}

fn range_of(token: &Token<'_>) -> Range<usize> {
    token.start..token.start + token.text.len()
}

fn span(tokens: &[Token<'_>], first: usize, last: usize) -> Range<usize> {
    let end = tokens.get(last).map_or(0, |token| range_of(token).end);
    tokens.get(first).map_or(end, |token| token.start)..end
}

/// The index of the bracket that closes the one at `open`; brackets are balanced.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if token.kind == Kind::Symbol {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<&str> {
        let tree = Tree::parse(text).unwrap();
        let mut found = Vec::new();
        collect(text, &tree.root(), &mut found);
        found
    }

    fn collect<'a>(text: &'a str, node: &Node<'_>, found: &mut Vec<&'a str>) {
        found.extend(node.at().map(|at| &text[at]));
        found.extend(node.clause().map(|clause| &text[clause]));
        for child in &node.children {
            collect(text, child, found);
        }
    }

    #[test]
    fn every_head_has_its_place() {
        for (text, expected) in [
            ("up", vec!["up"]),
            (
                "sum by (a) (rate(x{b=\"c\"}[5m])) / on (a) group_left (d) sum(y) without (z)",
                vec!["sum", "by (a)", "rate", "x", "[5m]", "sum", "without (z)", "y"],
            ),
            (
                "topk(scalar(a), {__name__=\"b\"} offset -5m) or vector(0)",
                vec!["topk", "scalar", "a", "{", "vector"],
            ),
            (
                "max_over_time(rate(a[1m] @ end())[1h:1m] offset 5m) > bool 1 # c(d)",
                vec!["max_over_time", "rate", "a", "[1m]"],
            ),
            ("sum", vec!["sum"]),
            ("count{a=\"b\"} and on () Inf * b @ 12", vec!["count", "b"]),
            ("{\"utf.8\", a=\"b\"}[5m]", vec!["{", "[5m]"]),
            (
                "avg(a) by (b) + min(max(c) by (d)) by (e)",
                vec!["avg", "by (b)", "a", "min", "by (e)", "max", "by (d)", "c"],
            ),
            ("time() - start(a)", vec![]),
        ] {
            if let Ok(tree) = Tree::parse(text) {
                assert_eq!(places(text), expected, "{text}");
                drop(tree);
            } else {
                assert!(expected.is_empty(), "{text}");
            }
        }
    }
}
