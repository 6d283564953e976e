//! The man page and the shells' completions, from the flags themselves: they cannot fall behind.

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

#[cfg(test)]
mod tests {
    use std::process::{Command as Process, Stdio};

    use clap::CommandFactory;

    use super::*;
    use crate::Flags;

    fn generated(what: What) -> String {
        let mut text = Vec::new();
        generate(what, &mut Flags::command(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// The long names of all flags that are shown.
    fn longs() -> Vec<String> {
        let mut command = Flags::command();
        command.build();
        let shown = command.get_arguments().filter(|flag| !flag.is_hide_set());
        let longs: Vec<_> = shown.filter_map(|flag| flag.get_long().map(str::to_owned)).collect();
        assert!(longs.iter().any(|long| long == "access-log"), "{longs:?}");
        longs
    }

    #[test]
    fn the_man_page_has_every_flag() {
        let page = generated(What::Man);
        assert!(page.contains(".TH ringserve 1"), "{page}");
        for long in longs() {
            let escaped = format!("\\-\\-{}", long.replace('-', "\\-"));
            assert!(page.contains(&escaped), "--{long} is missing");
        }
    }

    #[test]
    fn every_shell_knows_every_flag() {
        let shells = What::value_variants().iter().filter(|what| what.shell().is_some());
        for what in shells {
            let script = generated(*what);
            for long in longs() {
                let flag =
                    if *what == What::Fish { format!("-l {long}") } else { format!("--{long}") };
                assert!(script.contains(&flag), "{what:?}: {flag} is missing");
            }
        }
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
        let mut command = Flags::command().arg(flag());
        let matches = command.try_get_matches_from_mut(["ringserve", "--generate", "man"]);
        assert_eq!(asked(&matches.unwrap()), Some(What::Man));
        let none = command.try_get_matches_from_mut(["ringserve", "--reuse-port"]).unwrap();
        assert_eq!(asked(&none), None);
        let both =
            command.try_get_matches_from_mut(["ringserve", "--generate=man", "--reuse-port"]);
        assert!(both.unwrap_err().to_string().contains("cannot be used with"));
        assert!(!command.render_long_help().to_string().contains("--generate"));
        assert!(!generated(What::Zsh).contains("--generate"));
    }

    #[test]
    fn whoever_cannot_be_written_to_is_an_error() {
        for what in [What::Man, What::Bash] {
            let mut full: &mut [u8] = &mut [0; 16];
            let error = generate(what, &mut Flags::command(), &mut full).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        }
    }
}
