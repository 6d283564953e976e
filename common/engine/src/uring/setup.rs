//! Building a ring: the flags that make it fast, without those that this kernel lacks, and the
//! likely cause where there is no ring at all.

use std::fs;
use std::io;

use io_uring::{IoUring, Probe, opcode};

use super::UringOptions;
use crate::EngineError;

/// What is in use on a ring, after fallbacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UringReport {
    /// One task submits (Linux 6.0).
    pub single_issuer: bool,
    /// Completions are worked off only when the shard asks (6.1).
    pub defer_taskrun: bool,
    /// Without `defer_taskrun`: no interruption to work completions off (5.19).
    pub coop_taskrun: bool,
    /// A failed submission does not hold up those behind it (5.18).
    pub submit_all: bool,
    /// No indirection array in the submission queue (6.6).
    pub no_sqarray: bool,
    /// Connections live in the ring's file table, not among the process's descriptors.
    pub direct_descriptors: bool,
    /// Waiting for a batch can be bounded in time (6.12).
    pub min_wait: bool,
}

/// Builds the ring with as many of the wanted flags as the kernel takes.
pub(super) fn build(options: &UringOptions) -> Result<(IoUring, UringReport), EngineError> {
    let mut report = UringReport {
        single_issuer: true,
        defer_taskrun: options.defer_taskrun,
        coop_taskrun: !options.defer_taskrun,
        submit_all: true,
        no_sqarray: true,
        ..UringReport::default()
    };
    let ring = loop {
        match build_once(options, &report) {
            Ok(ring) => break ring,
            // An unknown flag is EINVAL: leave out the youngest that is still in.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                if report.no_sqarray {
                    report.no_sqarray = false;
                } else if report.defer_taskrun {
                    (report.defer_taskrun, report.coop_taskrun) = (false, true);
                } else if report.single_issuer {
                    report.single_issuer = false;
                } else if report.coop_taskrun {
                    report.coop_taskrun = false;
                } else if report.submit_all {
                    report.submit_all = false;
                } else {
                    return Err(unavailable(&error));
                }
            }
            Err(error) => return Err(unavailable(&error)),
        }
    };
    // Before 6.1 a send that was taken in part reports that nothing was, among other things. What
    // has been ported back to a vendor's kernel is told by an operation that came with 6.1.
    let mut probe = Probe::new();
    let known = ring.submitter().register_probe(&mut probe).is_ok();
    if !known || !probe.is_supported(opcode::SendMsgZc::CODE) {
        let cause = format!("this kernel ({}) is too old: Linux 6.1 is needed", kernel_release());
        return Err(EngineError::UringUnavailable { cause });
    }
    report.min_wait = ring.params().is_feature_min_timeout();
    Ok((ring, report))
}

fn build_once(options: &UringOptions, flags: &UringReport) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.dontfork().setup_clamp().setup_cqsize(options.ring_entries.saturating_mul(4));
    if flags.single_issuer {
        builder.setup_single_issuer();
    }
    if flags.defer_taskrun {
        builder.setup_defer_taskrun();
    }
    if flags.coop_taskrun {
        builder.setup_coop_taskrun();
    }
    if flags.submit_all {
        builder.setup_submit_all();
    }
    if flags.no_sqarray {
        builder.setup_no_sqarray();
    }
    builder.build(options.ring_entries)
}

/// Names the likely cause of a refused `io_uring_setup`.
fn unavailable(error: &io::Error) -> EngineError {
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    EngineError::UringUnavailable {
        cause: cause(error, disabled.trim(), has_seccomp_filter(&status), &kernel_release()),
    }
}

fn kernel_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn has_seccomp_filter(status: &str) -> bool {
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

fn cause(error: &io::Error, disabled: &str, seccomp: bool, release: &str) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) if disabled == "2" => {
            "it is switched off on this machine: `sysctl kernel.io_uring_disabled` is 2, \
             `sysctl -w kernel.io_uring_disabled=0` as root allows it"
                .to_owned()
        }
        Some(libc::EPERM) if disabled == "1" => {
            "it is reserved on this machine: `sysctl kernel.io_uring_disabled` is 1, so that only \
             CAP_SYS_ADMIN and members of the group in kernel.io_uring_group may use it"
                .to_owned()
        }
        Some(libc::EPERM | libc::ENOSYS | libc::EACCES) if seccomp => format!(
            "a seccomp filter forbids it ({error}), as the default profiles of container runtimes \
             do: allow io_uring_setup, io_uring_enter and io_uring_register"
        ),
        Some(libc::ENOSYS | libc::EINVAL) => {
            format!("this kernel ({release}) is too old or built without it: Linux 6.1 is needed")
        }
        Some(libc::ENOMEM) => {
            "not enough locked memory: raise `ulimit -l`, or wait a second after stopping another \
             ring"
                .to_owned()
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            "no file descriptor is left: raise `ulimit -n`".to_owned()
        }
        _ => format!("the kernel ({release}) says: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_named() {
        let text = |errno, disabled, seccomp| {
            cause(&io::Error::from_raw_os_error(errno), disabled, seccomp, "5.10.0")
        };
        assert!(text(libc::EPERM, "2", false).contains("io_uring_disabled` is 2"));
        assert!(text(libc::EPERM, "1", true).contains("io_uring_group"));
        assert!(text(libc::EPERM, "0", true).contains("seccomp"));
        assert!(text(libc::ENOSYS, "", true).contains("seccomp"));
        assert!(text(libc::ENOSYS, "", false).contains("kernel (5.10.0) is too old"));
        assert!(text(libc::ENOMEM, "0", false).contains("ulimit -l"));
        assert!(text(libc::EMFILE, "0", false).contains("ulimit -n"));
        assert!(text(libc::EIO, "0", false).contains("5.10.0"));
    }

    #[test]
    fn a_seccomp_filter_is_seen() {
        assert!(has_seccomp_filter("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(!has_seccomp_filter("Seccomp:\t0\n"));
    }
}
