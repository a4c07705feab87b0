//! Writes answers: tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::failure::CliError;

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: io::Stdout,
}

impl Output {
    /// Standard output.
    pub(crate) fn new() -> Self {
        Self { stdout: io::stdout() }
    }

    /// Whether a person looks at it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.stdout.is_terminal()
    }

    /// A line of text.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CliError> {
        done(writeln!(self.stdout.lock(), "{text}"))
    }

    /// Text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), CliError> {
        let mut stdout = self.stdout.lock();
        done(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// One document for a program.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
        self.line(&text)
    }

    /// One event on one line for a program.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value)
            .map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
        self.text(&format!("{text}\n"))
    }

    /// Aligned columns; nothing when there are no rows.
    pub(crate) fn table(
        &mut self,
        header: &[&str],
        rows: Vec<Vec<String>>,
    ) -> Result<(), CliError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.iter().map(|title| title.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        self.line(&text.join("\n"))
    }
}

/// A reader that has gone away (`| head`) is no failure.
fn done(result: io::Result<()>) -> Result<(), CliError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::Failed(format!("cannot write the answer: {error}")))
        }
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Says on standard error what went wrong.
pub(crate) fn complain(message: &str) {
    if message.is_empty() {
        return;
    }
    let text = message.trim_end();
    let prefix =
        if text.starts_with("error: ") || text.starts_with("warning: ") { "" } else { "error: " };
    // Nobody is left to be told if this fails.
    let _lost = writeln!(io::stderr().lock(), "{prefix}{text}");
}

/// Says something on standard error that is no failure.
pub(crate) fn remark(message: &str) {
    let _lost = writeln!(io::stderr().lock(), "{}", message.trim_end());
}

/// Names come from the network: what could move the cursor is escaped.
pub(crate) fn printable(text: &str) -> String {
    let bad = |c: char| c.is_control() || ('\u{202a}'..='\u{2069}').contains(&c);
    text.chars()
        .map(|c| if bad(c) { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// Bytes as a person reads them.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut scaled = count;
    let mut unit = "B";
    let mut tenths = 0;
    for next in UNITS {
        if scaled < 1024 {
            break;
        }
        tenths = scaled % 1024 * 10 / 1024;
        scaled /= 1024;
        unit = next;
    }
    format!("{scaled}.{tenths} {unit}")
}

/// Seconds as a person reads them: the two largest units.
pub(crate) fn age(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..=86399 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
        assert_eq!(
            (age(59), age(61), age(7260), age(90000)),
            ("59s".into(), "1m01s".into(), "2h01m".into(), "1d01h".into())
        );
    }

    #[test]
    fn what_could_move_the_cursor_is_escaped() {
        assert_eq!(printable("a\x1b[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
        assert_eq!(printable("zoë"), "zoë");
    }
}
