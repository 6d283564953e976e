//! Kernel settings of an arm: read from a profile, written inside the arm's network namespace, and
//! read back, for the kernel may accept a write and keep another value.
//!
//! | module | what it does |
//! |---|---|
//! | [`profile`] | finds a profile and reads its sysctl.conf |
//! | [`write`](mod@write) | writes inside a namespace |
//! | [`host`] | settings of the whole host, by the scripts of `tuning/` |

use serde::{Deserialize, Serialize};

pub mod host;
pub mod profile;
pub mod write;

pub use host::HostScripts;
pub use profile::{Profile, ProfileError};
pub use write::write_all;

/// A setting of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// As it was written: `net.ipv4.tcp_tw_reuse`.
    pub key: String,
    /// Its file below /proc/sys.
    pub path: String,
    /// The value, with single spaces.
    pub value: String,
}

impl Setting {
    /// Whether network namespaces can have values of their own: everything else is the host's, and
    /// is never written from inside one.
    pub fn may_be_private(&self) -> bool {
        self.path.starts_with("net/")
    }
}

/// What became of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Written, and read back.
    Applied,
    /// It had this value already.
    Unchanged,
    /// The kernel took the write and has another value.
    Different,
    /// The kernel refused it; its reason.
    Refused(String),
    /// This kernel has no such key.
    Absent,
    /// It is one of the whole host, and was set there for the run, by the scripts.
    AppliedToHost,
    /// It is one of the whole host, and was left alone.
    HostOnly,
}

/// A setting and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The setting.
    pub setting: Setting,
    /// The value before, if there was one.
    pub before: Option<String>,
    /// The value after.
    pub now: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

impl Applied {
    /// Whether the arm ran as its profile says, in this.
    pub fn is_in_force(&self) -> bool {
        matches!(self.outcome, Outcome::Applied | Outcome::Unchanged | Outcome::AppliedToHost)
    }

    /// What became of it, for people.
    pub fn words(&self) -> String {
        let Setting { key, value, .. } = &self.setting;
        let now = self.now.as_deref().unwrap_or_default();
        match &self.outcome {
            Outcome::Applied => {
                format!("{key} = {value} (was {})", self.before.as_deref().unwrap_or_default())
            }
            Outcome::Unchanged => format!("{key} = {value} already"),
            Outcome::Different => format!("{key}: wrote {value}, but it is {now}"),
            Outcome::Refused(reason) => format!("{key} = {value} was refused: {reason}"),
            Outcome::Absent => format!("{key}: this kernel has no such key"),
            Outcome::AppliedToHost => format!("{key} = {value}, set for the whole host"),
            Outcome::HostOnly => {
                format!("{key} is one of the whole host and was left alone; --host sets it")
            }
        }
    }
}

/// Values differ in nothing but white space: the kernel writes tabs where people write spaces.
fn normalised(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}
