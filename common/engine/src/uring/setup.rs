//! Building a ring: the flags that make it fast, without those that this kernel lacks, and the
//! likely cause where there is no ring at all.

use std::fs;
use std::io;

use io_uring::types::Napi;
use io_uring::{IoUring, Probe, opcode};

use super::UringOptions;
use super::offer::{self, UringFeature, UringReport};
use super::queue::ENTER_ABS_TIMER;
use crate::EngineError;

/// Builds the ring with as many of the wanted flags as the kernel takes.
pub(super) fn build(options: &UringOptions) -> Result<(IoUring, UringReport), EngineError> {
    // A thread that submits works completions off itself.
    let sqpoll = options.sqpoll_idle_ms.is_some();
    let mut report = UringReport {
        single_issuer: true,
        defer_taskrun: options.defer_taskrun && !sqpoll,
        coop_taskrun: !options.defer_taskrun && !sqpoll,
        submit_all: true,
        no_sqarray: true,
        sqpoll,
        multishot: options.multishot,
        incremental_buffers: options.incremental_buffers,
        send_zc: options.send_zc_bytes > 0,
        napi: options.napi_busy_poll_us > 0,
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
    if !is_new_enough(&ring) {
        let cause = format!("this kernel ({}) is too old: Linux 6.1 is needed", kernel_release());
        return Err(EngineError::UringUnavailable { cause });
    }
    report.min_wait = ring.params().is_feature_min_timeout();
    report.end_time = takes_end_time(&ring);
    report.bind = can_bind(&ring);
    report.registered_ring = takes_ring_fd(&ring);
    Ok((ring, report))
}

/// Whether the kernel is Linux 6.1 or something as good.
pub(super) fn is_new_enough(ring: &IoUring) -> bool {
    knows(ring, opcode::SendMsgZc::CODE)
}

/// Whether the kernel can bind a socket from the ring.
pub(super) fn can_bind(ring: &IoUring) -> bool {
    knows(ring, opcode::Bind::CODE)
}

fn knows(ring: &IoUring, operation: u8) -> bool {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).is_ok() && probe.is_supported(operation)
}

/// Whether a wait can be told the time at which it is to end.
pub(super) fn takes_end_time(ring: &IoUring) -> bool {
    // SAFETY: nothing is submitted and no argument given.
    unsafe { ring.submitter().enter::<libc::sigset_t>(0, 0, ENTER_ABS_TIMER, None) }.is_ok()
}

/// Whether the ring's own descriptor can be registered. It is done in earnest by the `Submitter`
/// that makes the calls.
pub(super) fn takes_ring_fd(ring: &IoUring) -> bool {
    let mut submitter = ring.submitter();
    submitter.register_ring_fd().is_ok() && submitter.unregister_ring_fd().is_ok()
}

pub(super) fn register_napi(ring: &IoUring, busy_poll_us: u32) -> io::Result<()> {
    ring.submitter().register_napi(&mut Napi::new().set_busy_poll_timeout(busy_poll_us))
}

/// Has waits poll the network card for a while before they sleep.
pub(super) fn busy_poll(ring: &IoUring, napi_busy_poll_us: u32) -> Result<(), EngineError> {
    register_napi(ring, napi_busy_poll_us).map_err(|errno| match errno.raw_os_error() {
        Some(libc::EINVAL | libc::EOPNOTSUPP) => offer::lacking(UringFeature::NapiBusyPoll),
        _ => EngineError::UringSetup { what: "NAPI busy polling", errno },
    })
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
    if let Some(idle_ms) = options.sqpoll_idle_ms {
        builder.setup_sqpoll(idle_ms);
    }
    builder.build(options.ring_entries)
}

/// Names the likely cause of a refused `io_uring_setup`.
pub(super) fn unavailable(error: &io::Error) -> EngineError {
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    EngineError::UringUnavailable {
        cause: cause(error, disabled.trim(), has_seccomp_filter(&status), &kernel_release()),
    }
}

pub(super) fn kernel_release() -> String {
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
