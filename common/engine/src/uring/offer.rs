//! What the kernel offers, and what of it is in use: data for a program to print.

use std::fmt;
use std::io;

use io_uring::{Builder, IoUring};

use super::pool::BufferPool;
use super::setup;
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
    /// A thread of the kernel submits.
    pub sqpoll: bool,
    /// The ring's own descriptor is looked up once (5.18).
    pub registered_ring: bool,
    /// Connections live in the ring's file table, not among the process's descriptors.
    pub direct_descriptors: bool,
    /// Accepts and receives are armed once for many completions (6.0).
    pub multishot: bool,
    /// A provided buffer is filled by one receive after the other (6.12).
    pub incremental_buffers: bool,
    /// Large output is lent to the kernel instead of copied (6.0).
    pub send_zc: bool,
    /// Waiting for a batch can be bounded in time (6.12).
    pub min_wait: bool,
    /// A wait ends at a time, not so long after what it submits has been seen to (6.12).
    pub end_time: bool,
    /// Sockets get their source address from the ring (6.11).
    pub bind: bool,
    /// Waits poll the network card before they sleep (6.9).
    pub napi: bool,
}

impl UringReport {
    /// Whether a feature is in use.
    pub fn uses(&self, feature: UringFeature) -> bool {
        match feature {
            UringFeature::NoDrop | UringFeature::BufferRings => true,
            // Where a thread submits, every send is reported.
            UringFeature::SkipSuccess => !self.sqpoll,
            UringFeature::SubmitAll => self.submit_all,
            UringFeature::RegisteredRing => self.registered_ring,
            UringFeature::CoopTaskrun => self.coop_taskrun,
            UringFeature::DirectDescriptors => self.direct_descriptors,
            UringFeature::MultishotAccept | UringFeature::MultishotReceive => self.multishot,
            UringFeature::SingleIssuer => self.single_issuer,
            UringFeature::DeferTaskrun => self.defer_taskrun,
            UringFeature::Sqpoll => self.sqpoll,
            UringFeature::SendZc => self.send_zc,
            UringFeature::NoSqarray => self.no_sqarray,
            UringFeature::NapiBusyPoll => self.napi,
            UringFeature::IncrementalBuffers => self.incremental_buffers,
            UringFeature::MinWait => self.min_wait,
            UringFeature::EndTime => self.end_time,
            UringFeature::Bind => self.bind,
        }
    }
}

/// What a kernel's `io_uring` may offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UringFeature {
    /// Completions that find the queue full are kept.
    NoDrop,
    /// A thread of the kernel submits.
    Sqpoll,
    /// An operation that succeeds need not post a completion.
    SkipSuccess,
    /// The ring's own descriptor is looked up once.
    RegisteredRing,
    /// A failed submission does not hold up those behind it.
    SubmitAll,
    /// No interruption to work completions off.
    CoopTaskrun,
    /// Connections live in the ring's file table.
    DirectDescriptors,
    /// An accept is armed once for many connections.
    MultishotAccept,
    /// The kernel takes receive buffers from a ring that is shared with it.
    BufferRings,
    /// A receive is armed once for many completions.
    MultishotReceive,
    /// One task submits.
    SingleIssuer,
    /// Output is lent to the kernel instead of copied.
    SendZc,
    /// Completions are worked off only when asked for.
    DeferTaskrun,
    /// No indirection array in the submission queue.
    NoSqarray,
    /// Waits poll the network card before they sleep.
    NapiBusyPoll,
    /// Sockets get their source address from the ring.
    Bind,
    /// A provided buffer is filled by one receive after the other.
    IncrementalBuffers,
    /// Waiting for a batch can be bounded in time.
    MinWait,
    /// A wait ends at a time, not so long after what it submits has been seen to.
    EndTime,
}

