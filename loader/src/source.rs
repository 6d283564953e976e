//! Where a shard's requests come from: all the same, from a request file, or made by a script.

use std::sync::Arc;

use ringbench_http::RequestKind;

use crate::plan::Plan;

/// What a shard sends, one burst after the other.
#[derive(Debug)]
pub enum Source {
    /// The same request again and again.
    Fixed(Arc<Plan>),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// How many requests.
    pub requests: u32,
    /// What they mean for the framing of their responses.
    pub kind: RequestKind,
}

impl Source {
    /// Appends `requests` requests to `out`, calling `sent` for each kind of them.
    #[inline]
    pub fn write(
        &mut self,
        requests: u32,
        out: &mut Vec<u8>,
        mut sent: impl FnMut(u32, RequestKind),
    ) {
        match self {
            Self::Fixed(plan) => {
                out.extend_from_slice(plan.requests(requests));
                sent(requests, plan.kind());
            }
        }
    }
}
