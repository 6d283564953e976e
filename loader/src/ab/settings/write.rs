//! Writes settings and reads them back. To be run inside the namespace that they are for: which
//! values /proc/sys/net shows depends on who looks.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::{Applied, Outcome, Setting, normalised};

/// Writes settings below `root` (/proc/sys), in their order, whatever becomes of each. Those that no
/// namespace has for itself are left alone.
pub fn write_all(settings: &[Setting], root: &Path) -> Vec<Applied> {
    settings.iter().map(|setting| write_one(setting, root)).collect()
}

fn write_one(setting: &Setting, root: &Path) -> Applied {
    let told = |before, now, outcome| Applied { setting: setting.clone(), before, now, outcome };
    if !setting.may_be_private() {
        return told(None, None, Outcome::HostOnly);
    }
    let path = root.join(&setting.path);
    let before = match read(&path) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return told(None, None, Outcome::Absent);
        }
        // Some can be written but not read.
        Err(_) => None,
    };
    if before.as_ref() == Some(&setting.value) {
        return told(before.clone(), before, Outcome::Unchanged);
    }
    let written = write(&path, &setting.value);
    let now = read(&path);
    let outcome = match (written, &now) {
        (Err(error), _) => Outcome::Refused(reason(&error)),
        (Ok(()), Ok(now)) if *now == setting.value => Outcome::Applied,
        (Ok(()), Ok(_)) => Outcome::Different,
        (Ok(()), Err(error)) => Outcome::Refused(format!("cannot be read back: {error}")),
    };
    told(before, now.ok(), outcome)
}

fn read(path: &Path) -> io::Result<String> {
    Ok(normalised(&fs::read_to_string(path)?))
}

/// In one piece: the kernel takes each write as a whole value.
fn write(path: &Path, value: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(format!("{value}\n").as_bytes())
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{error}; inside a network namespace it cannot be set")
        }
        io::ErrorKind::InvalidInput => format!("{error}; the kernel does not take this value"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A made-up /proc/sys, removed when dropped.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root =
                std::env::temp_dir().join(format!("ringload-ab-{name}-{}", std::process::id()));
            for (file, text) in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().expect("a folder")).expect("can be made");
                fs::write(path, text).expect("can be written");
            }
            Self(root)
        }

        fn write(&self, path: &str, value: &str) -> Applied {
            let setting =
                Setting { key: path.to_owned(), path: path.to_owned(), value: value.to_owned() };
            write_all(&[setting], &self.0).remove(0)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let root = Root::new("applied", &[("net/a", "32768\t60999\n"), ("net/b", "7\n")]);
        let applied = root.write("net/a", "1024 65535");
        assert_eq!((applied.outcome.clone(), applied.is_in_force()), (Outcome::Applied, true));
        assert_eq!(applied.words(), "net/a = 1024 65535 (was 32768 60999)");
        assert_eq!(root.write("net/b", "7").outcome, Outcome::Unchanged);
    }

    #[test]
    fn what_is_not_there_or_is_the_hosts_is_left_alone() {
        let root = Root::new("absent", &[("kernel/x", "1\n")]);
        assert_eq!(root.write("net/none", "1").outcome, Outcome::Absent);
        let applied = root.write("kernel/x", "2");
        assert_eq!((applied.outcome.clone(), applied.is_in_force()), (Outcome::HostOnly, false));
        assert_eq!(fs::read_to_string(root.0.join("kernel/x")).expect("there"), "1\n");
    }

    #[test]
    fn a_refusal_has_its_reason() {
        let root = Root::new("refused", &[("net/folder/x", "1\n")]);
        // A folder cannot be written, whoever asks.
        let Outcome::Refused(reason) = root.write("net/folder", "1").outcome else {
            panic!("it was taken");
        };
        assert!(!reason.is_empty());
        // This file takes what is written and stays empty.
        std::os::unix::fs::symlink("/dev/null", root.0.join("net/sink")).expect("a link");
        let applied = root.write("net/sink", "1");
        assert_eq!(
            (applied.outcome.clone(), applied.now),
            (Outcome::Different, Some(String::new()))
        );
    }
}
