//! Discovery: which processes there are and which are watched.

pub mod procs;
pub mod runtime;
pub mod select;
pub mod sockets;
