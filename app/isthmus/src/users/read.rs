//! Reads users from a `[users]` table, in a file of its own or inside the configuration.

use std::collections::BTreeMap;
use std::path::Path;

use isthmus_core::SecretBytes;

use super::{User, UserSecret, Users};
use crate::config::document::{self, Entry, Node};
use crate::config::file::read_text;
use crate::config::secret::{inline, warn_when_open};
use crate::config::section::{At, Section};
use crate::config::{advice, keys, limits, value};
use crate::report::{Report, SourceId, Span};

/// A user with the places that checks across users point at.
#[derive(Clone, Debug)]
pub(crate) struct LocatedUser {
    pub(crate) name: At<String>,
    pub(crate) user: User,
    /// Of `address`, when there is one.
    pub(crate) address: Option<Span>,
    /// Of `address6`, when there is one.
    pub(crate) address6: Option<Span>,
    /// Of `networks`, when there are any.
    pub(crate) networks: Option<Span>,
}

/// Reads a users file on its own, as `isthmus user` does.
///
/// # Errors
/// The report, when anything in it is an error.
pub fn load(path: &Path) -> Result<(Users, Report), Report> {
    let mut report = Report::default();
    let users = read_file(path, None, &mut report);
    let users = merge(users.unwrap_or_default(), &mut report);
    if report.has_errors() { Err(report) } else { Ok((users, report)) }
}

/// Reads users from the text of a users file; for tools that have the text already.
///
/// # Errors
/// The report, when anything in it is an error.
pub fn load_text(text: &str) -> Result<(Users, Report), Report> {
    let mut report = Report::default();
    let source = report.add_source(Path::new("users.toml"), text.to_owned());
    let users = read_source(source, &mut report);
    let users = merge(users.unwrap_or_default(), &mut report);
    if report.has_errors() { Err(report) } else { Ok((users, report)) }
}

/// Reads a users file; `named_at` is where the configuration names it.
pub(crate) fn read_file(
    path: &Path,
    named_at: Option<Span>,
    report: &mut Report,
) -> Option<Vec<LocatedUser>> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => {
            report.error(
                named_at,
                format!("cannot read users from `{}`: {error}", path.display()),
                "add the first user with `isthmus user add`, which makes the file",
            );
            return None;
        }
    };
    let source = report.add_source(path, text);
    warn_when_open(path, "it holds secrets", None, report);
    read_source(source, report)
}

fn read_source(source: SourceId, report: &mut Report) -> Option<Vec<LocatedUser>> {
    let mut root = document::parse(source, report)?;
    let users = root.entries.iter().position(|entry| entry.key == "users");
    let users = users.map(|index| root.entries.remove(index));
    for stranger in &root.entries {
        report.error_at_key(
            stranger.key_span,
            format!("unknown table `{}` in a users file", stranger.key),
            "write one table per user: [users.NAME]",
        );
    }
    Some(users.map(|entry| read_table(entry.node, report)).unwrap_or_default())
}

/// Reads a table of users.
pub(crate) fn read_table(node: Node, report: &mut Report) -> Vec<LocatedUser> {
    match node.value.into_table() {
        Ok(table) => {
            table.entries.into_iter().filter_map(|entry| read_user(entry, report)).collect()
        }
        Err(kind) => {
            let message = format!("users are tables, not {kind}");
            report.error(node.span, message, "write one table per user: [users.NAME]");
            Vec::new()
        }
    }
}

/// Users by name; a name used twice is an error, and the first keeps it.
pub(crate) fn merge(located: Vec<LocatedUser>, report: &mut Report) -> Users {
    let mut users = BTreeMap::new();
    let mut places: BTreeMap<String, Span> = BTreeMap::new();
    for found in located {
        if let Some(first) = places.get(&found.name.value) {
            report.error(
                found.name.span,
                format!("the user `{}` exists twice", found.name.value),
                format!("remove one; the other is at {}", report.place(*first)),
            );
            continue;
        }
        places.insert(found.name.value.clone(), found.name.span);
        users.insert(found.name.value, found.user);
    }
    Users::new(users)
}

fn read_user(entry: Entry, report: &mut Report) -> Option<LocatedUser> {
    check_name(&entry, report);
    let mut section = Section::from_node(&keys::USER, entry.node, report)?;
    let secret = read_secret(&mut section, &entry.key, entry.key_span, report);
    let address = section.take("address", report, value::address_v4);
    let networks = section.take("networks", report, value::list(value::network));
    let address6 = section.take("address6", report, value::network_v6(64..=64));
    let advice = advice(&mut section, report);
    let group = section.take("group", report, value::name);
    let limits = limits(&mut section, "sessions", report);
    let disabled = section.take("disabled", report, value::boolean);
    section.finish(report);
    let networks_at = networks.as_ref().map(|at| at.span);
    Some(LocatedUser {
        user: User {
            secret: secret?,
            address: address.map(|at| at.value),
            address6: address6.map(|at| at.value),
            networks: plain(networks),
            advice,
            group: group.map(|at| at.value),
            limits,
            disabled: disabled.is_some_and(|at| at.value),
        },
        name: At { span: entry.key_span, value: entry.key },
        address: address.map(|at| at.span),
        address6: address6.map(|at| at.span),
        networks: networks_at,
    })
}

fn read_secret(
    section: &mut Section,
    name: &str,
    at: Span,
    report: &mut Report,
) -> Option<UserSecret> {
    let password = section.take_optional("password", report, inline);
    let nt_hash = section.take_optional("nt_hash", report, nt_hash);
    match (password, nt_hash) {
        (Some(_), Some(hash)) => {
            report.error(
                hash.span,
                format!("`{name}` has both `password` and `nt_hash`"),
                "keep one of the two",
            );
            None
        }
        (Some(password), None) => password.value.map(UserSecret::Password),
        (None, Some(hash)) => hash.value.map(UserSecret::NtHash),
        (None, None) => {
            report.error(
                at,
                format!("`{name}` has neither `password` nor `nt_hash`"),
                format!("set one with: isthmus user add {name} --replace"),
            );
            None
        }
    }
}

fn nt_hash(node: &Node, report: &mut Report) -> Option<SecretBytes> {
    let written = value::text(node, report)?;
    let bytes = (written.len() == 32).then(|| decode_hex(&written)).flatten();
    if bytes.is_none() {
        report.error(
            node.span,
            "this is not an NT hash",
            "write 32 hexadecimal digits, or let `isthmus user add --nt-hash` write it",
        );
    }
    bytes.map(SecretBytes::new)
}

fn decode_hex(written: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    written
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

fn check_name(entry: &Entry, report: &mut Report) {
    if !valid_name(&entry.key) {
        report.error(
            entry.key_span,
            "this user name cannot be used",
            format!("use 1 to {USER_NAME_BYTES_MAX} bytes without control characters"),
        );
    }
}

/// Whether a user may have this name.
pub(crate) fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= USER_NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

fn plain<T>(list: Option<At<Vec<At<T>>>>) -> Vec<T> {
    list.map(|at| at.value.into_iter().map(|item| item.value).collect()).unwrap_or_default()
}

/// Longest user name, in bytes; the name field of PPP authentication is one byte long.
pub(crate) const USER_NAME_BYTES_MAX: usize = 255;
