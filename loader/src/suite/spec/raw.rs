//! The suite file as it is written: what TOML and serde can check.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::suite::results::Pick;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSuite {
    pub(super) name: Spanned<String>,
    pub(super) title: String,
    pub(super) source: Option<String>,
    pub(super) method: Option<String>,
    #[serde(default)]
    pub(super) misleads: Vec<String>,
    pub(super) peers: Option<Spanned<String>>,
    pub(super) tuning: Option<Spanned<String>>,
    pub(super) defaults: Option<Spanned<Keys>>,
    pub(super) quick: Option<Spanned<Keys>>,
    #[serde(default)]
    pub(super) scenario: Vec<Spanned<Keys>>,
    #[serde(default)]
    pub(super) server: Vec<Spanned<RawServer>>,
    #[serde(default)]
    pub(super) published: Vec<Spanned<RawPublished>>,
}

/// The keys of a scenario, which `[defaults]` and `[quick]` may have as well.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) name: Option<Spanned<String>>,
    pub(super) method: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) requests: Option<Spanned<String>>,
    pub(super) headers: Option<Spanned<Vec<String>>>,
    pub(super) body: Option<Spanned<String>>,
    pub(super) connections: Option<Spanned<Vec<u64>>>,
    pub(super) threads: Option<Spanned<u64>>,
    pub(super) pipeline: Option<Spanned<u64>>,
    pub(super) rate: Option<Spanned<f64>>,
    pub(super) requests_per_connection: Option<Spanned<u64>>,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) duration: Option<Spanned<String>>,
    pub(super) warm_up: Option<Spanned<String>>,
    pub(super) repeats: Option<Spanned<u64>>,
    pub(super) pick: Option<Pick>,
    pub(super) args: Option<Spanned<Vec<String>>>,
    pub(super) expect: Option<Spanned<Expect>>,
    pub(super) quick: Option<Spanned<Box<Keys>>>,
}

impl Keys {
    /// These keys, and those of `below` where these say nothing.
    pub(super) fn over(self, below: &Self) -> Self {
        /// A path and a request file are two ways to say what is sent: one replaces the other.
        fn sends(keys: &Keys) -> bool {
            keys.path.is_some() || keys.requests.is_some()
        }
        let of = if sends(&self) { &self } else { below };
        let (path, requests) = (of.path.clone(), of.requests.clone());
        Self {
            name: self.name.or_else(|| below.name.clone()),
            method: self.method.or_else(|| below.method.clone()),
            path,
            requests,
            headers: self.headers.or_else(|| below.headers.clone()),
            body: self.body.or_else(|| below.body.clone()),
            connections: self.connections.or_else(|| below.connections.clone()),
            threads: self.threads.or_else(|| below.threads.clone()),
            pipeline: self.pipeline.or_else(|| below.pipeline.clone()),
            rate: self.rate.or_else(|| below.rate.clone()),
            requests_per_connection: self
                .requests_per_connection
                .or_else(|| below.requests_per_connection.clone()),
            timeout: self.timeout.or_else(|| below.timeout.clone()),
            duration: self.duration.or_else(|| below.duration.clone()),
            warm_up: self.warm_up.or_else(|| below.warm_up.clone()),
            repeats: self.repeats.or_else(|| below.repeats.clone()),
            pick: self.pick.or(below.pick),
            args: self.args.or_else(|| below.args.clone()),
            expect: self.expect.or_else(|| below.expect.clone()),
            quick: self.quick.or_else(|| below.quick.clone()),
        }
    }
}

/// What an answer has to be; all that is given must hold.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The status; where it is not given, any of 2xx.
    pub status: Option<u16>,
    /// The body, byte for byte.
    pub body: Option<String>,
    /// The body as JSON: equal to this when both have been parsed.
    pub json: Option<String>,
    /// The body as JSON: a list of so many members, or an object with one such list in it.
    pub json_rows: Option<u64>,
    /// Something that stands in the body.
    pub contains: Option<String>,
    /// The length of the body.
    pub bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServer {
    pub(super) name: Option<Spanned<String>>,
    pub(super) peer: Option<Spanned<String>>,
    pub(super) language: Option<String>,
    pub(super) command: Option<Spanned<String>>,
    pub(super) directory: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    pub(super) ready_timeout: Option<Spanned<String>>,
    pub(super) cores: Option<Spanned<String>>,
    pub(super) serves: Option<Vec<String>>,
    pub(super) version: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPublished {
    pub(super) title: String,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Spanned<Vec<String>>>,
}

/// A peer's `peer.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeer {
    pub(super) name: String,
    pub(super) language: Option<String>,
    pub(super) serves: Option<Vec<String>>,
    #[expect(dead_code, reason = "for those who read the file")]
    pub(super) about: Option<String>,
}
