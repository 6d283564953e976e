//! What it costs to write a request of a mix.
#![allow(missing_docs, reason = "criterion's macros make a public function")]
fn main() {}
