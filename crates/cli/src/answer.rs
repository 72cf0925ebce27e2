//! The answer of a command: lines for people, or one JSON document.

use crate::{
    failure::{Exit, Failure},
    report::print_error,
};
use anstyle::{AnsiColor, Style};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use session_key_client::alloy::primitives::B256;
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const DOUBT: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const QUIET: Style = Style::new().dimmed();

/// The width at which lines wrap.
pub(crate) const WIDTH: usize = 80;

/// How a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tone {
    Heading,
    Plain,
    Good,
    Doubt,
    Bad,
    Quiet,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Line {
    /// Wrapped at [`WIDTH`]; continuation lines are indented two characters more than the first.
    Wrapped { tone: Tone, indent: usize, text: String },
    /// Printed verbatim.
    Raw(String),
}

/// The answer to a command.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    lines: Vec<Line>,
    data: Map<String, Value>,
    is_no: bool,
    /// The number of lines already shown before the user confirmed.
    #[serde(skip)]
    shown: usize,
}

impl Answer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Marks the answer as a "no", with exit code 1.
    pub(crate) const fn no(&mut self, is_no: bool) {
        self.is_no |= is_no;
    }

    /// Marks the lines so far as already shown on standard output: printing skips them.
    pub(crate) const fn is_shown(&mut self) {
        self.shown = self.lines.len();
    }

    /// Sets a member of the JSON document.
    pub(crate) fn data(&mut self, name: &str, value: impl Serialize) -> &mut Self {
        // Serialization cannot fail: keys are strings.
        let value = serde_json::to_value(value).unwrap_or_default();
        self.data.insert(name.to_owned(), value);
        self
    }

    /// Returns a member of the JSON document that is a string.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.data.get(name)?.as_str()
    }

    /// Inserts an item at the front of a list member.
    pub(crate) fn put_first(&mut self, name: &str, item: Value) {
        if let Some(Value::Array(items)) = self.data.get_mut(name) {
            items.insert(0, item);
        }
    }

    /// Adds a line with this indent.
    pub(crate) fn line(&mut self, tone: Tone, indent: usize, text: impl Into<String>) -> &mut Self {
        let text = printable(text.into());
        self.lines.push(Line::Wrapped { tone, indent, text });
        self
    }

    pub(crate) fn heading(&mut self, text: impl Into<String>) -> &mut Self {
        if !self.lines.is_empty() {
            self.raw("");
        }
        self.line(Tone::Heading, 0, text)
    }

    pub(crate) fn plain(&mut self, text: impl Into<String>) -> &mut Self {
        self.line(Tone::Plain, 2, text)
    }

    /// Adds a line that is not wrapped.
    pub(crate) fn raw(&mut self, text: impl Into<String>) -> &mut Self {
        self.lines.push(Line::Raw(printable(text.into())));
        self
    }

    /// Returns the lines as plain text.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| match line {
            Line::Raw(text) => text.clone(),
            Line::Wrapped { indent, text, .. } => wrapped(text, *indent).join("\n"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn styled(&self) -> String {
        let lines = self.lines.iter().skip(self.shown).map(|line| match line {
            Line::Raw(text) => text.clone(),
            Line::Wrapped { tone, indent, text } => {
                let style = match tone {
                    Tone::Heading => HEADING,
                    Tone::Plain => Style::new(),
                    Tone::Good => GOOD,
                    Tone::Doubt => DOUBT,
                    Tone::Bad => BAD,
                    Tone::Quiet => QUIET,
                };
                let lines = wrapped(text, *indent);
                format!("{style}{}{style:#}", lines.join("\n"))
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Prints the answer. If writing fails after something was done, the exit code is that of an open
    /// outcome.
    pub(crate) fn print(&self, is_json: bool) -> Printed {
        let text = if is_json {
            let mut document = json!({ "ok": true, "error": null });
            for (name, value) in &self.data {
                document[name] = value.clone();
            }
            format!("{document:#}")
        } else {
            self.styled()
        };
        let exit = if self.is_no { Exit::No } else { Exit::Done };
        written(
            writeln!(anstream::stdout(), "{text}").and_then(|()| io::stdout().flush()),
            exit,
        )
    }

    /// Prints the lines so far; they are to be marked as shown.
    pub(crate) fn print_part(&self) -> io::Result<()> {
        writeln!(anstream::stdout(), "{}", self.styled())?;
        io::stdout().flush()
    }

    /// Prints the answer on one line, as an event of a stream.
    pub(crate) fn print_event(&self, is_json: bool) -> io::Result<()> {
        if is_json {
            writeln!(io::stdout(), "{}", Value::Object(self.data.clone()))?;
        } else {
            writeln!(anstream::stdout(), "{}", self.styled())?;
        }
        io::stdout().flush()
    }
}

/// The result of printing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printed {
    pub(crate) exit: ExitCode,
    /// Whether everything was written.
    pub(crate) is_whole: bool,
}

impl From<Printed> for ExitCode {
    fn from(printed: Printed) -> Self {
        printed.exit
    }
}

fn written(result: io::Result<()>, exit: Exit) -> Printed {
    match result {
        Ok(()) => Printed {
            exit: exit.into(),
            is_whole: true,
        },
        Err(error) => {
            print_error(&format!("the answer could not be written: {error}"));
            Printed {
                exit: Exit::Open.into(),
                is_whole: false,
            }
        }
    }
}

/// Prints why there is no answer. With `writes`, the JSON includes the hashes of what was sent.
pub(crate) fn print_failure(failure: &Failure, is_json: bool, writes: bool) -> Printed {
    print_error(&failure.message);
    if is_json {
        print_json(failure, writes)
    } else {
        Printed {
            exit: failure.exit.into(),
            is_whole: true,
        }
    }
}

/// Like [`print_failure`], as one JSON line of a stream.
pub(crate) fn print_failure_line(failure: &Failure, is_json: bool) -> Printed {
    print_error(&failure.message);
    if is_json {
        print_json_line(failure)
    } else {
        written(Ok(()), failure.exit)
    }
}

/// Prints a failure as one JSON line only.
pub(crate) fn print_json_line(failure: &Failure) -> Printed {
    let document = document_of(failure);
    written(
        writeln!(io::stdout(), "{document}").and_then(|()| io::stdout().flush()),
        failure.exit,
    )
}

fn document_of(failure: &Failure) -> Value {
    json!({ "ok": false, "error": { "code": failure.code, "message": failure.message } })
}

/// Prints a failure as a JSON document only.
pub(crate) fn print_json(failure: &Failure, writes: bool) -> Printed {
    let mut document = document_of(failure);
    if writes {
        document["userOpHash"] = json!(failure.user_op_hash);
        document["transactionHash"] = json!(failure.transaction_hash);
    }
    written(
        writeln!(io::stdout(), "{document:#}").and_then(|()| io::stdout().flush()),
        failure.exit,
    )
}

/// Adds the members of commands that write: the hashes, and a simulation result of null.
pub(crate) fn hashes(answer: &mut Answer, user_op_hash: Option<B256>, transaction_hash: Option<B256>) {
    answer
        .data("userOpHash", user_op_hash)
        .data("transactionHash", transaction_hash)
        .data("simulation", Value::Null);
}

/// Removes what moves a terminal's cursor or changes the writing direction: a file's name may hold it.
fn printable(text: String) -> String {
    let is_printed = |character: char| {
        let turns = matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        !turns && (!character.is_control() || matches!(character, '\n' | '\t'))
    };
    if text.chars().all(is_printed) {
        return text;
    }
    text.chars().filter(|character| is_printed(*character)).collect()
}

/// Wraps a text; continuation lines are indented two characters more than the first.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    wrap(text, indent, indent + 2)
}

/// Wraps a text at spaces, with these indents of the first and the other lines. Words longer than the width
/// stay whole, so addresses can be copied.
pub(crate) fn wrap(text: &str, first: usize, others: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = " ".repeat(first);
    let mut is_empty = true;
    for word in text.split(' ') {
        let length = line.chars().count() + usize::from(!is_empty) + word.chars().count();
        if !is_empty && length > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(others)));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_already_shown_are_not_printed_again() {
        let mut answer = Answer::new();
        answer.plain("asked about").data("words", ["asked about"]);
        answer.is_shown();
        answer.plain("done");
        assert_eq!(answer.styled().trim(), "done");
        assert!(answer.text().contains("asked about"));
        // The lines of an answer restored from the journal have not been shown.
        let kept = serde_json::to_value(&answer).unwrap();
        let kept: Answer = serde_json::from_value(kept).unwrap();
        assert!(kept.styled().contains("asked about"));
    }

    #[test]
    fn lines_hold_nothing_that_moves_the_cursor_or_turns_the_text() {
        let mut answer = Answer::new();
        answer.plain("a\u{1b}[31m\u{202e}b\u{9b}c\r");
        answer.raw("d\u{2067}\te\nf\u{7f}");
        let shown = answer.text();
        assert_eq!(shown.trim_start(), "a[31mbc\nd\te\nf");
    }

    #[test]
    fn lines_wrap_at_spaces() {
        let text = "May call transfer and approve of USDC (0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48), with any recipient.";
        let lines = wrapped(text, 2);
        assert_eq!(lines.len(), 2);
        assert!(
            lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{lines:?}"
        );
        assert!(lines[1].starts_with("    "));
        assert_eq!(
            lines.join(" ").split_whitespace().collect::<Vec<_>>(),
            text.split(' ').collect::<Vec<_>>()
        );
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped(&"x".repeat(100), 2).len(), 1);
    }
}
