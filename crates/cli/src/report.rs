//! The report of a command: lines as it runs, or one JSON document at the end.

use crate::{
    answer::{WIDTH, wrap},
    commands::violation_json,
    failure::{Ended, Exit, Failure},
};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value, json};
use session_key_client::{
    permissions::{Violation, words::Names},
    request::clean_text,
};
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const REFUSAL: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const QUIET: Style = Style::new().dimmed();

/// Width of the label column.
const LABEL_WIDTH: usize = 32;
/// The column in which details begin.
const DETAIL: usize = LABEL_WIDTH + 8;
/// The separator of a detail's columns.
const GAP: &str = "  ";
/// The maximum length of a detail's column, in characters.
const MAX_COLUMN: usize = 500;

/// The format of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Aligned lines, coloured when standard output is a terminal.
    Human,
    /// One JSON document at the end.
    Json,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Line {
    /// A fact.
    Fact { label: String, value: String },
    /// A step that succeeded.
    Done { label: String, detail: String },
    /// A possible problem.
    Warning { label: String, detail: String },
    /// A missing requirement.
    Missing { label: String, detail: String },
    /// An attempt that was refused, as expected.
    Refused {
        label: String,
        /// The broken rule, with its amounts.
        violation: Value,
        /// The chain's answer.
        answer: String,
    },
}

#[derive(Clone, Debug, Serialize)]
struct Section {
    title: String,
    lines: Vec<Line>,
}

/// The report so far.
#[derive(Debug)]
pub(crate) struct Report {
    format: Format,
    sections: Vec<Section>,
    /// Members of the JSON document in addition to the sections.
    data: Map<String, Value>,
    /// The last line on success.
    closing: String,
    /// The first error of printing.
    broken: Option<io::Error>,
}

impl Report {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            sections: Vec::new(),
            data: Map::new(),
            closing: "Everything went as expected.".to_owned(),
            broken: None,
        }
    }

    /// Whether the report is for machines.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Sets a member of the JSON document; it is not printed as a line.
    pub(crate) fn data(&mut self, name: &str, value: impl Into<Value>) {
        self.data.insert(name.to_owned(), value.into());
    }

    /// Sets the last line on success.
    pub(crate) fn closing(&mut self, closing: impl Into<String>) {
        self.closing = closing.into();
    }

    /// Starts a section.
    pub(crate) fn section(&mut self, title: impl Into<String>) {
        let title = clean(title);
        if self.format == Format::Human {
            let number = self.sections.len() + 1;
            let gap = if number == 1 { "" } else { "\n" };
            self.print(&format!("{gap}{HEADING}{number:>2}  {title}{HEADING:#}"));
        }
        self.sections.push(Section {
            title,
            lines: Vec::new(),
        });
    }

    /// Adds a fact.
    pub(crate) fn fact(&mut self, label: impl Into<String>, value: impl Into<String>) {
        let (label, value) = (clean(label), clean(value));
        self.line(
            &format!("      {label:<LABEL_WIDTH$}  {}", hanging(&value)),
            Line::Fact { label, value },
        );
    }

    /// Adds a step that succeeded.
    pub(crate) fn done(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        let (label, detail) = (clean(label), clean(detail));
        self.line(
            &format!(
                "    {GOOD}✓{GOOD:#} {label:<LABEL_WIDTH$}  {QUIET}{}{QUIET:#}",
                hanging(&detail)
            ),
            Line::Done { label, detail },
        );
    }

    /// Adds a possible problem.
    pub(crate) fn warning(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        let (label, detail) = (clean(label), clean(detail));
        self.line(
            &format!(
                "    {REFUSAL}!{REFUSAL:#} {label:<LABEL_WIDTH$}  {}",
                hanging(&detail)
            ),
            Line::Warning { label, detail },
        );
    }

    /// Adds a missing requirement.
    pub(crate) fn missing(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        let (label, detail) = (clean(label), clean(detail));
        self.line(
            &format!("    {BAD}✗{BAD:#} {label:<LABEL_WIDTH$}  {}", hanging(&detail)),
            Line::Missing { label, detail },
        );
    }

    /// Returns the labels of everything missing so far.
    pub(crate) fn all_missing(&self) -> Vec<&str> {
        let lines = self.sections.iter().flat_map(|section| &section.lines);
        let mut labels: Vec<&str> = lines
            .filter_map(|line| match line {
                Line::Missing { label, .. } => Some(label.as_str()),
                _ => None,
            })
            .collect();
        labels.dedup();
        labels
    }

    /// Adds an attempt that was refused, as expected.
    pub(crate) fn refused(
        &mut self,
        label: impl Into<String>,
        violation: &Violation,
        answer: impl Into<String>,
    ) {
        let (label, answer) = (clean(label), clean(answer));
        let refused = format!("refused in {}:", violation.phase);
        let rule = hanging(&format!("{refused} {}", violation.rule));
        let rule = rule.strip_prefix(&refused).unwrap_or_default();
        let said = hanging(&format!("the chain: {answer}"));
        self.line(
            &format!(
                "    {REFUSAL}✓{REFUSAL:#} {label:<LABEL_WIDTH$}  {REFUSAL}{refused}{REFUSAL:#}{rule}\n\
                 {:DETAIL$}{QUIET}{said}{QUIET:#}",
                ""
            ),
            Line::Refused {
                label,
                violation: violation_json(violation, &Names::new()),
                answer,
            },
        );
    }

    /// Ends the report. A failure to print makes the command fail.
    pub(crate) fn finish(mut self, ended: &Ended) -> ExitCode {
        let failure = match ended {
            Ended::Done | Ended::No(_) => None,
            Ended::NotBegun(error) => Some(Failure::before(error)),
            Ended::Failed(errors) => Some(Failure::during(errors)),
        };
        match self.format {
            Format::Json => {
                if let Some(failure) = &failure {
                    print_error(&failure.message);
                }
                let document = self.document(failure.as_ref());
                self.print(&format!("{document:#}"));
            }
            Format::Human => match (ended, &failure) {
                (_, Some(failure)) => print_error(&failure.message),
                (Ended::No(reason), None) => print_error(&clean(reason)),
                (_, None) => {
                    let closing = format!("\n{GOOD}{}{GOOD:#}", self.closing);
                    self.print(&closing);
                }
            },
        }
        let exit = match (ended, &failure) {
            (_, Some(failure)) => failure.exit,
            (Ended::No(_), None) => Exit::No,
            (_, None) => Exit::Done,
        };
        self.exit(exit)
    }

    /// Returns the exit code, once everything is printed.
    fn exit(mut self, exit: Exit) -> ExitCode {
        if let Err(error) = io::stdout().flush() {
            self.broken.get_or_insert(error);
        }
        match &self.broken {
            None => exit.into(),
            Some(error) => {
                print_error(&format!("the report could not be written: {error}"));
                Exit::Open.into()
            }
        }
    }

    fn document(&self, failure: Option<&Failure>) -> Value {
        let mut document = json!({
            "ok": failure.is_none(),
            "error": failure.map(|failure| json!({ "code": failure.code, "message": failure.message })),
            "sections": self.sections,
        });
        for (name, value) in &self.data {
            document[name] = value.clone();
        }
        document["userOpHash"] = json!(failure.and_then(|failure| failure.user_op_hash));
        document["transactionHash"] = json!(failure.and_then(|failure| failure.transaction_hash));
        document
    }

    fn line(&mut self, text: &str, line: Line) {
        if self.format == Format::Human {
            self.print(text.trim_end());
        }
        if let Some(section) = self.sections.last_mut() {
            section.lines.push(line);
        }
    }

    /// Prints a line. After a failure (a closed pipe, a full disk) the command still finishes, and fails at
    /// the end.
    fn print(&mut self, text: &str) {
        if let Err(error) = writeln!(anstream::stdout(), "{text}") {
            self.broken.get_or_insert(error);
        }
    }
}