impl UringFeature {
    /// All of them, the oldest first.
    pub const ALL: [Self; 19] = [
        Self::NoDrop,
        Self::Sqpoll,
        Self::SkipSuccess,
        Self::RegisteredRing,
        Self::SubmitAll,
        Self::CoopTaskrun,
        Self::DirectDescriptors,
        Self::MultishotAccept,
        Self::BufferRings,
        Self::MultishotReceive,
        Self::SingleIssuer,
        Self::SendZc,
        Self::DeferTaskrun,
        Self::NoSqarray,
        Self::NapiBusyPoll,
        Self::Bind,
        Self::IncrementalBuffers,
        Self::MinWait,
        Self::EndTime,
    ];

    /// A name to print.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoDrop => "no dropped completions",
            Self::Sqpoll => "submission by a kernel thread",
            Self::SkipSuccess => "no completion on success",
            Self::RegisteredRing => "registered ring",
            Self::SubmitAll => "submit all",
            Self::CoopTaskrun => "cooperative task work",
            Self::DirectDescriptors => "direct descriptors",
            Self::MultishotAccept => "multishot accept",
            Self::BufferRings => "buffer rings",
            Self::MultishotReceive => "multishot receive",
            Self::SingleIssuer => "single issuer",
            Self::SendZc => "zero-copy send",
            Self::DeferTaskrun => "deferred task work",
            Self::NoSqarray => "no submission array",
            Self::NapiBusyPoll => "NAPI busy polling",
            Self::IncrementalBuffers => "incremental buffers",
            Self::MinWait => "minimum wait",
            Self::EndTime => "wait until a time",
            Self::Bind => "bind",
        }
    }

    /// The version of Linux that it came with, as it is used here.
    pub fn since(self) -> &'static str {
        match self {
            Self::NoDrop => "5.5",
            Self::Sqpoll => "5.11",
            Self::SkipSuccess => "5.17",
            Self::RegisteredRing | Self::SubmitAll => "5.18",
            Self::CoopTaskrun
            | Self::DirectDescriptors
            | Self::MultishotAccept
            | Self::BufferRings => "5.19",
            Self::MultishotReceive | Self::SingleIssuer | Self::SendZc => "6.0",
            Self::DeferTaskrun => "6.1",
            Self::NoSqarray => "6.6",
            Self::NapiBusyPoll => "6.9",
            Self::Bind => "6.11",
            Self::IncrementalBuffers | Self::MinWait | Self::EndTime => "6.12",
        }
    }
}

impl fmt::Display for UringFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One feature, as found on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The feature.
    pub feature: UringFeature,
    /// Why it cannot be had; `None` if it can.
    pub missing: Option<String>,
}

/// What this machine's kernel offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelOffer {
    /// The kernel's release, as `uname -r` has it.
    pub release: String,
    /// Why there is no `io_uring` that the engine could use, with what would help; `None` if there
    /// is.
    pub unavailable: Option<String>,
    /// Every feature, the oldest first.
    pub features: Vec<Offer>,
}

/// Finds out what the kernel offers by trying: a small ring for each feature.
pub fn probe_kernel() -> KernelOffer {
    super::apart(probe_here)
}

fn probe_here() -> KernelOffer {
    let usable = super::probe(&super::UringOptions::default());
    let features = UringFeature::ALL
        .into_iter()
        .map(|feature| Offer { feature, missing: try_out(feature).err().map(|e| why(feature, &e)) })
        .collect();
    KernelOffer {
        release: setup::kernel_release(),
        unavailable: usable.err().map(|error| error.to_string()),
        features,
    }
}

/// The error of a feature that was asked for and that this kernel lacks.
pub(super) fn lacking(feature: UringFeature) -> EngineError {
    let error = io::Error::from_raw_os_error(libc::EINVAL);
    EngineError::Refused {
        what: feature.to_string(),
        cause: format!("{} (it is {})", why(feature, &error), setup::kernel_release()),
    }
}

fn why(feature: UringFeature, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::EOPNOTSUPP) => {
            let built = match feature {
                UringFeature::NapiBusyPoll => " built with CONFIG_NET_RX_BUSY_POLL",
                _ => "",
            };
            format!("it needs Linux {}{built}, which this kernel is not", feature.since())
        }
        _ => error.to_string(),
    }
}

