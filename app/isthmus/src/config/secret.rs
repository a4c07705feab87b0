//! Secrets: written in place, in a file, or in the environment.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use isthmus_core::SecretBytes;
use zeroize::Zeroize;

use super::document::Node;
use super::file::{SECRET_BYTES_MAX, read_at_most};
use super::section::{At, Section};
use super::value;
use crate::report::{Report, Span};

/// What the process environment says; read once, passed in, so that tests need not change it.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `ISTHMUS_PSK`: has precedence over `[ipsec] psk` and `psk_file`.
    pub psk: Option<SecretBytes>,
}

impl Environment {
    /// From the environment of this process.
    pub fn of_process() -> Self {
        let psk = std::env::var("ISTHMUS_PSK").ok().filter(|psk| !psk.is_empty());
        Self { psk: psk.map(|psk| SecretBytes::new(psk.into_bytes())) }
    }
}

/// Takes `key` or `file_key`, which exclude each other.
pub(crate) fn take(
    section: &mut Section,
    key: &'static str,
    file_key: &'static str,
    report: &mut Report,
) -> Option<At<SecretBytes>> {
    let inline = section.take(key, report, inline);
    let file = section.take(file_key, report, path);
    match (inline, file) {
        (Some(inline), Some(file)) => {
            report.error(
                file.span,
                format!("`{key}` and `{file_key}` are both set"),
                format!("keep one; the other is at {}", report.place(inline.span)),
            );
            Some(inline)
        }
        (Some(inline), None) => Some(inline),
        (None, Some(file)) => {
            let secret = from_file(&file.value, file.span, report)?;
            Some(At { span: file.span, value: secret })
        }
        (None, None) => None,
    }
}

/// A path, relative to the directory of the file that names it.
pub(crate) fn path(node: &Node, report: &mut Report) -> Option<PathBuf> {
    let written = value::text(node, report)?;
    if written.is_empty() {
        report.error(node.span, "the path is empty", "write the name of a file");
        return None;
    }
    Some(report.directory(node.span.source()).join(written))
}

/// Text that must not be empty.
pub(crate) fn inline(node: &Node, report: &mut Report) -> Option<SecretBytes> {
    let written = value::text(node, report)?;
    if written.is_empty() {
        report.error(node.span, "the secret is empty", "write it between the quotes");
        return None;
    }
    Some(SecretBytes::new(written.into_bytes()))
}

/// The only line of a file, without its line end.
fn from_file(path: &Path, span: Span, report: &mut Report) -> Option<SecretBytes> {
    let mut bytes = match read_at_most(path, SECRET_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.error(
                span,
                format!("cannot read `{}`: {error}", path.display()),
                "put the secret into that file, alone on one line, readable by the owner only",
            );
            return None;
        }
    };
    warn_when_open(path, "it holds a secret", span, report);
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let secret = SecretBytes::copy_of(line);
    bytes.zeroize();
    if secret.is_empty() {
        report.error(span, format!("`{}` is empty", path.display()), "put the secret into it");
        return None;
    }
    if secret.expose().contains(&b'\n') {
        report.error(
            span,
            format!("`{}` has more than one line", path.display()),
            "leave only the secret in it, on one line",
        );
        return None;
    }
    if secret.expose().trim_ascii().len() != secret.len() {
        report.warning(
            span,
            format!("the secret in `{}` begins or ends with a space", path.display()),
            "remove it unless every client has it too",
        );
    }
    Some(secret)
}

/// Warns when everybody on this machine may read or change a file with secrets.
pub(crate) fn warn_when_open(
    path: &Path,
    why: &str,
    at: impl Into<Option<Span>>,
    report: &mut Report,
) {
    let Ok(meta) = std::fs::metadata(path) else {
        return;
    };
    let mode = meta.permissions().mode();
    let verb = match (mode & 0o004 != 0, mode & 0o002 != 0) {
        (_, true) => "change",
        (true, false) => "read",
        (false, false) => return,
    };
    report.warning(
        at,
        format!("everybody may {verb} `{}`, and {why}", path.display()),
        format!("run: chmod 600 {}", path.display()),
    );
}
