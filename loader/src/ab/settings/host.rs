//! Settings of the whole host, with --host only: applied before a run and taken back after it, by
//! the scripts of `tuning/`, which keep what was there before in a place that survives a crash.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Profile;

/// `apply.sh` and `revert.sh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostScripts {
    folder: PathBuf,
}

/// What went wrong with the host's settings.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The scripts are not there.
    #[error("--host needs apply.sh and revert.sh beside the profiles, in {}", folder.display())]
    NoScripts {
        /// Where they should be.
        folder: PathBuf,
    },
    /// A script could not be started.
    #[error("cannot start {}: {source}", script.display())]
    Start {
        /// The script.
        script: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A script failed.
    #[error("{} ended with {status}: {told}", script.display())]
    Failed {
        /// The script.
        script: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last it said.
        told: String,
    },
}

impl HostScripts {
    /// Those that belong to a profile: two folders up from it (`tuning/profiles/NAME`).
    ///
    /// # Errors
    ///
    /// When they are not there.
    pub fn of(profile: &Path) -> Result<Self, HostError> {
        let folder = profile.join("../..");
        let all = ["apply.sh", "revert.sh"].iter().all(|script| folder.join(script).is_file());
        if all { Ok(Self { folder }) } else { Err(HostError::NoScripts { folder }) }
    }

    /// Applies a profile until the guard is ended or dropped.
    ///
    /// # Errors
    ///
    /// When the script says that something was not to be had.
    pub fn apply(&self, profile: &Path) -> Result<HostGuard<'_>, HostError> {
        // From here on there may be something to take back, even if the script fails.
        let guard = HostGuard { scripts: self, is_reverted: false };
        self.run("apply.sh", &[profile.as_os_str(), "--runtime".as_ref()])?;
        Ok(guard)
    }

    fn run(&self, name: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), HostError> {
        let script = self.folder.join(name);
        let output = Command::new("sh").arg(&script).args(arguments).stdin(Stdio::null()).output();
        let output =
            output.map_err(|source| HostError::Start { script: script.clone(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(HostError::Failed { script, status: output.status, told })
    }
}

/// The host's settings are those of a profile for as long as this lives.
#[derive(Debug)]
#[must_use = "dropped, it takes the settings back at once"]
pub struct HostGuard<'a> {
    scripts: &'a HostScripts,
    is_reverted: bool,
}

impl HostGuard<'_> {
    /// Takes them back.
    ///
    /// # Errors
    ///
    /// When that could not be done.
    pub fn revert(mut self) -> Result<(), HostError> {
        self.is_reverted = true;
        self.scripts.run("revert.sh", &[])
    }
}

impl Drop for HostGuard<'_> {
    fn drop(&mut self) {
        if !self.is_reverted {
            // Whoever drops it is in the middle of telling something worse; the scripts keep what
            // they need to do it later.
            let _ = self.scripts.run("revert.sh", &[]);
        }
    }
}

/// Whether a profile has anything for the host as a whole.
pub fn is_needed(profile: &Profile) -> bool {
    let of_host = profile.settings.iter().any(|setting| !setting.may_be_private());
    profile.folder.is_some() && (of_host || profile.left_out.iter().any(|file| file == "sys.conf"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder `tuning` whose scripts write down that they ran; removed when dropped.
    struct Tuning(PathBuf);

    impl Tuning {
        fn new(name: &str, apply_exit: i32) -> Self {
            let root =
                std::env::temp_dir().join(format!("ringload-host-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join("profiles/p")).expect("can be made");
            let log = root.join("log");
            let apply = format!(
                "echo \"apply $2\" >>'{}'; echo no >&2; exit {apply_exit}\n",
                log.display()
            );
            fs::write(root.join("apply.sh"), apply).expect("can be written");
            fs::write(root.join("revert.sh"), format!("echo revert >>'{}'\n", log.display()))
                .expect("can be written");
            Self(root)
        }

        fn profile(&self) -> PathBuf {
            self.0.join("profiles/p")
        }

        fn log(&self) -> String {
            fs::read_to_string(self.0.join("log")).unwrap_or_default()
        }
    }

    impl Drop for Tuning {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_applied_is_reverted_once() {
        let tuning = Tuning::new("once", 0);
        let scripts = HostScripts::of(&tuning.profile()).expect("they are there");
        scripts.apply(&tuning.profile()).expect("applied").revert().expect("reverted");
        assert_eq!(tuning.log(), "apply --runtime\nrevert\n");
        drop(scripts.apply(&tuning.profile()).expect("applied"));
        assert_eq!(tuning.log(), "apply --runtime\nrevert\napply --runtime\nrevert\n");
    }

    #[test]
    fn a_failed_apply_is_told_and_reverted() {
        let tuning = Tuning::new("failed", 3);
        let scripts = HostScripts::of(&tuning.profile()).expect("they are there");
        let error = scripts.apply(&tuning.profile()).expect_err("it failed").to_string();
        assert!(error.contains("apply.sh") && error.ends_with(": no"), "{error}");
        assert_eq!(tuning.log(), "apply --runtime\nrevert\n");
    }

    #[test]
    fn without_scripts_it_is_refused() {
        let error = HostScripts::of(Path::new("/nonexistent/profiles/p")).expect_err("not there");
        assert!(error.to_string().contains("--host"), "{error}");
    }
}
