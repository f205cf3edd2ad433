//! What the tests share.

pub mod host;
pub mod probes;
pub mod process;
