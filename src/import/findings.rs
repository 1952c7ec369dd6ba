//! Findings about one document while it is imported.

use super::{Import, Note, Place, Severity};
use crate::{
    document::{Document, Node, Position},
    reason::Reason,
};

/// A document, and what it has come to so far.
pub(super) struct Findings<'a> {
    /// The file, as the user named it.
    pub(super) file: &'a str,
    pub(super) document: &'a Document,
    /// Of this document and of those before it.
    pub(super) import: &'a mut Import,
}

impl Findings<'_> {
    /// What became of it, or how to go on.
    pub(super) fn info(&mut self, reason: Reason, node: &Node, message: impl Into<String>) {
        self.note(Severity::Info, reason, None, node, message.into());
    }

    /// It is there, but does something else than before.
    pub(super) fn warn(&mut self, reason: Reason, node: &Node, message: impl Into<String>) {
        self.note(Severity::Warning, reason, None, node, message.into());
    }

    /// The same, at a place inside the node where it is known.
    pub(super) fn warn_at(
        &mut self,
        reason: Reason,
        position: Option<Position>,
        node: &Node,
        message: impl Into<String>,
    ) {
        self.note(Severity::Warning, reason, position, node, message.into());
    }

    /// It is left out; the rest is there.
    pub(super) fn unsupported(&mut self, node: &Node, message: impl Into<String>) {
        self.note(
            Severity::Unsupported,
            Reason::Unsupported,
            None,
            node,
            message.into(),
        );
    }

    /// Nothing is made of it: the tool that it was written for would not take it either.
    pub(super) fn error(&mut self, node: &Node, message: impl Into<String>) {
        self.note(Severity::Error, Reason::InvalidSpec, None, node, message.into());
    }

    fn note(
        &mut self,
        severity: Severity,
        reason: Reason,
        position: Option<Position>,
        node: &Node,
        message: String,
    ) {
        let position = Some(position.unwrap_or_else(|| self.document.start(node)));
        let finding = Note {
            severity,
            place: Place {
                file: self.file.to_owned(),
                position,
            },
            reason,
            message,
        };
        self.import.note(finding);
    }
}
