//! Problems found in files that people write: collected, then shown all at once.
//!
//! A reader of configuration does not stop at the first mistake. It adds a [`Problem`] to a
//! [`Report`] and goes on, so that one run of `isthmus check` names everything there is to mend, each
//! with file, line, the place underlined and what to write instead. Values of secrets are never
//! shown, not even those in a line quoted because of another mistake in it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A text that problems point into.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
}

/// Which [`Source`] of a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(usize);

/// A place in a source, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    source: SourceId,
    start: usize,
    end: usize,
}

impl Span {
    /// The bytes `start..end` of `source`.
    pub const fn new(source: SourceId, start: usize, end: usize) -> Self {
        Self { source, start, end }
    }

    /// The source.
    pub const fn source(self) -> SourceId {
        self.source
    }

    /// Where it begins.
    pub const fn start(self) -> usize {
        self.start
    }
}

/// Whether a problem prevents anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used; somebody should look.
    Warning,
}

/// One mistake, or one thing worth a look.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Whether it prevents anything.
    pub severity: Severity,
    /// Where it is; none when it concerns what is not there.
    pub at: Option<Span>,
    /// What is wrong, one line without a full stop.
    pub message: String,
    /// What to write instead, or what to do; may be empty.
    pub remedy: String,
    /// Whether the value in the quoted line is left out, because the key may be a misspelt secret.
    hide_value: bool,
}

/// A problem with its place in words, for `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// Whether it prevents anything.
    pub severity: Severity,
    /// The file.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// Everything found so far, with the texts it was found in.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sources: Vec<Source>,
    problems: Vec<Problem>,
}

impl Report {
    /// Adds a text.
    pub fn add_source(&mut self, path: &Path, text: String) -> SourceId {
        self.sources.push(Source { path: path.to_owned(), text });
        SourceId(self.sources.len() - 1)
    }

    /// The text of a source.
    pub fn text(&self, id: SourceId) -> &str {
        self.sources.get(id.0).map_or("", |source| source.text.as_str())
    }

    /// The directory that relative paths in a source start from.
    pub fn directory(&self, id: SourceId) -> &Path {
        self.sources.get(id.0).and_then(|source| source.path.parent()).unwrap_or(Path::new("."))
    }

    /// Adds an error.
    pub fn error(
        &mut self,
        at: impl Into<Option<Span>>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(Severity::Error, at.into(), message.into(), remedy.into(), false);
    }

    /// Adds an error at a key whose value must not be shown.
    pub fn error_at_key(
        &mut self,
        at: Span,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(Severity::Error, Some(at), message.into(), remedy.into(), true);
    }

    /// Adds a warning.
    pub fn warning(
        &mut self,
        at: impl Into<Option<Span>>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(Severity::Warning, at.into(), message.into(), remedy.into(), false);
    }

    /// Takes over everything from another report.
    pub fn absorb(&mut self, other: Self) {
        let offset = self.sources.len();
        self.sources.extend(other.sources);
        self.problems.extend(other.problems.into_iter().map(|mut problem| {
            if let Some(span) = &mut problem.at {
                span.source.0 += offset;
            }
            problem
        }));
    }

    /// Whether any problem is an error.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Number of problems of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|p| p.severity == severity).count()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems in the order of the text, those without a place last.
    pub fn problems(&self) -> Vec<&Problem> {
        let mut sorted: Vec<&Problem> = self.problems.iter().collect();
        sorted.sort_by_key(|p| (p.at.is_none(), p.at));
        sorted
    }

    /// The problems for a program.
    pub fn view(&self) -> Vec<ProblemView> {
        self.problems()
            .into_iter()
            .map(|problem| {
                let place = problem.at.and_then(|span| self.locate(span));
                ProblemView {
                    severity: problem.severity,
                    file: place.as_ref().map(|p| p.file.display().to_string()),
                    line: place.as_ref().map(|p| p.line),
                    column: place.as_ref().map(|p| p.column),
                    message: problem.message.clone(),
                    remedy: problem.remedy.clone(),
                }
            })
            .collect()
    }

