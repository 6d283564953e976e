//! Where requests come from: all the same, from a request file, or made by a script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ringbench_http::{ClientConn, RequestKind, ResponseHead};

use crate::config::Config;
use crate::connection::{Sink, Times};
use crate::plan::Plan;
use crate::requests::{Mix, MixState};
use crate::script::{ScriptError, ShardScript};
use crate::tally::Recorder;

/// What all shards of a run make their requests of.
#[derive(Debug)]
pub enum Material {
    /// The same request again and again.
    Plan(Arc<Plan>),
    /// The requests of a file.
    Mix(Arc<Mix>),
    /// A script's states, which the shards take when they start.
    Script {
        /// Requests that one call of the script gives.
        burst: u32,
        /// The states that have not been taken.
        shards: Mutex<VecDeque<ShardScript>>,
    },
}

impl Material {
    /// What the states of a script make.
    pub fn script(shards: Vec<ShardScript>) -> Self {
        let burst = shards.first().map_or(1, ShardScript::burst);
        Self::Script { burst, shards: Mutex::new(shards.into()) }
    }

    /// How many requests leave together.
    pub fn burst(&self, config: &Config) -> u32 {
        match self {
            Self::Plan(_) | Self::Mix(_) => config.pipeline,
            Self::Script { burst, .. } => *burst,
        }
    }

    /// How many requests a connection carries before it is closed and replaced.
    pub fn per_connection(&self, config: &Config) -> u64 {
        match self {
            Self::Plan(plan) => plan.per_connection(),
            Self::Mix(mix) if mix.closes() => 1,
            // Without a bound, 2^64 requests are more than a connection lives to see.
            Self::Mix(_) | Self::Script { .. } => {
                config.requests_per_connection.unwrap_or(u64::MAX)
            }
        }
    }

    /// The requests of one of several shards. To be called once by each.
    pub fn source(&self, shard: usize, config: &Config) -> Source {
        match self {
            Self::Plan(plan) => Source::Plan(Arc::clone(plan)),
            Self::Mix(mix) => {
                let mix = Arc::clone(mix);
                Source::Mix(Box::new(MixState::new(mix, shard, config.threads, config.seed)))
            }
            Self::Script { shards, .. } => {
                let mut shards = shards.lock().unwrap_or_else(PoisonError::into_inner);
                let script = shards.pop_front();
                // There is a state for each thread.
                Source::Script(Box::new(Scripted::new(
                    script.unwrap_or_else(|| unreachable!("a shard started twice")),
                )))
            }
        }
    }
}

/// What a shard sends, one burst after the other.
#[derive(Debug)]
pub enum Source {
    /// The same request again and again.
    Plan(Arc<Plan>),
    /// The requests of a file.
    Mix(Box<MixState>),
    /// Those of a script.
    Script(Box<Scripted>),
}

impl Source {
    /// Appends `requests` requests to `out`, and tells `sent` how many there are of each kind. A
    /// script gives as many as it likes.
    ///
    /// # Errors
    ///
    /// When a script fails. Nothing is appended then.
    #[inline]
    pub fn write(
        &mut self,
        requests: u32,
        out: &mut Vec<u8>,
        mut sent: impl FnMut(u32, RequestKind),
    ) -> Result<(), ScriptError> {
        match self {
            Self::Plan(plan) => {
                out.extend_from_slice(plan.requests(requests));
                sent(requests, plan.kind());
            }
            Self::Mix(mix) => (0..requests).for_each(|_| sent(1, mix.next(out))),
            Self::Script(scripted) => {
                let kinds = scripted.script.request(out)?;
                // What is more than the codec can keep track of was refused when it was loaded.
                debug_assert!(kinds.len() <= ClientConn::MAX_PIPELINE);
                kinds.iter().for_each(|kind| sent(1, *kind));
            }
        }
        Ok(())
    }

    /// The script, if there is one.
    pub fn script(&mut self) -> Option<&mut Scripted> {
        match self {
            Self::Script(scripted) => Some(scripted),
            Self::Plan(_) | Self::Mix(_) => None,
        }
    }
}

/// A shard's script, and what it is told of responses.
#[derive(Debug)]
pub struct Scripted {
    /// The script's state.
    pub script: ShardScript,
    /// By connection, the response that is being received; empty where the script wants none.
    responses: Vec<Captured>,
    /// Where the script had the shard connect to last.
    pub address: Option<SocketAddr>,
}

/// As much of a response as a script wants to see.
#[derive(Debug, Default)]
struct Captured {
    text: Vec<u8>,
    /// Names and values in `text`, one after the other: the lengths of each.
    fields: Vec<(u32, u32)>,
    body: Vec<u8>,
}

impl Captured {
    fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
        self.body.clear();
    }

    fn take_fields(&mut self, head: &ResponseHead<'_, '_>) {
        for header in head.headers {
            self.text.extend_from_slice(header.name.as_bytes());
            self.text.extend_from_slice(header.value);
            self.fields.push((header.name.len() as u32, header.value.len() as u32));
        }
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut rest = &self.text[..];
        self.fields.iter().map(move |&(name_len, value_len)| {
            let (name, after) = rest.split_at(name_len as usize);
            let (value, after) = after.split_at(value_len as usize);
            rest = after;
            // A name is a token (RFC 9110 5.6.2), and so ASCII.
            (std::str::from_utf8(name).unwrap_or_default(), value)
        })
    }
}

impl Scripted {
    fn new(script: ShardScript) -> Self {
        let address = script.address();
        Self { script, responses: Vec::new(), address }
    }

    /// Where responses of a connection go that the script is to be told of.
    pub fn sink<'s>(&'s mut self, index: usize, recorder: Recorder<'s>) -> ScriptSink<'s> {
        if self.responses.len() <= index {
            self.responses.resize_with(index + 1, Captured::default);
        }
        let response = &mut self.responses[index];
        ScriptSink { script: &mut self.script, response, recorder, failure: None }
    }
}

/// Records responses and tells the script of them.
pub struct ScriptSink<'s> {
    script: &'s mut ShardScript,
    response: &'s mut Captured,
    recorder: Recorder<'s>,
    /// What the script failed with.
    pub failure: Option<ScriptError>,
}

impl Sink for ScriptSink<'_> {
    fn head(&mut self, head: &ResponseHead<'_, '_>) {
        self.response.clear();
        if self.script.wants_headers() {
            self.response.take_fields(head);
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        if self.script.wants_body() {
            self.response.body.extend_from_slice(bytes);
        }
    }

    fn end(&mut self, status: u16, times: Times) {
        self.recorder.end(status, times);
        if self.failure.is_some() {
            return;
        }
        let Captured { body, .. } = &*self.response;
        self.failure = self.script.response(status, self.response.fields(), body).err();
    }
}
