//! `ringload suite` for real: servers good and bad, in runs of half a second.
//!
//! The servers are this very program again, so that nothing else must have been built. The test of
//! network namespaces takes the right to make them; where there is none it is skipped, with a line
//! that says so, and with CI=true in the environment that is a failure.

#[path = "suite/command_line.rs"]
mod command_line;
#[path = "suite/folder.rs"]
mod folder;
#[path = "suite/kinds.rs"]
mod kinds;
#[path = "support/processes.rs"]
mod processes;
#[path = "suite/resume.rs"]
mod resume;
#[path = "suite/server.rs"]
mod server;
#[path = "suite/tuning.rs"]
mod tuning;
