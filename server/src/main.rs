//! The `ringserve` program; see [`ringserve::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ringserve::cli::run()
}
