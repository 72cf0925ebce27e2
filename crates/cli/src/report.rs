//! What the commands print: for people line by line as it happens, for machines one JSON document at the end.

use crate::{
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

/// Width of the column before the details.
const LABEL_WIDTH: usize = 32;
/// What stands between the columns of a detail.
const GAP: &str = "  ";
/// The longest column of a detail, in characters.
const MAX_COLUMN: usize = 500;

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines, aligned; coloured when standard output is a terminal.
    Human,
    /// One JSON document when all is done.
    Json,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Line {
    /// Something that is so.
    Fact { label: String, value: String },
    /// Something that was done, and worked.
    Done { label: String, detail: String },
    /// Something that may be a problem.
    Warning { label: String, detail: String },
    /// Something that is needed and is not there.
    Missing { label: String, detail: String },
    /// Something that was tried and refused, as it should be.
    Refused {
        label: String,
        /// The rule that it breaks, with its figures.
        violation: Value,
        /// What the chain says of it.
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
    /// Members of the JSON document besides the sections.
    data: Map<String, Value>,
    /// The last line, if all goes well.
    closing: String,
    /// Why something could not be printed.
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

    /// Sets a member of the JSON document. People are not shown it.
    pub(crate) fn data(&mut self, name: &str, value: impl Into<Value>) {
        self.data.insert(name.to_owned(), value.into());
    }

    /// Says how the report ends, if all goes well.
    pub(crate) fn closing(&mut self, closing: impl Into<String>) {
        self.closing = closing.into();
    }

    /// Begins a section.
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

    /// Something that is so.
    pub(crate) fn fact(&mut self, label: impl Into<String>, value: impl Into<String>) {
        let (label, value) = (clean(label), clean(value));
        self.line(
            &format!("      {label:<LABEL_WIDTH$}  {value}"),
            Line::Fact { label, value },
        );
    }

    /// Something that was done, and worked.
    pub(crate) fn done(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        let (label, detail) = (clean(label), clean(detail));
        self.line(
            &format!("    {GOOD}✓{GOOD:#} {label:<LABEL_WIDTH$}  {QUIET}{detail}{QUIET:#}"),
            Line::Done { label, detail },
        );
    }

    /// Something that may be a problem.
    pub(crate) fn warning(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        let (label, detail) = (clean(label), clean(detail));
        self.line(
            &format!("    {REFUSAL}!{REFUSAL:#} {label:<LABEL_WIDTH$}  {detail}"),
            Line::Warning { label, detail },
        );
    }

    /// Something that is needed and is not there.
    pub(crate) fn missing(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        let (label, detail) = (clean(label), clean(detail));
        self.line(
            &format!("    {BAD}✗{BAD:#} {label:<LABEL_WIDTH$}  {detail}"),
            Line::Missing { label, detail },
        );
    }

    /// The labels of what is missing so far.
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

    /// Something that was tried and refused, as it should be.
    pub(crate) fn refused(
        &mut self,
        label: impl Into<String>,
        violation: &Violation,
        answer: impl Into<String>,
    ) {
        let (label, answer) = (clean(label), clean(answer));
        let (phase, rule, indent) = (violation.phase, &violation.rule, "");
        self.line(
            &format!(
                "    {REFUSAL}✓{REFUSAL:#} {label:<LABEL_WIDTH$}  {REFUSAL}refused in {phase}:{REFUSAL:#} {rule}\n\
                 {indent:LABEL_WIDTH$}        {QUIET}the chain: {answer}{QUIET:#}"
            ),
            Line::Refused {
                label,
                violation: violation_json(violation, &Names::new()),
                answer,
            },
        );
    }

    /// Ends the report. What could not be printed is a failure, too.
    pub(crate) fn finish(mut self, ended: &Ended) -> ExitCode {
        let failure = match ended {
            Ended::Done | Ended::No(_) => None,
            Ended::NotBegun(error) => Some(Failure::before(error)),
            Ended::Failed(errors) => Some(Failure::during(errors)),
        };
        match self.format {
            Format::Json => {
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
        self.exit(exit, failure.as_ref())
    }

    /// The exit code, once everything is printed. What machines cannot read is said to people.
    fn exit(mut self, exit: Exit, failure: Option<&Failure>) -> ExitCode {
        if let Err(error) = io::stdout().flush() {
            self.broken.get_or_insert(error);
        }
        match &self.broken {
            None => exit.into(),
            Some(error) => {
                if let (Format::Json, Some(failure)) = (self.format, failure) {
                    print_error(&failure.message);
                }
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

    /// Prints a line. If that fails (a closed pipe, a full disk), what was begun is brought to its end all the same, and fails
    /// then.
    fn print(&mut self, text: &str) {
        if let Err(error) = writeln!(anstream::stdout(), "{text}") {
            self.broken.get_or_insert(error);
        }
    }
}

/// A text that may be from outside: without control characters, cut. Its columns stay apart.
fn clean(text: impl Into<String>) -> String {
    let text = text.into();
    let columns = text.split(GAP).map(|column| clean_text(column, MAX_COLUMN));
    columns.collect::<Vec<_>>().join(GAP)
}

/// Prints a one-line reason to standard error.
pub(crate) fn print_error(reason: &str) {
    let _ = writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {reason}");
}

/// Prints a remark to standard error.
pub(crate) fn print_note(note: &str) {
    let _ = writeln!(anstream::stderr(), "{QUIET}note:{QUIET:#} {note}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_columns_and_nothing_else() {
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
