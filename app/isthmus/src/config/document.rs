//! TOML as a tree whose every key and value knows its place.
//!
//! Deserialising into structs stops at the first mistake. A tree can be walked to the end, and two
//! files can be laid over each other before anything is interpreted.

use toml::de::{DeTable, DeValue};

use crate::report::{Report, SourceId, Span};

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// A TOML value; kinds that no key uses carry nothing.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Array(Vec<Node>),
    Boolean(bool),
    Datetime,
    Float,
    Integer(i64),
    String(String),
    Table(Table),
}

impl Value {
    /// What kind of value it is, with its article.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Array(_) => "a list",
            Self::Boolean(_) => "true or false",
            Self::Datetime => "a date",
            Self::Float => "a fraction",
            Self::Integer(_) => "a number",
            Self::String(_) => "text",
            Self::Table(_) => "a table",
        }
    }

    /// The text, if it is text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The table, or what else it is.
    pub(crate) fn into_table(self) -> Result<Table, &'static str> {
        if let Self::Table(table) = self { Ok(table) } else { Err(self.kind()) }
    }

    /// The items, or what else it is.
    pub(crate) fn into_items(self) -> Result<Vec<Node>, &'static str> {
        if let Self::Array(items) = self { Ok(items) } else { Err(self.kind()) }
    }

    /// The tables directly inside: itself, or those of a list.
    pub(crate) fn tables(&self) -> Vec<&Table> {
        let own = if let Self::Table(table) = self { Some(table) } else { None };
        let items = if let Self::Array(items) = self { items.as_slice() } else { &[] };
        own.into_iter().chain(items.iter().flat_map(|item| item.value.tables())).collect()
    }
}

/// Keys and values in the order of the text.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) span: Span,
    pub(crate) entries: Vec<Entry>,
}

/// One `key = value`.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

/// Parses a source already in the report; none when it is not TOML, with every syntax error reported.
pub(crate) fn parse(source: SourceId, report: &mut Report) -> Option<Table> {
    let text = report.text(source).to_owned();
    let (root, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        report.error(
            Span::new(source, span.start, span.end),
            format!("not TOML: {}", error.message().trim_end()),
            "the format is described at https://toml.io",
        );
    }
    errors.is_empty().then(|| {
        let span = Span::new(source, root.span().start, root.span().end);
        table(source, span, root.get_ref())
    })
}

fn table(source: SourceId, span: Span, from: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = from
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: Span::new(source, key.span().start, key.span().end),
            node: node(source, value.span(), value.get_ref()),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span);
    Table { span, entries }
}

fn node(source: SourceId, span: std::ops::Range<usize>, from: &DeValue<'_>) -> Node {
    let span = Span::new(source, span.start, span.end);
    let value = match from {
        DeValue::Array(items) => Value::Array(
            items.iter().map(|item| node(source, item.span(), item.get_ref())).collect(),
        ),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Float(_) => Value::Float,
        // A number that does not fit cannot be right for any key; its range check says so.
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(i64::MAX))
        }
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Table(inner) => Value::Table(table(source, span, inner)),
    };
    Node { span, value }
}

/// Lays `over` on `base`: tables join, lists of tables grow, and a key set twice is an error.
pub(crate) fn merge(base: &mut Table, over: Table, report: &mut Report) {
    for entry in over.entries {
        let Some(existing) = base.entries.iter_mut().find(|e| e.key == entry.key) else {
            base.entries.push(entry);
            continue;
        };
        match (&mut existing.node.value, entry.node.value) {
            (Value::Table(base), Value::Table(over)) => merge(base, over, report),
            (Value::Array(base), Value::Array(over)) if tables(base) && tables(&over) => {
                base.extend(over);
            }
            _ => {
                let first = report.place(existing.key_span);
                report.error_at_key(
                    entry.key_span,
                    format!("`{}` is set twice", entry.key),
                    format!("it is also set at {first}; remove one of the two"),
                );
            }
        }
    }
}

fn tables(items: &[Node]) -> bool {
    items.iter().all(|item| matches!(item.value, Value::Table(_)))
}
