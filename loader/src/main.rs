//! The program: flags in, report out.

use std::process::ExitCode;

use clap::Parser;

mod cli;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            cli::say(error);
            ExitCode::FAILURE
        }
    }
}
