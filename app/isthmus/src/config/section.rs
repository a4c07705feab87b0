//! Takes keys out of a table one by one; what is left over at the end was not expected.

use super::document::{Entry, Node, Table};
use super::keys::{self, SectionKeys};
use crate::report::{Report, Span};

/// A value and the place it was written at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub(crate) span: Span,
    pub(crate) value: T,
}

impl<T> At<T> {
    /// Another value from the same place.
    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> At<U> {
        At { span: self.span, value: make(self.value) }
    }
}

/// One table of the file, together with what is known about its keys.
#[derive(Debug)]
pub(crate) struct Section {
    known: &'static SectionKeys,
    span: Span,
    entries: Vec<Entry>,
}

impl Section {
    /// A section over a table.
    pub(crate) fn new(known: &'static SectionKeys, table: Table) -> Self {
        Self { known, span: table.span, entries: table.entries }
    }

    /// A section over a node that should be a table.
    pub(crate) fn from_node(
        known: &'static SectionKeys,
        node: Node,
        report: &mut Report,
    ) -> Option<Self> {
        match node.value.into_table() {
            Ok(table) => Some(Self::new(known, table)),
            Err(kind) => {
                report.error(
                    node.span,
                    format!("{} is a table, not {kind}", known.header),
                    format!("write `{}` on a line of its own, its keys below", known.header),
                );
                None
            }
        }
    }

    /// Where the section is.
    pub(crate) const fn span(&self) -> Span {
        self.span
    }

    /// Takes a key and reads its value; none when it is absent or wrong (which is then reported).
    pub(crate) fn take<T>(
        &mut self,
        key: &'static str,
        report: &mut Report,
        read: impl FnOnce(&Node, &mut Report) -> Option<T>,
    ) -> Option<At<T>> {
        let entry = self.take_entry(key)?;
        let value = read(&entry.node, report)?;
        Some(At { span: entry.node.span, value })
    }

    /// Takes a key and reads its value; none only when it is absent, so that a wrong value is told
    /// from a missing one.
    pub(crate) fn take_optional<T>(
        &mut self,
        key: &'static str,
        report: &mut Report,
        read: impl FnOnce(&Node, &mut Report) -> Option<T>,
    ) -> Option<At<Option<T>>> {
        let entry = self.take_entry(key)?;
        Some(At { span: entry.node.span, value: read(&entry.node, report) })
    }

    /// Takes a key whose value is itself made of sections.
    pub(crate) fn take_node(&mut self, key: &'static str) -> Option<Node> {
        self.take_entry(key).map(|entry| entry.node)
    }

    /// Reports every key that nobody took.
    pub(crate) fn finish(self, report: &mut Report) {
        for entry in &self.entries {
            self.refuse(entry, report);
        }
    }

    fn take_entry(&mut self, key: &'static str) -> Option<Entry> {
        debug_assert!(self.known.key(key).is_some(), "{key} is not in the table of keys");
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }

    fn refuse(&self, entry: &Entry, report: &mut Report) {
        let header = self.known.header;
        if let Some(reserved) = self.known.reserved(&entry.key) {
            report.error_at_key(
                entry.key_span,
                format!("`{}` in {header} is not yet supported", entry.key),
                reserved,
            );
            return;
        }
        let remedy = match keys::nearest(&entry.key, self.known.names()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => match keys::home_of(&entry.key) {
                Some(other) => format!("`{}` belongs in {other}", entry.key),
                None => {
                    format!("known keys: {}", self.known.names().collect::<Vec<_>>().join(", "))
                }
            },
        };
        report.error_at_key(
            entry.key_span,
            format!("unknown key `{}` in {header}", entry.key),
            remedy,
        );
    }
}