fn ring(set: fn(&mut Builder) -> &mut Builder) -> io::Result<IoUring> {
    set(&mut IoUring::builder()).build(2)
}

fn plain() -> io::Result<IoUring> {
    ring(|builder| builder)
}

fn or_invalid(is_there: bool) -> io::Result<()> {
    if is_there { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EINVAL)) }
}

fn register_buffers(incremental: bool) -> io::Result<()> {
    let ring = plain()?;
    let mut pool = BufferPool::new(2, 64, incremental);
    // SAFETY: no receive is ever started on this ring.
    unsafe { pool.register(&ring.submitter()) }
}

/// Tries whether the kernel takes what a feature asks of it.
fn try_out(feature: UringFeature) -> io::Result<()> {
    let build = |set| ring(set).map(drop);
    match feature {
        UringFeature::NoDrop => or_invalid(plain()?.params().is_feature_nodrop()),
        UringFeature::SkipSuccess => or_invalid(plain()?.params().is_feature_skip_cqe_on_success()),
        UringFeature::MinWait => or_invalid(plain()?.params().is_feature_min_timeout()),
        UringFeature::EndTime => or_invalid(setup::takes_end_time(&plain()?)),
        UringFeature::Bind => or_invalid(setup::can_bind(&plain()?)),
        UringFeature::RegisteredRing => or_invalid(setup::takes_ring_fd(&plain()?)),
        // No kernel says so; they are older than what the engine needs in any case.
        UringFeature::MultishotAccept | UringFeature::MultishotReceive | UringFeature::SendZc => {
            or_invalid(setup::is_new_enough(&plain()?))
        }
        UringFeature::DirectDescriptors => plain()?.submitter().register_files_sparse(1),
        UringFeature::BufferRings => register_buffers(false),
        UringFeature::IncrementalBuffers => register_buffers(true),
        UringFeature::NapiBusyPoll => setup::register_napi(&plain()?, 1),
        UringFeature::Sqpoll => build(|b| b.setup_sqpoll(1)),
        UringFeature::SubmitAll => build(|b| b.setup_submit_all()),
        UringFeature::CoopTaskrun => build(|b| b.setup_coop_taskrun()),
        UringFeature::SingleIssuer => build(|b| b.setup_single_issuer()),
        UringFeature::DeferTaskrun => build(|b| b.setup_single_issuer().setup_defer_taskrun()),
        UringFeature::NoSqarray => build(|b| b.setup_no_sqarray()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> (u32, u32) {
        let mut numbers = text.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    #[test]
    fn features_are_listed_once_and_by_age() {
        let ages: Vec<_> =
            UringFeature::ALL.iter().map(|feature| version(feature.since())).collect();
        assert!(ages.is_sorted());
        for (position, feature) in UringFeature::ALL.iter().enumerate() {
            assert!(!UringFeature::ALL[..position].contains(feature));
        }
    }

    #[test]
    fn what_is_lacking_is_named_with_what_it_needs() {
        let text = lacking(UringFeature::NapiBusyPoll).to_string();
        assert!(text.starts_with("NAPI busy polling cannot be had: it needs Linux 6.9 built with"));
        assert!(text.contains(&setup::kernel_release()), "{text}");
        let text = why(UringFeature::Sqpoll, &io::Error::from_raw_os_error(libc::EPERM));
        assert!(text.contains("not permitted"), "{text}");
    }

    #[test]
    fn this_kernel_offers_what_its_version_says() {
        let offer = probe_kernel();
        assert_eq!(offer.unavailable, None);
        assert_eq!(offer.features.len(), UringFeature::ALL.len());
        let release = version(&offer.release);
        for Offer { feature, missing } in &offer.features {
            // Vendors port features back, but do not take them out; NAPI depends on how the kernel
            // was built.
            if version(feature.since()) <= release && *feature != UringFeature::NapiBusyPoll {
                assert_eq!(*missing, None, "{feature}");
            }
        }
    }
}
