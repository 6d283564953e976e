//! Which versions of the servers are there, and which servers are not there at all.

use std::process::Command;
use std::time::Duration;

use crate::ab::tools::run;
use crate::suite::spec::ServerSpec;

/// A server that is not installed says so with this.
const NOT_INSTALLED: i32 = 3;
/// How long a program may take to tell its version.
const LIMIT: Duration = Duration::from_secs(30);

/// What a server tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) version: Option<String>,
    /// Why it is not measured.
    pub(super) left_out: Option<String>,
}

/// Asks a server for its version. One that says that it is not installed is left out, and so is a peer
/// that does not tell it in any other way.
pub(super) fn about(server: &ServerSpec) -> About {
    let Some((program, arguments)) = server.version.as_ref().and_then(|words| words.split_first())
    else {
        return About::default();
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&server.directory);
    let not_installed = |told: String| About { version: None, left_out: Some(told) };
    let unknown =
        |told: String| About { version: None, left_out: Some(told).filter(|_| server.is_peer) };
    match run(&mut command, b"", LIMIT) {
        Ok(left) if left.status.success() => {
            let text = String::from_utf8_lossy(&left.stdout).into_owned();
            // Some programs tell it on stderr.
            let lines = text.lines().chain(left.stderr.lines());
            let version = lines.map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
            About { version, left_out: None }
        }
        Ok(left) => {
            let last = left.stderr.lines().last().unwrap_or_default().trim();
            match left.status.code() {
                Some(NOT_INSTALLED) if !last.is_empty() => not_installed(last.to_owned()),
                Some(NOT_INSTALLED) => not_installed("not installed".to_owned()),
                _ => unknown(format!("its version command ended with {}: {last}", left.status)),
            }
        }
        Err(error) => unknown(format!("its version command cannot be run: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    fn told(script: &str, is_peer: bool) -> About {
        about(&ServerSpec {
            name: "x".to_owned(),
            language: None,
            command: vec!["x".to_owned()],
            directory: PathBuf::from("/"),
            environment: BTreeMap::new(),
            ready_limit: LIMIT,
            cores: None,
            serves: None,
            version: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
            is_peer,
            files: Vec::new(),
        })
    }

    #[test]
    fn versions_and_those_that_have_none() {
        let of = |version: &str| About { version: Some(version.to_owned()), left_out: None };
        assert_eq!(told("echo; echo ' x 1.2 '; echo more", true), of("x 1.2"));
        assert_eq!(told("echo nginx/1.26 >&2", true), of("nginx/1.26"));
        for is_peer in [true, false] {
            let script = "echo hm >&2; echo not installed: setup.sh x >&2; exit 3";
            let reason = told(script, is_peer).left_out;
            assert_eq!(reason.as_deref(), Some("not installed: setup.sh x"));
        }
        let reason = told("echo broken >&2; exit 7", true).left_out.expect("a reason");
        assert!(reason.contains("exit status: 7") && reason.ends_with("broken"), "{reason}");
        assert_eq!(told("exit 7", false), About::default(), "its start will tell");
    }
}
