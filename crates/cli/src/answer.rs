//! What a command answers: lines for people, or one JSON document.

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

/// Lines are broken here.
const WIDTH: usize = 80;

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
    /// Broken into lines of 80 characters, those after the first indented by so much.
    Wrapped { tone: Tone, indent: usize, text: String },
    /// As it is.
    Raw(String),
}

/// The answer to a command.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    lines: Vec<Line>,
    data: Map<String, Value>,
    is_no: bool,
    /// So many of the lines were shown to whoever agreed to it.
    #[serde(skip)]
    shown: usize,
}

impl Answer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The answer is no: the exit code is 1.
    pub(crate) const fn no(&mut self, is_no: bool) {
        self.is_no |= is_no;
    }

    /// What it says so far was shown where it would be printed: it is not printed there again.
    pub(crate) const fn is_shown(&mut self) {
        self.shown = self.lines.len();
    }

    /// A member of the JSON document.
    pub(crate) fn data(&mut self, name: &str, value: impl Serialize) -> &mut Self {
        // All of it can be written.
        let value = serde_json::to_value(value).unwrap_or_default();
        self.data.insert(name.to_owned(), value);
        self
    }

    /// A text that is a member of the JSON document.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.data.get(name)?.as_str()
    }

    /// Puts an item before the others of a member that is a list.
    pub(crate) fn put_first(&mut self, name: &str, item: Value) {
        if let Some(Value::Array(items)) = self.data.get_mut(name) {
            items.insert(0, item);
        }
    }

    /// A line, indented by so many characters; its continuation by two more.
    pub(crate) fn line(&mut self, tone: Tone, indent: usize, text: impl Into<String>) -> &mut Self {
        let text = text.into();
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

    /// A text that is not broken.
    pub(crate) fn raw(&mut self, text: impl Into<String>) -> &mut Self {
        self.lines.push(Line::Raw(text.into()));
        self
    }

    /// The lines as text, without colours.
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

    /// Prints the answer. What cannot be written is a failure, and of something that was done, an open one.
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

    /// Prints the answer on one line, as one of many.
    pub(crate) fn print_event(&self, is_json: bool) -> io::Result<()> {
        if is_json {
            writeln!(io::stdout(), "{}", Value::Object(self.data.clone()))?;
        } else {
            writeln!(anstream::stdout(), "{}", self.styled())?;
        }
        io::stdout().flush()
    }
}

/// What came of printing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printed {
    pub(crate) exit: ExitCode,
    /// Whether all of it was written.
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

/// Says why there is no answer. `writes`: the command would have written something, and hashes stand beside the reason.
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

/// The same, as one line of JSON among others.
pub(crate) fn print_failure_line(failure: &Failure, is_json: bool) -> Printed {
    print_error(&failure.message);
    let printed = if is_json {
        let document = document_of(failure);
        writeln!(io::stdout(), "{document}").and_then(|()| io::stdout().flush())
    } else {
        Ok(())
    };
    written(printed, failure.exit)
}

fn document_of(failure: &Failure) -> Value {
    json!({ "ok": false, "error": { "code": failure.code, "message": failure.message } })
}

/// The same as a JSON document alone.
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

/// What was sent, in the JSON of commands that write. What was sent, or is not needed, was not simulated.
pub(crate) fn hashes(answer: &mut Answer, user_op_hash: Option<B256>, transaction_hash: Option<B256>) {
    answer
        .data("userOpHash", user_op_hash)
        .data("transactionHash", transaction_hash)
        .data("simulation", Value::Null);
}

/// Breaks a text at spaces. What has none stays whole: addresses are to be copied.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = " ".repeat(indent);
    let mut is_empty = true;
    for word in text.split(' ') {
        let length = line.chars().count() + usize::from(!is_empty) + word.chars().count();
        if !is_empty && length > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent + 2)));
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
    fn lines_that_were_shown_are_not_printed_again() {
        let mut answer = Answer::new();
        answer.plain("asked about").data("words", ["asked about"]);
        answer.is_shown();
        answer.plain("done");
        assert_eq!(answer.styled().trim(), "done");
        assert!(answer.text().contains("asked about"));
        // What another run says, nobody has seen.
        let kept = serde_json::to_value(&answer).unwrap();
        let kept: Answer = serde_json::from_value(kept).unwrap();
        assert!(kept.styled().contains("asked about"));
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        let text = "May call transfer and approve of USDC (0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48), with anybody as recipient.";
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
