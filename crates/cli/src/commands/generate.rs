//! What is generated from the commands themselves: completions, the manual page.

use crate::{Cli, failure::Exit, report::print_error};
use clap::{Args, CommandFactory as _};
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell.
    shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {}

pub(crate) fn completions(arguments: &CompletionsArguments) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "session-key", &mut text);
    print(&text)
}

pub(crate) fn man(_: &ManArguments) -> ExitCode {
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut text);
    match rendered {
        Ok(()) => print(&text),
        Err(error) => {
            print_error(&format!("the manual page could not be made: {error}"));
            Exit::NotBegun.into()
        }
    }
}

fn print(text: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("it could not be written: {error}"));
            Exit::Open.into()
        }
    }
}
