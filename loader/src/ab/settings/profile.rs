//! A tuning profile: a folder with a sysctl.conf.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Setting, normalised};

/// The profile that may be missing: a new network namespace has the kernel's defaults.
pub const DEFAULT: &str = "default";

/// The kernel settings of an arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// As it was asked for.
    pub name: String,
    /// Where it was found; `None` of the kernel's defaults.
    pub folder: Option<PathBuf>,
    /// What it sets, in its order.
    pub settings: Vec<Setting>,
    /// What else it holds that is not set here.
    pub left_out: Vec<String>,
}

/// Why there is no such profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It was nowhere.
    #[error(
        "there is no tuning profile `{name}`: neither a folder of this name nor one in {}; give the \
         path of a folder, or that of the profiles with --profiles",
        folders(searched)
    )]
    Missing {
        /// As it was asked for.
        name: String,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A line is no setting.
    #[error("{}:{line}: expected `key = value`, found `{found}`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
        /// What stands there.
        found: String,
    },
    /// There is nothing in it that could be set.
    #[error("{}: there is no sysctl.conf in this profile", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

fn folders(searched: &[PathBuf]) -> String {
    let shown: Vec<String> = searched.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

/// Where profiles are looked for when nobody says: in the working directory's tree, and beside the
/// program, as it is built and as it is installed.
pub fn usual_folders() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("tuning/profiles")];
    let program = std::env::current_exe().ok();
    if let Some(folder) = program.as_deref().and_then(Path::parent) {
        for relative in ["../../tuning/profiles", "../share/ringbench/tuning/profiles"] {
            found.push(folder.join(relative));
        }
    }
    found
}

impl Profile {
    /// Finds a profile by its name in one of `searched`, or by the path of its folder.
    ///
    /// # Errors
    ///
    /// When it is not there or is not in order; the text says where.
    pub fn load(name: &str, searched: &[PathBuf]) -> Result<Self, ProfileError> {
        let folder = if name.contains('/') {
            Some(PathBuf::from(name)).filter(|folder| folder.is_dir())
        } else {
            searched.iter().map(|folder| folder.join(name)).find(|folder| folder.is_dir())
        };
        let Some(folder) = folder else {
            if name == DEFAULT {
                return Ok(Self {
                    name: name.to_owned(),
                    folder: None,
                    settings: Vec::new(),
                    left_out: Vec::new(),
                });
            }
            return Err(ProfileError::Missing {
                name: name.to_owned(),
                searched: searched.to_vec(),
            });
        };
        let path = folder.join("sysctl.conf");
        let settings = match fs::read_to_string(&path) {
            Ok(text) => parse(&text, &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(ProfileError::Read { path, source }),
        };
        let left_out = ["sys.conf", "limits.conf", "pam.conf", "cmdline.conf"]
            .into_iter()
            .filter(|file| folder.join(file).exists())
            .map(str::to_owned)
            .collect::<Vec<_>>();
        if settings.is_empty() && left_out.is_empty() && name != DEFAULT {
            return Err(ProfileError::Empty { path: folder });
        }
        Ok(Self { name: name.to_owned(), folder: Some(folder), settings, left_out })
    }
}

/// The settings of a file in the format of sysctl.conf(5).
fn parse(text: &str, path: &Path) -> Result<Vec<Setting>, ProfileError> {
    let mut settings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let refused =
            || ProfileError::Line { path: path.to_owned(), line: number, found: line.to_owned() };
        let (key, value) = line.split_once('=').ok_or_else(refused)?;
        // A leading "-" lets a key fail; here every failure is told anyway.
        let key = key.trim().trim_start_matches('-');
        let value = normalised(value);
        let file = file_of(key);
        let is_name = |c: char| c.is_ascii_alphanumeric() || "/._:@-".contains(c);
        let is_path = file.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !is_path || !key.chars().all(is_name) {
            return Err(refused());
        }
        settings.push(Setting { key: key.to_owned(), path: file, value });
    }
    Ok(settings)
}

/// The file of a key below /proc/sys. Where the first separator is a slash, it is a path already;
/// else dots and slashes change places.
fn file_of(key: &str) -> String {
    if key.find(['/', '.']).is_none_or(|at| key[at..].starts_with('/')) {
        return key.to_owned();
    }
    let swapped = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    key.chars().map(swapped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(key: &str, path: &str, value: &str) -> Setting {
        Setting { key: key.to_owned(), path: path.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn sysctl_conf_is_read() {
        let text = "# comment\n; another\n\nnet.ipv4.ip_local_port_range = 1024\t 65535\n\
                    -net/core/somaxconn=4096\nnet.ipv4.conf.eth0/1.forwarding = 1\n";
        let settings = parse(text, Path::new("f")).expect("in order");
        let expected = [
            setting("net.ipv4.ip_local_port_range", "net/ipv4/ip_local_port_range", "1024 65535"),
            setting("net/core/somaxconn", "net/core/somaxconn", "4096"),
            setting("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding", "1"),
        ];
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for line in ["net.ipv4.tcp_tw_reuse", "= 1", "net/../kernel/x = 1", "net..x = 1"] {
            let error = parse(&format!("\n{line}\n"), Path::new("p/sysctl.conf")).expect_err(line);
            assert!(error.to_string().starts_with("p/sysctl.conf:2: "), "{error}");
        }
    }

    #[test]
    fn the_documented_profile_has_its_nine_keys() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tuning/profiles");
        let profile = Profile::load("documented", &[folder]).expect("it is in the tree");
        assert_eq!(profile.settings.len(), 9);
        assert!(profile.settings.iter().all(Setting::may_be_private));
        assert!(profile.left_out.contains(&"limits.conf".to_owned()));
    }

    #[test]
    fn only_the_default_may_be_missing() {
        let nowhere = [PathBuf::from("/nonexistent")];
        let default = Profile::load(DEFAULT, &nowhere).expect("the kernel's");
        assert_eq!((default.folder, default.settings.len()), (None, 0));
        let error = Profile::load("documentd", &nowhere).expect_err("a typing error");
        assert!(
            error.to_string().contains("`documentd`") && error.to_string().contains("/nonexistent")
        );
        assert!(Profile::load("./nowhere", &nowhere).is_err());
    }
}
