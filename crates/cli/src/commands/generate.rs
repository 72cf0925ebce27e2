//! Output generated from the command definitions: shell completions and manual pages.

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
pub(crate) struct ManArguments {
    /// The command to print the page of, such as `request new` [default: the main page].
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn completions(arguments: &CompletionsArguments) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "session-key", &mut text);
    print(&text)
}

pub(crate) fn man(arguments: &ManArguments) -> ExitCode {
    let mut all = Cli::command();
    all.build();
    let mut command = &all;
    for name in &arguments.command {
        match command.find_subcommand(name) {
            Some(found) => command = found,
            None => {
                print_error(&format!("there is no command {name:?}: see session-key help"));
                return Exit::NotBegun.into();
            }
        }
    }
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(command.clone())
        .source(concat!("session-key ", env!("CARGO_PKG_VERSION")))
        .render(&mut text);
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
            print_error(&format!("the output could not be written: {error}"));
            Exit::Open.into()
        }
    }
}