/// Cleans a text that may come from outside: no control characters, limited length. Columns stay separate.
fn clean(text: impl Into<String>) -> String {
    let text = text.into();
    let columns = text.split(GAP).map(|column| clean_text(column, MAX_COLUMN));
    columns.collect::<Vec<_>>().join(GAP)
}

/// Wraps prose in a detail, with all lines in the detail's column. Columns before it, and short details, stay
/// on the first line.
fn hanging(detail: &str) -> String {
    let (columns, prose) = match detail.rsplit_once(GAP) {
        Some((columns, prose)) => (Some(columns), prose),
        None => (None, detail),
    };
    // A value stays next to its name, and a command in one piece.
    let is_prose = prose.split(' ').count() > 2 && !prose.starts_with("session-key ");
    if prose.chars().count() <= WIDTH - DETAIL || !is_prose {
        return detail.to_owned();
    }
    let lines = wrap(prose, DETAIL, DETAIL).join("\n");
    match columns {
        Some(columns) => format!("{columns}\n{lines}"),
        None => lines.trim_start().to_owned(),
    }
}

/// Prints a one-line error to standard error.
pub(crate) fn print_error(reason: &str) {
    let _ = writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {reason}");
}

/// Prints a note to standard error.
pub(crate) fn print_note(note: &str) {
    let _ = writeln!(anstream::stderr(), "{QUIET}note:{QUIET:#} {note}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_wraps_in_its_column() {
        let address = "0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789";
        assert_eq!(
            hanging(&format!("{address}  code as recorded")),
            format!("{address}  code as recorded")
        );
        let indent = " ".repeat(DETAIL);
        assert_eq!(
            hanging(&format!(
                "{address}  no code: its first operation creates it, or it has yet to delegate"
            )),
            format!(
                "{address}\n{indent}no code: its first operation creates it,\n{indent}or it has yet to delegate"
            )
        );
        assert_eq!(
            hanging("none: bundlers that enforce ERC-7562 refuse operations"),
            format!("none: bundlers that enforce ERC-7562\n{indent}refuse operations")
        );
    }

    #[test]
    fn columns_are_kept_and_control_characters_removed() {
        assert_eq!(
            clean("0x01  code\u{1b}[2J as recorded"),
            "0x01  code[2J as recorded"
        );
        assert_eq!(clean("  may call"), "  may call");
        assert_eq!(
            clean("said: https://node.example/v2/s3cr3t\n!"),
            "said: https://node.example/… !"
        );
        assert_eq!(clean("é".repeat(9_000)).chars().count(), MAX_COLUMN);
    }
}
