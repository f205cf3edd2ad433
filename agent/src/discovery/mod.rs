//! Discovery: which processes there are and which are watched.
//!
//! In: `/proc`, always below a root path that the caller names. Out: [`procs::Process`], its
//! runtime, its listening sockets and the decision to watch it. Not here: protocols, spans, and
//! the name of the service (`metadata`).

pub mod elf;
#[cfg(test)]
pub(crate) mod elf_fixture;
pub mod environment;
pub mod files;
#[cfg(test)]
pub(crate) mod fixture;
pub mod glob;
pub mod go_types;
pub mod mapping;
pub mod pclntab;
pub mod pointers;
pub mod procs;
pub mod remembered;
pub mod runtime;
pub mod select;
pub mod sock_diag;
pub mod sockets;
pub mod symbols;