    /// `file:line` of a span, to mention a second place in a message.
    pub fn place(&self, span: Span) -> String {
        self.locate(span)
            .map_or_else(String::new, |place| format!("{}:{}", place.file.display(), place.line))
    }

    /// `file:line` of the first error; empty when none has a place.
    pub fn first_error_place(&self) -> String {
        let problems = self.problems();
        let mut errors = problems.iter().filter(|p| p.severity == Severity::Error);
        errors.find_map(|p| p.at).map(|at| self.place(at)).unwrap_or_default()
    }

    /// One line: the first error and how many more there are.
    pub fn summary(&self) -> String {
        let problems = self.problems();
        let Some(first) = problems.iter().find(|p| p.severity == Severity::Error) else {
            return String::from("no errors");
        };
        let place = first.at.map(|at| format!("{}: ", self.place(at))).unwrap_or_default();
        let more = match self.count(Severity::Error).saturating_sub(1) {
            0 => String::new(),
            1 => String::from(" (and 1 more error)"),
            n => format!(" (and {n} more errors)"),
        };
        format!("{place}{}{more}", first.message)
    }

    fn push(
        &mut self,
        severity: Severity,
        at: Option<Span>,
        message: String,
        remedy: String,
        hide_value: bool,
    ) {
        self.problems.push(Problem { severity, at, message, remedy, hide_value });
    }

    fn locate(&self, span: Span) -> Option<Place<'_>> {
        let source = self.sources.get(span.source.0)?;
        let text = source.text.as_str();
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let before = text.get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..)?.chars().count() + 1;
        let line_text = text.get(line_start..)?.lines().next().unwrap_or("");
        let marked = text
            .get(start..text.floor_char_boundary(span.end.min(text.len())).max(start))
            .and_then(|marked| marked.lines().next())
            .map_or(1, |marked| marked.chars().count().max(1));
        Some(Place { file: &source.path, text, line, column, line_text, marked })
    }

    fn write_problem(&self, f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
        let kind = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{kind}: {}", problem.message)?;
        let mut margin = String::from(" ");
        if let Some(place) = problem.at.and_then(|span| self.locate(span)) {
            let number = place.line.to_string();
            margin = " ".repeat(number.len());
            let shown = place.shown(problem.hide_value);
            let column = place.column.min(shown.chars().count() + 1);
            let marked = place.marked.min(shown.chars().count() + 1 - column).max(1);
            writeln!(f, "{margin}--> {}:{}:{}", place.file.display(), place.line, place.column)?;
            writeln!(f, "{margin} |")?;
            writeln!(f, "{number} | {shown}")?;
            writeln!(f, "{margin} | {}{}", " ".repeat(column - 1), "^".repeat(marked))?;
        }
        if problem.remedy.is_empty() {
            return Ok(());
        }
        writeln!(f, "{margin} = help: {}", problem.remedy)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems().into_iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            self.write_problem(f, problem)?;
        }
        Ok(())
    }
}

struct Place<'a> {
    file: &'a Path,
    text: &'a str,
    line: usize,
    column: usize,
    line_text: &'a str,
    marked: usize,
}

impl Place<'_> {
    /// The line as it may be shown: without secrets, without control characters.
    fn shown(&self, hide_value: bool) -> String {
        let kept = if hide_value {
            self.line_text.split_once('=').map_or(self.line_text, |(key, _)| key).to_owned() + "= …"
        } else {
            without_secret(self.text, self.line)
        };
        kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
    }
}

/// Words after which the rest of a line may be a secret.
const SECRET_WORDS: [&str; 4] = ["nt_hash", "password", "psk", "secret"];

/// The line with this number (from 1), cut after the name of a secret.
fn without_secret(text: &str, number: usize) -> String {
    // A secret may be a multi-line string, so its end has to be sought from the top of the file.
    let mut open: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let shown = match open {
            Some(quote) => {
                open = (!line.contains(quote)).then_some(quote);
                String::from(HIDDEN)
            }
            None => match cut_at_secret(line) {
                Some((kept, rest)) => {
                    open = opened_multiline(rest);
                    format!("{kept} = {HIDDEN}")
                }
                None => line.to_owned(),
            },
        };
        if index + 1 == number {
            return shown;
        }
    }
    String::new()
}

