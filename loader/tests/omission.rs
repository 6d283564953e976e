//! Whether ringload tells the truth about a server that stalls, against what arithmetic says.
//!
//! A server answers at once, but for a stall of length S in a run of length D. Users who come at an
//! even rate R arrive in the stall at any moment of it: R * S of the R * D have to wait, the first of
//! them for S, the next for 1/R less, the last for hardly any time. So for a share p of all requests
//! above 1 - S/D
//!
//! ```text
//! latency(p) = S - (1 - p) * D
//! ```
//!
//! and it is nothing below. Who sends the next request when the last is answered (a closed loop) sends
//! one request per connection into the stall, and knows nothing of all the others.
//!
//! `simulated` has it in virtual time, exactly; `real` with threads, sockets and clocks, for which it
//! asks the server when the stall was.

#[path = "omission/law.rs"]
mod law;
#[path = "omission/real.rs"]
mod real;
#[path = "omission/simulated.rs"]
mod simulated;
mod support;
