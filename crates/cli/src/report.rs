//! What the commands print: for people line by line as it happens, for machines one JSON document at the end.

use std::io::Write as _;

use alloy::primitives::{U256, utils::format_ether};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value};
use session_key_client::permissions::model::Violation;

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const REFUSAL: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const QUIET: Style = Style::new().dimmed();

/// Width of the column before the details.
const LABEL_WIDTH: usize = 32;

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
        violation: Violation,
        /// What the chain said.
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
}

impl Report {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            sections: Vec::new(),
            data: Map::new(),
            closing: "Everything went as expected.".to_owned(),
        }
    }

    /// Adds a member to the JSON document. People are not shown it.
    pub(crate) fn data(&mut self, name: &str, value: impl Into<Value>) {
        self.data.insert(name.to_owned(), value.into());
    }

    /// Says how the report ends, if all goes well.
    pub(crate) fn closing(&mut self, closing: impl Into<String>) {
        self.closing = closing.into();
    }

    /// Begins a section.
    pub(crate) fn section(&mut self, title: impl Into<String>) {
        let title = title.into();
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
        let (label, value) = (label.into(), value.into());
        self.line(
            &format!("      {label:<LABEL_WIDTH$}  {value}"),
            Line::Fact { label, value },
        );
    }

    /// Something that was done, and worked.
    pub(crate) fn done(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        let (label, detail) = (label.into(), detail.into());
        self.line(
            &format!("    {GOOD}✓{GOOD:#} {label:<LABEL_WIDTH$}  {QUIET}{detail}{QUIET:#}"),
            Line::Done { label, detail },
        );
    }

    /// Something that may be a problem.
    pub(crate) fn warning(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        let (label, detail) = (label.into(), detail.into());
        self.line(
            &format!("    {REFUSAL}!{REFUSAL:#} {label:<LABEL_WIDTH$}  {detail}"),
            Line::Warning { label, detail },
        );
    }

    /// Something that is needed and is not there.
    pub(crate) fn missing(&mut self, label: impl Into<String>, detail: impl Into<String>) {
        let (label, detail) = (label.into(), detail.into());
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
    pub(crate) fn refused(&mut self, label: impl Into<String>, violation: &Violation, answer: String) {
        let label = label.into();
        let (phase, rule, indent) = (violation.phase, &violation.rule, "");
        self.line(
            &format!(
                "    {REFUSAL}✓{REFUSAL:#} {label:<LABEL_WIDTH$}  {REFUSAL}refused in {phase}:{REFUSAL:#} {rule}\n\
                 {indent:LABEL_WIDTH$}        {QUIET}{answer}{QUIET:#}"
            ),
            Line::Refused {
                label,
                violation: violation.clone(),
                answer,
            },
        );
    }

    /// Ends the report: everything went as expected, or `failure` says what did not.
    pub(crate) fn finish(self, failure: Option<&str>) {
        match self.format {
            Format::Json => {
                let mut document = serde_json::json!({
                    "ok": failure.is_none(),
                    "error": failure,
                    "sections": self.sections,
                });
                for (name, value) in &self.data {
                    document[name] = value.clone();
                }
                self.print(&format!("{document:#}"));
            }
            Format::Human => match failure {
                None => self.print(&format!("\n{GOOD}{}{GOOD:#}", self.closing)),
                Some(failure) => print_error(failure),
            },
        }
    }

    fn line(&mut self, text: &str, line: Line) {
        if self.format == Format::Human {
            self.print(text.trim_end());
        }
        if let Some(section) = self.sections.last_mut() {
            section.lines.push(line);
        }
    }

    /// Prints a line. A reader that went away (a closed pipe) is no reason to stop half way.
    fn print(&self, text: &str) {
        let _ = writeln!(anstream::stdout(), "{text}");
    }
}

/// Ether, to six decimals.
pub(crate) fn show_ether(wei: U256) -> String {
    let text = format_ether(wei);
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let decimals = decimals.get(..6).unwrap_or(decimals).trim_end_matches('0');
    match decimals {
        "" => format!("{whole} ETH"),
        decimals => format!("{whole}.{decimals} ETH"),
    }
}

/// Gas units, with the thousands set apart.
pub(crate) fn show_gas_units(gas: u64) -> String {
    let digits = gas.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    format!("{} gas", groups.join(","))
}

/// Prints a one-line reason to standard error.
pub(crate) fn print_error(reason: &str) {
    let _ = writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {reason}");
}
