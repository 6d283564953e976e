//! Flags of requests: what is sent.

use std::path::PathBuf;

use super::conflict;
use super::parse::parse_body;
use crate::config::Variety;
use crate::plan;

/// What is sent.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Request")]
pub struct RequestFlags {
    /// A header field, `Name: value`; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = plan::parse_header)]
    pub headers: Vec<(String, String)>,

    /// The method [default: GET, with a body POST].
    #[arg(short, long, value_name = "METHOD", value_parser = plan::parse_method)]
    pub method: Option<String>,

    /// The body: the text itself, or @FILE for what is in a file.
    #[arg(short, long, value_name = "TEXT|@FILE", value_parser = parse_body,
          allow_hyphen_values = true)]
    pub body: Option<Body>,

    /// Requests of several kinds, with placeholders for numbers and lines of files: see
    /// docs/request-files.md.
    #[arg(long = "requests", value_name = "FILE", conflicts_with_all = ["method", "body", "script"])]
    pub request_file: Option<PathBuf>,

    /// A wrk script in Lua; what follows the URL after `--` is for its init function.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["method", "body", "pipeline"])]
    pub script: Option<PathBuf>,

    /// Send `Connection: close` and open a connection for each request.
    #[arg(long, conflicts_with_all = ["requests_per_connection", "script"])]
    pub no_keepalive: bool,

    /// What random choices are drawn from, so that they can be drawn again.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// A request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

impl RequestFlags {
    pub(super) fn method(&self) -> String {
        let default = || if self.body.is_some() { "POST" } else { "GET" }.to_owned();
        self.method.clone().unwrap_or_else(default)
    }

    pub(super) fn take_headers(&mut self) -> Vec<(String, String)> {
        let mut headers = std::mem::take(&mut self.headers);
        if self.no_keepalive {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("connection"));
            headers.push(("Connection".to_owned(), "close".to_owned()));
        }
        headers
    }

    pub(super) fn variety(&mut self, arguments: Vec<String>) -> Result<Variety, clap::Error> {
        match (self.script.take(), self.request_file.take()) {
            (Some(script), _) => Ok(Variety::Script(script, arguments)),
            _ if !arguments.is_empty() => {
                Err(conflict("arguments after `--` are for a script: they need -s/--script"))
            }
            (None, Some(file)) => Ok(Variety::File(file)),
            (None, None) => Ok(Variety::None),
        }
    }
}
