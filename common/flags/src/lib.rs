//! What the command lines of both programs share: the man page and the shells' completions, made from
//! the flags themselves, so that they cannot fall behind.

#![forbid(unsafe_code)]

use std::io::{self, Write};

use clap::{Arg, ArgMatches, Command, ValueEnum, value_parser};
use clap_complete::Shell;
use clap_mangen::Man;

const FLAG: &str = "generate";

/// What can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// A man page, for section 1.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
    /// Completions for Elvish.
    Elvish,
    /// Completions for `PowerShell`.
    Powershell,
}

impl What {
    fn shell(self) -> Option<Shell> {
        match self {
            Self::Man => None,
            Self::Bash => Some(Shell::Bash),
            Self::Zsh => Some(Shell::Zsh),
            Self::Fish => Some(Shell::Fish),
            Self::Elvish => Some(Shell::Elvish),
            Self::Powershell => Some(Shell::PowerShell),
        }
    }
}

/// The flag that asks for it. It is added to the command that parses, not to the flags, so that
/// nothing that is generated has it.
pub fn flag() -> Arg {
    Arg::new(FLAG)
        .long(FLAG)
        .value_name("WHAT")
        .help("Write the man page or a shell's completions to stdout, and end")
        .value_parser(value_parser!(What))
        // In place of all others: those that are required are not, then.
        .exclusive(true)
        .hide(true)
}

/// What [`flag`] asks for, if it was given.
pub fn asked(matches: &ArgMatches) -> Option<What> {
    matches.get_one(FLAG).copied()
}

/// Writes it for this command.
///
/// # Errors
///
/// When `out` fails.
pub fn generate(what: What, command: &mut Command, out: &mut impl Write) -> io::Result<()> {
    let mut text = Vec::new();
    if let Some(shell) = what.shell() {
        let name = command.get_name().to_owned();
        // Into memory, as it panics where a write fails.
        clap_complete::generate(shell, command, name, &mut text);
    } else {
        Man::new(command.clone()).render(&mut text)?;
    }
    out.write_all(&text)
}

/// The flags of a command that its man page or a shell's completions lack; it should have none.
///
/// # Errors
///
/// As [`generate`].
pub fn undocumented(command: &Command) -> io::Result<Vec<String>> {
    let mut command = command.clone();
    command.build();
    let shown = command.get_arguments().filter(|flag| !flag.is_hide_set());
    let longs: Vec<_> = shown.filter_map(|flag| flag.get_long().map(str::to_owned)).collect();
    let mut missing = Vec::new();
    for &what in What::value_variants() {
        let mut text = Vec::new();
        generate(what, &mut command.clone(), &mut text)?;
        let text = String::from_utf8_lossy(&text);
        for long in &longs {
            let written = match what {
                What::Man => format!("\\-\\-{}", long.replace('-', "\\-")),
                What::Fish => format!("-l {long}"),
                _ => format!("--{long}"),
            };
            if !text.contains(&written) {
                missing.push(format!("{what:?}: --{long}"));
            }
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use std::process::{Command as Process, Stdio};

    use super::*;

    fn command() -> Command {
        Command::new("ringtest")
            .arg(Arg::new("url").required(true))
            .arg(Arg::new("access-log").long("access-log").help("Where to"))
            .arg(Arg::new("shards").short('s').long("shards").help("How many"))
    }

    fn generated(what: What) -> String {
        let mut text = Vec::new();
        generate(what, &mut command(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_flag_is_everywhere() {
        assert_eq!(undocumented(&command()).unwrap(), [""; 0]);
        assert!(generated(What::Man).contains(".TH ringtest 1"));
    }

    #[test]
    fn bash_can_read_its_completions() {
        let mut bash =
            Process::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash is here");
        bash.stdin.take().unwrap().write_all(generated(What::Bash).as_bytes()).unwrap();
        assert!(bash.wait().unwrap().success());
    }

    #[test]
    fn the_flag_stands_alone_and_shows_nowhere() {
        let mut with_flag = command().arg(flag());
        let matches = with_flag.try_get_matches_from_mut(["ringtest", "--generate", "man"]);
        assert_eq!(asked(&matches.unwrap()), Some(What::Man));
        let none = with_flag.try_get_matches_from_mut(["ringtest", "http://h/"]).unwrap();
        assert_eq!(asked(&none), None);
        let both = with_flag.try_get_matches_from_mut(["ringtest", "--generate=man", "http://h/"]);
        assert!(both.unwrap_err().to_string().contains("cannot be used with"));
        assert!(!with_flag.render_long_help().to_string().contains("--generate"));
        assert!(!generated(What::Zsh).contains("--generate"));
    }

    #[test]
    fn whoever_cannot_be_written_to_is_an_error() {
        for what in [What::Man, What::Bash] {
            let mut full: &mut [u8] = &mut [0; 16];
            let error = generate(what, &mut command(), &mut full).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        }
    }
}
