//! The program: flags in, report out.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            cli::say(error);
            ExitCode::FAILURE
        }
    }
}