fn cut_at_secret(line: &str) -> Option<(&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    SECRET_WORDS
        .iter()
        .flat_map(|word| line.match_indices(word).map(|(at, _)| (at, at + word.len())))
        .filter_map(|(start, end)| {
            let (kept, rest) = line.split_at_checked(end)?;
            let before = line.get(..start)?.chars().next_back();
            let whole = !before.is_some_and(is_word) && !rest.starts_with(is_word);
            (whole && !rest.is_empty() && !rest.starts_with(']')).then_some((kept, rest))
        })
        .min_by_key(|(kept, _)| kept.len())
}

fn opened_multiline(rest: &str) -> Option<&'static str> {
    ["\"\"\"", "'''"].into_iter().find(|quote| rest.matches(quote).count() % 2 == 1)
}

/// Shown in place of a secret.
const HIDDEN: &str = "[secret]";

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str, needle: &str) -> (Report, Span) {
        let mut report = Report::default();
        let id = report.add_source(Path::new("x.toml"), text.to_owned());
        let start = text.find(needle).unwrap();
        (report, Span::new(id, start, start + needle.len()))
    }

    #[test]
    fn a_problem_is_shown_with_line_caret_and_remedy() {
        let (mut report, at) = report("[tenant]\npol = 1\n", "pol");
        report.error(at, "unknown key `pol`", "did you mean `pool`?");
        assert_eq!(
            report.to_string(),
            "error: unknown key `pol`\n --> x.toml:2:1\n  |\n2 | pol = 1\n  | ^^^\n  = help: did you mean `pool`?\n"
        );
    }

    #[test]
    fn problems_come_in_the_order_of_the_text() {
        let (mut report, second) = report("a = 1\nb = 2\n", "b");
        report.error(None, "third", "");
        report.error(second, "second", "");
        report.warning(Span::new(second.source(), 0, 1), "first", "");
        let order: Vec<_> = report.view().into_iter().map(|p| p.message).collect();
        assert_eq!(order, ["first", "second", "third"]);
    }

    #[test]
    fn a_quoted_line_never_shows_a_secret() {
        for line in [
            "psk = \"hunter2\"",
            "psk \"hunter2\"",
            "alice = { password = 'hunter2', x = 1 }",
            "nt_hash=hunter2",
            "  \"secret\" = \"\"\"hunter2\"\"\"",
        ] {
            let (mut report, at) = report(line, "hunter2");
            report.error(at, "wrong", "");
            assert!(!report.to_string().contains("hunter2"), "{report}");
            assert!(report.to_string().contains("x.toml:1:"), "{report}");
        }
    }

    #[test]
    fn a_multi_line_secret_is_hidden_to_its_end_and_no_further() {
        let text = "psk = \"\"\"\nhunter2\n\"\"\"\nname = 7\n";
        let (mut first, at) = report(text, "hunter2");
        first.error(at, "wrong", "");
        assert!(!first.to_string().contains("hunter2"));
        let (mut second, at) = report(text, "7");
        second.error(at, "wrong", "");
        assert!(second.to_string().contains("name = 7"), "{second}");
    }

    #[test]
    fn a_misspelt_secret_is_hidden_too() {
        let (mut report, at) = report("pks = \"hunter2\"", "pks");
        report.error_at_key(at, "unknown key `pks`", "did you mean `psk`?");
        assert!(report.to_string().contains("1 | pks = …"), "{report}");
        assert!(!report.to_string().contains("hunter2"));
    }

    #[test]
    fn file_names_of_secrets_are_shown() {
        let (mut report, at) = report("psk_file = \"/nowhere\"", "/nowhere");
        report.error(at, "missing", "");
        assert!(report.to_string().contains("psk_file = \"/nowhere\""));
    }

    #[test]
    fn a_span_beyond_the_text_does_no_harm() {
        let mut report = Report::default();
        let id = report.add_source(Path::new("x.toml"), "é".to_owned());
        report.error(Span::new(id, 1, 900), "wrong", "");
        assert!(report.to_string().contains("x.toml:1:1"));
    }
}
